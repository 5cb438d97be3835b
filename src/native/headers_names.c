/* Header names and values: Http-Header-Case, and which ones HTTPHeaders.add accepts. */
#include "convert.h"
#include "core/http_rules.h"
#include "headers_internal.h"

#define MAX_NORMAL_NAMES 1000   /* entries in the cache of normalized names, as many as Tornado's */
#define MAX_CACHED_NAME_LEN 128 /* clients choose the names: the cache must not hold a thousand long ones */

PyObject *headers_attribute(PyObject *object, const char *name)
{
    PyObject *key = PyUnicode_InternFromString(name);
    PyObject *value = key != NULL ? PyObject_GetAttr(object, key) : NULL;
    Py_XDECREF(key);
    return value;
}

PyObject *headers_call(PyObject *object, const char *name, PyObject *argument)
{
    PyObject *method = headers_attribute(object, name);
    PyObject *result = NULL;
    if (method != NULL) {
        result = argument != NULL ? PyObject_CallOneArg(method, argument) : PyObject_CallNoArgs(method);
    }
    Py_XDECREF(method);
    return result;
}

/* httputil.<name>(argument), for what is too rare to have here: Tornado's own code gives the result, or the exception. */
static PyObject *call_httputil(struct native_state *state, const char *name, PyObject *argument)
{
    if (BOUND(state, httputil) == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "tornadoc's Python half is not bound");
        return NULL;
    }
    return headers_call(BOUND(state, httputil), name, argument);
}

int headers_refuse_type(struct native_state *state, PyObject *object)
{
    PyObject *pattern = NULL;
    PyObject *match = NULL;
    if (BOUND(state, httputil) != NULL) {
        pattern = headers_attribute(BOUND(state, httputil), "_FORBIDDEN_HEADER_CHARS_RE");
    }
    if (pattern != NULL) {
        match = headers_call(pattern, "search", object);
    }
    if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "expected string, got '%.200s'", Py_TYPE(object)->tp_name);
    }
    Py_XDECREF(pattern);
    Py_XDECREF(match);
    return -1;
}

int headers_refuse(struct native_state *state, const char *message, PyObject *culprit)
{
    PyObject *type = BOUND(state, HTTPInputError) != NULL ? BOUND(state, HTTPInputError) : PyExc_ValueError;
    PyErr_Format(type, message, culprit);
    return -1;
}

int headers_check_name(struct native_state *state, PyObject *name)
{
    struct td_span span;
    if (!PyUnicode_Check(name)) {
        return headers_refuse_type(state, name);
    }
    if (!convert_latin1_span(name, &span) || !td_rules_is_token(span)) {
        return headers_refuse(state, "Invalid header name %R", name);
    }
    return 0;
}

static bool has_control(PyObject *text)
{
    int kind = (int)PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t len = PyUnicode_GET_LENGTH(text);
    for (Py_ssize_t i = 0; i < len; i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

int headers_check_value(struct native_state *state, PyObject *value, bool chars_are_bytes)
{
    struct td_span span;
    if (chars_are_bytes && !PyUnicode_Check(value)) {
        /* bytes are taken as UTF-8 for the check, and stored as they are. */
        PyObject *text = call_httputil(state, "to_unicode", value);
        if (text == NULL) {
            return -1;
        }
        int status = PyUnicode_Check(text) ? 0 : headers_refuse_type(state, text);
        if (status == 0 && (!convert_latin1_span(text, &span) || !td_rules_is_field_value(span))) {
            status = headers_refuse(state, "Invalid header value %R", value);
        }
        Py_DECREF(text);
        return status;
    }
    if (!PyUnicode_Check(value)) {
        return headers_refuse_type(state, value);
    }
    if (chars_are_bytes ? !convert_latin1_span(value, &span) || !td_rules_is_field_value(span) : has_control(value)) {
        return headers_refuse(state, "Invalid header value %R", value);
    }
    return 0;
}

static PyObject *normalize_ascii(PyObject *name)
{
    Py_ssize_t len = PyUnicode_GET_LENGTH(name);
    PyObject *normal = PyUnicode_New(len, 127);
    if (normal == NULL || len == 0) {
        return normal;
    }
    const Py_UCS1 *from = PyUnicode_1BYTE_DATA(name);
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(normal);
    bool first = true;
    for (Py_ssize_t i = 0; i < len; i++) {
        to[i] = first ? (Py_UCS1)Py_TOUPPER(from[i]) : (Py_UCS1)Py_TOLOWER(from[i]);
        first = from[i] == '-';
    }
    return normal;
}

/* Capitalization beyond ASCII is str.capitalize's: it has title cases and letters that become two. */
static PyObject *normalize_unicode(PyObject *name)
{
    PyObject *normal = NULL;
    PyObject *dash = PyUnicode_FromOrdinal('-');
    PyObject *words = dash != NULL ? PyUnicode_Split(name, dash, -1) : NULL;
    if (words != NULL) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(words); i++) {
            PyObject *word = headers_call(PyList_GET_ITEM(words, i), "capitalize", NULL);
            if (word == NULL || PyList_SetItem(words, i, word) < 0) {
                goto done;
            }
        }
        normal = PyUnicode_Join(dash, words);
    }
done:
    Py_XDECREF(dash);
    Py_XDECREF(words);
    return normal;
}

/* Names from the wire are not interned: on CPython 3.12 that would keep each one for ever. The cache alone makes equal names one
 * object. */
PyObject *headers_normalize(struct native_state *state, PyObject *name)
{
    PyObject *cache = state->normal_names;
    PyObject *normal;
    if (!PyUnicode_CheckExact(name)) {
        if (!PyUnicode_Check(name)) {
            return call_httputil(state, "_normalize_header", name);
        }
        PyObject *exact = PyUnicode_FromObject(name);
        normal = exact != NULL ? headers_normalize(state, exact) : NULL;
        Py_XDECREF(exact);
        return normal;
    }
    if (cache != NULL) {
        normal = PyDict_GetItemWithError(cache, name);
        if (normal != NULL || PyErr_Occurred()) {
            return Py_XNewRef(normal);
        }
    }
    normal = PyUnicode_IS_ASCII(name) ? normalize_ascii(name) : normalize_unicode(name);
    if (normal == NULL || cache == NULL || PyUnicode_GET_LENGTH(name) > MAX_CACHED_NAME_LEN) {
        return normal;
    }
    if (PyDict_GET_SIZE(cache) >= MAX_NORMAL_NAMES - 1) {
        PyDict_Clear(cache);
    }
    if (PyUnicode_Compare(name, normal) == 0) {
        Py_SETREF(normal, Py_NewRef(name)); /* a program's literal is interned: the better one to keep */
    }
    PyObject *canonical = PyDict_SetDefault(cache, normal, normal);
    Py_XINCREF(canonical);
    Py_DECREF(normal);
    if (canonical != NULL && canonical != name && PyDict_SetItem(cache, name, canonical) < 0) {
        Py_CLEAR(canonical);
    }
    return canonical;
}
