/* See handler.h: what get_argument() and its kin are made of. The six public methods are Tornado's, which call these on self. */
#include "handler.h"

#include "guard.h"

/* -- one value -- */

static bool is_control(unsigned char c)
{
    return c < 0x20 && (c < 0x09 || c > 0x0d);
}

/* A str of UTF-8 with spaces in place of control characters. New reference or NULL. */
static PyObject *decode_clean(const char *data, Py_ssize_t len)
{
    Py_ssize_t first = 0;
    while (first < len && !is_control((unsigned char)data[first])) {
        first++;
    }
    if (first == len) {
        return PyUnicode_DecodeUTF8(data, len, NULL);
    }
    char *clean = PyMem_Malloc((size_t)len);
    if (clean == NULL) {
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < len; i++) {
        clean[i] = is_control((unsigned char)data[i]) ? ' ' : data[i];
    }
    PyObject *text = PyUnicode_DecodeUTF8(clean, len, NULL);
    PyMem_Free(clean);
    return text;
}

/* decode_argument(value), without control characters, stripped if asked for. New reference; NULL with an exception, a
 * UnicodeDecodeError for what is no UTF-8. */
static PyObject *decode_value(PyObject *value, bool strip)
{
    const char *data = PyBytes_AS_STRING(value);
    Py_ssize_t len = PyBytes_GET_SIZE(value);
    if (!strip) {
        return decode_clean(data, len);
    }
    /* Up to the space all of ASCII is white, or a control character that becomes a space. */
    while (len > 0 && (unsigned char)data[len - 1] <= ' ') {
        len--;
    }
    while (len > 0 && (unsigned char)data[0] <= ' ') {
        data++;
        len--;
    }
    PyObject *text = decode_clean(data, len);
    bool other = text != NULL && len > 0 && (((unsigned char)data[0] | (unsigned char)data[len - 1]) & 0x80);
    if (other) {
        /* There is white space elsewhere in Unicode. */
        Py_SETREF(text, PyObject_CallMethod(text, "strip", NULL));
    }
    return text;
}

/* -- the values of a name -- */

/* RequestHandler._get_arguments(name, source, strip) as far as that is done here: with Tornado's own methods, of a dict of
 * lists. *values: the list, borrowed from source, or NULL: there is none. */
static bool find_values(HandlerObject *self, uint64_t hooks, PyObject *name, PyObject *source, PyObject *strip, PyObject **values)
{
    struct native_state *state = self->state;
    if ((handler_mask(self) & hooks) || !PyUnicode_CheckExact(name) || !PyDict_CheckExact(source) || !PyBool_Check(strip) ||
        _PyType_Lookup(Py_TYPE(self), NAME(state, _remove_control_chars_regex)) != BOUND(state, control_characters)) {
        return false;
    }
    *values = PyDict_GetItemWithError(source, name);
    if (*values == NULL) {
        bool missing = !PyErr_Occurred();
        PyErr_Clear();
        return missing;
    }
    return PyList_CheckExact(*values);
}

/* One of them. NULL without an exception: it is for Tornado to decode, or to say what is wrong with it. */
static PyObject *decode_item(PyObject *values, Py_ssize_t i, bool strip)
{
    PyObject *value = PyList_GET_ITEM(values, i);
    PyObject *text = PyBytes_CheckExact(value) ? decode_value(value, strip) : NULL;
    if (text == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
    }
    return text;
}

/* -- the methods -- */

/* Is the default what a program gives, and not the mark of an argument that has to be there? */
static bool is_given(PyObject *value)
{
    return value == Py_None || PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value);
}

static PyObject *method_get_argument(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const uint64_t hooks = HOOK(decode_argument) | HOOK(_get_arguments) | HOOK_BEHIND(_get_argument);
    PyObject *values;
    if (count == 4 && kwnames == NULL && find_values(self, hooks, args[0], args[2], args[3], &values)) {
        Py_ssize_t size = values ? PyList_GET_SIZE(values) : 0;
        if (size == 0 && is_given(args[1])) {
            return Py_NewRef(args[1]);
        }
        PyObject *text = NULL;
        for (Py_ssize_t i = 0; i < size && (i == 0 || text != NULL); i++) {
            Py_XSETREF(text, decode_item(values, i, args[3] == Py_True));
        }
        if (text != NULL || PyErr_Occurred()) {
            return text;
        }
    }
    return handler_call_tornado(self, NAME(self->state, _get_argument), args, count, kwnames);
}

/* The list for _get_arguments(). NULL without an exception as above. */
static PyObject *decode_all(PyObject *values, bool strip)
{
    PyObject *texts = PyList_New(0);
    for (Py_ssize_t i = 0; texts != NULL && values != NULL && i < PyList_GET_SIZE(values); i++) {
        PyObject *text = decode_item(values, i, strip);
        if (text == NULL || PyList_Append(texts, text) < 0) {
            Py_CLEAR(texts);
        }
        Py_XDECREF(text);
    }
    return texts;
}

static PyObject *method_get_arguments(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const uint64_t hooks = HOOK(decode_argument) | HOOK_BEHIND(_get_arguments);
    PyObject *values;
    if (count == 3 && kwnames == NULL && find_values(self, hooks, args[0], args[1], args[2], &values)) {
        PyObject *held = Py_XNewRef(values);
        PyObject *texts = decode_all(values, args[2] == Py_True);
        Py_XDECREF(held);
        if (texts != NULL || PyErr_Occurred()) {
            return texts;
        }
    }
    return handler_call_tornado(self, NAME(self->state, _get_arguments), args, count, kwnames);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL | METH_KEYWORDS

PyMethodDef handler_argument_methods[] = {
    {"_get_argument", FAST(method_get_argument),
     "_get_argument($self, name, default, source, strip=True)\n--\n\nThe last value of an argument, decoded."},
    {"_get_arguments", FAST(method_get_arguments),
     "_get_arguments($self, name, source, strip=True)\n--\n\nThe values of an argument, decoded."},
    {NULL, NULL, 0, NULL},
};
