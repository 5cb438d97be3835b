/* See json_text.h. Only objects whose text no Python code has a say in are written here. */
#include "json_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "guard.h"

#include "core/http_response.h"

#define MAX_DEPTH 64 /* deeper ones, and so those that contain themselves, are json's */

/* -- is everything stock? -- */

/* A tuple that tornadoc/_json_text.py makes. */
enum {
    PART_MODULES,
    PART_NAMES,
    PART_FUNCTIONS,
    PART_DUMPS,
    PART_DEFAULTS,
    PART_ENCODER,
    PART_ATTRIBUTES,
    PART_CLASS,
    PART_CLASS_IS_STOCK
};

/* The dicts that decide. */
struct dicts {
    PyObject *of[NATIVE_JSON_DICTS]; /* borrowed */
};

static bool find_dicts(PyObject *parts, struct dicts *dicts)
{
    PyObject *modules = PyTuple_GET_ITEM(parts, PART_MODULES);
    PyObject **attributes = _PyObject_GetDictPtr(PyTuple_GET_ITEM(parts, PART_ENCODER));
    int count = 0;
    dicts->of[count++] = PyFunction_GET_KW_DEFAULTS(PyTuple_GET_ITEM(parts, PART_DUMPS));
    dicts->of[count++] = attributes ? *attributes : NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(modules) && count < NATIVE_JSON_DICTS; i++) {
        dicts->of[count++] = PyTuple_GET_ITEM(modules, i);
    }
    return count == NATIVE_JSON_DICTS && dicts->of[0] != NULL && dicts->of[1] != NULL;
}

/* Are they as they were when they were found stock? */
static bool dicts_are_known(struct native_state *state, const struct dicts *dicts)
{
    bool known = true;
    for (int i = 0; i < NATIVE_JSON_DICTS; i++) {
        uint64_t version = guard_dict_version(dicts->of[i]);
        known &= version != 0 && version == state->json_versions[i];
    }
    return known;
}

static bool names_are_stock(PyObject *names)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *triple = PyTuple_GET_ITEM(names, i);
        if (PyDict_GetItemWithError(PyTuple_GET_ITEM(triple, 0), PyTuple_GET_ITEM(triple, 1)) != PyTuple_GET_ITEM(triple, 2)) {
            return false;
        }
    }
    return true;
}

static bool functions_are_stock(PyObject *functions)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(functions); i++) {
        PyObject *pair = PyTuple_GET_ITEM(functions, i);
        if (PyFunction_GET_CODE(PyTuple_GET_ITEM(pair, 0)) != PyTuple_GET_ITEM(pair, 1)) {
            return false;
        }
    }
    return true;
}

/* Are these the dict's items, in this order? */
static bool dict_is_stock(PyObject *dict, PyObject *items)
{
    if (PyDict_GET_SIZE(dict) != PyTuple_GET_SIZE(items)) {
        return false;
    }
    Py_ssize_t position = 0;
    PyObject *name, *value;
    for (Py_ssize_t i = 0; PyDict_Next(dict, &position, &name, &value); i++) {
        PyObject *pair = PyTuple_GET_ITEM(items, i);
        if (name != PyTuple_GET_ITEM(pair, 0) || value != PyTuple_GET_ITEM(pair, 1)) {
            return false;
        }
    }
    return true;
}

/* 1, 0 or -1. */
static int class_is_stock(struct native_state *state, PyObject *parts)
{
    PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(parts, PART_CLASS);
    unsigned int tag = guard_version_tag(type);
    if (tag != 0 && tag == state->json_class_tag) {
        return 1;
    }
    /* A lookup gives it a tag, if there are any left. */
    (void)_PyType_Lookup(type, NAME(state, __init__));
    tag = guard_version_tag(type);
    PyObject *answer = PyObject_CallNoArgs(PyTuple_GET_ITEM(parts, PART_CLASS_IS_STOCK));
    int stock = answer != NULL ? answer == Py_True && tag != 0 : -1;
    Py_XDECREF(answer);
    if (stock > 0) {
        state->json_class_tag = tag;
    }
    return stock;
}

static int is_stock(struct native_state *state)
{
    PyObject *parts = BOUND(state, json_parts);
    struct dicts dicts;
    if (!PyTuple_CheckExact(parts) || !functions_are_stock(PyTuple_GET_ITEM(parts, PART_FUNCTIONS)) ||
        (PyObject *)Py_TYPE(PyTuple_GET_ITEM(parts, PART_ENCODER)) != PyTuple_GET_ITEM(parts, PART_CLASS) ||
        !find_dicts(parts, &dicts)) {
        return 0;
    }
    if (!dicts_are_known(state, &dicts)) {
        if (!names_are_stock(PyTuple_GET_ITEM(parts, PART_NAMES)) ||
            !dict_is_stock(dicts.of[0], PyTuple_GET_ITEM(parts, PART_DEFAULTS)) ||
            !dict_is_stock(dicts.of[1], PyTuple_GET_ITEM(parts, PART_ATTRIBUTES))) {
            return 0;
        }
        for (int i = 0; i < NATIVE_JSON_DICTS; i++) {
            state->json_versions[i] = guard_dict_version(dicts.of[i]);
        }
    }
    return class_is_stock(state, parts);
}

/* -- the text -- */

struct text {
    char *data; /* `first`, or owned */
    size_t len;
    size_t room; /* bytes of data */
    char first[1024];
};

static char *grow(struct text *text, size_t len)
{
    if (len > SIZE_MAX / 4 || text->room > SIZE_MAX / 4) {
        return NULL;
    }
    size_t room = 2 * text->room + len;
    char *data = PyMem_Realloc(text->data == text->first ? NULL : text->data, room);
    if (data == NULL) {
        return NULL;
    }
    if (text->data == text->first) {
        memcpy(data, text->first, text->len);
    }
    text->data = data;
    text->room = room;
    return data + text->len;
}

/* Room for that many bytes more: where they go, or NULL. */
static inline char *reserve(struct text *text, size_t len)
{
    return text->room - text->len >= len ? text->data + text->len : grow(text, len);
}

static inline bool put(struct text *text, const char *data, size_t len)
{
    char *to = reserve(text, len);
    if (to == NULL) {
        return false;
    }
    memcpy(to, data, len);
    text->len += len;
    return true;
}

static char *write_unit(char *to, unsigned int unit)
{
    static const char digits[] = "0123456789abcdef";
    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) {
        *to++ = digits[unit >> shift & 15];
    }
    return to;
}

#define MAX_ESCAPE 12 /* bytes: two units */
#define PIECE 64      /* characters that room is made for at a time */

static inline bool is_verbatim(Py_UCS4 c)
{
    static const bool special['~' + 1] = {['"'] = true, ['\\'] = true, ['/'] = true};
    return c - ' ' <= '~' - ' ' && !special[c];
}

/* A character that is not verbatim. after_less: the one before is '<', and "</" is never written. */
static char *write_escape(char *to, Py_UCS4 c, bool after_less)
{
    char letter = 0;
    switch (c) {
    case '/':
        if (after_less) {
            *to++ = '\\';
        }
        *to++ = '/';
        return to;
    case '"':
    case '\\':
        letter = (char)c;
        break;
    case '\n':
        letter = 'n';
        break;
    case '\r':
        letter = 'r';
        break;
    case '\t':
        letter = 't';
        break;
    case '\f':
        letter = 'f';
        break;
    case '\b':
        letter = 'b';
        break;
    default:
        break;
    }
    if (letter != 0) {
        *to++ = '\\';
        *to++ = letter;
        return to;
    }
    if (c >= 0x10000) {
        to = write_unit(to, 0xd800 | ((c - 0x10000) >> 10 & 0x3ff));
        c = 0xdc00 | ((c - 0x10000) & 0x3ff);
    }
    return write_unit(to, c);
}

static bool put_narrow(struct text *text, const Py_UCS1 *data, size_t len)
{
    const Py_UCS1 *end = data + len;
    Py_UCS1 before = 0;
    while (data < end) {
        size_t most = (size_t)(end - data) < PIECE ? (size_t)(end - data) : PIECE;
        char *to = reserve(text, most * MAX_ESCAPE);
        if (to == NULL) {
            return false;
        }
        for (const Py_UCS1 *stop = data + most; data < stop; data++) {
            if (is_verbatim(*data)) {
                *to++ = (char)*data;
            }
            else {
                to = write_escape(to, *data, before == '<');
            }
            before = *data;
        }
        text->len = (size_t)(to - text->data);
    }
    return true;
}

static bool put_wide(struct text *text, int kind, const void *data, Py_ssize_t len)
{
    Py_UCS4 before = 0;
    for (Py_ssize_t i = 0; i < len; i++) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        char *to = reserve(text, MAX_ESCAPE);
        if (to == NULL) {
            return false;
        }
        if (is_verbatim(c)) {
            *to = (char)c;
            text->len++;
        }
        else {
            text->len += (size_t)(write_escape(to, c, before == '<') - to);
        }
        before = c;
    }
    return true;
}

static bool put_string(struct text *text, PyObject *string)
{
#if PY_VERSION_HEX < 0x030c0000
    if (!PyUnicode_IS_READY(string)) {
        return false;
    }
#endif
    int kind = (int)PyUnicode_KIND(string);
    Py_ssize_t len = PyUnicode_GET_LENGTH(string);
    return put(text, "\"", 1) &&
           (kind == PyUnicode_1BYTE_KIND ? put_narrow(text, PyUnicode_1BYTE_DATA(string), (size_t)len)
                                         : put_wide(text, kind, PyUnicode_DATA(string), len)) &&
           put(text, "\"", 1);
}

static bool put_int(struct text *text, PyObject *number)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    char *to = overflow == 0 ? reserve(text, 24) : NULL;
    if (to == NULL) {
        return false;
    }
    char *end = to;
    if (value < 0) {
        *end++ = '-';
    }
    end = td_format_decimal(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    text->len += (size_t)(end - to);
    return true;
}

static bool put_float(struct text *text, double value)
{
    if (isnan(value)) {
        return put(text, "NaN", 3);
    }
    if (isinf(value)) {
        return value > 0 ? put(text, "Infinity", 8) : put(text, "-Infinity", 9);
    }
    char *digits = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (digits == NULL) {
        PyErr_Clear();
        return false;
    }
    bool done = put(text, digits, strlen(digits));
    PyMem_Free(digits);
    return done;
}

static bool put_value(struct text *text, PyObject *value, int depth);

static bool put_items(struct text *text, PyObject *const *items, Py_ssize_t count, int depth)
{
    bool done = put(text, "[", 1);
    for (Py_ssize_t i = 0; done && i < count; i++) {
        done = (i == 0 || put(text, ", ", 2)) && put_value(text, items[i], depth + 1);
    }
    return done && put(text, "]", 1);
}

static bool put_key(struct text *text, PyObject *key)
{
    if (PyUnicode_CheckExact(key)) {
        return put_string(text, key);
    }
    return PyLong_CheckExact(key) && put(text, "\"", 1) && put_int(text, key) && put(text, "\"", 1);
}

static bool put_dict(struct text *text, PyObject *dict, int depth)
{
    bool done = put(text, "{", 1);
    bool first = true;
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (done && PyDict_Next(dict, &position, &key, &value)) {
        done = (first || put(text, ", ", 2)) && put_key(text, key) && put(text, ": ", 2) && put_value(text, value, depth + 1);
        first = false;
    }
    return done && put(text, "}", 1);
}

/* False: json has to do it. No Python code runs in here, so nothing changes meanwhile. */
static bool put_value(struct text *text, PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value)) {
        return put_string(text, value);
    }
    if (PyLong_CheckExact(value)) {
        return put_int(text, value);
    }
    if (value == Py_None) {
        return put(text, "null", 4);
    }
    if (value == Py_True) {
        return put(text, "true", 4);
    }
    if (value == Py_False) {
        return put(text, "false", 5);
    }
    if (PyFloat_CheckExact(value)) {
        return put_float(text, PyFloat_AS_DOUBLE(value));
    }
    if (depth >= MAX_DEPTH) {
        return false;
    }
    if (PyDict_CheckExact(value)) {
        return put_dict(text, value, depth);
    }
    if (PyList_CheckExact(value)) {
        return put_items(text, ((PyListObject *)value)->ob_item, PyList_GET_SIZE(value), depth);
    }
    return PyTuple_CheckExact(value) && put_items(text, ((PyTupleObject *)value)->ob_item, PyTuple_GET_SIZE(value), depth);
}

PyObject *json_text_of(struct native_state *state, PyObject *dict)
{
    int stock = is_stock(state);
    if (stock <= 0) {
        return NULL;
    }
    struct text text = {.len = 0, .room = sizeof(text.first)};
    text.data = text.first;
    PyObject *bytes = put_value(&text, dict, 0) ? PyBytes_FromStringAndSize(text.data, (Py_ssize_t)text.len) : NULL;
    if (text.data != text.first) {
        PyMem_Free(text.data);
    }
    return bytes;
}
