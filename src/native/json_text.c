/* See json_text.h. */
#include "json_text.h"

#include <stdbool.h>
#include <string.h>

#include "convert.h"
#include "guard.h"

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
    PART_CLASS_IS_STOCK,
    PART_MAKE_ENCODER
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
        if (!guard_names_hold(PyTuple_GET_ITEM(parts, PART_NAMES)) ||
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

/* What JSONEncoder.iterencode() makes for each call, kept for the next one. It has its marks of what it is in the middle of, so
 * nobody else may have it meanwhile. New reference or NULL. */
static PyObject *take_encoder(struct native_state *state)
{
    PyObject *encoder = state->json_encoder;
    state->json_encoder = NULL;
    return encoder ? encoder : PyObject_CallNoArgs(PyTuple_GET_ITEM(BOUND(state, json_parts), PART_MAKE_ENCODER));
}

/* The dict's JSON in ASCII. New reference to a str, or NULL with json's exception. */
static PyObject *encode(struct native_state *state, PyObject *dict)
{
    PyObject *encoder = take_encoder(state);
    PyObject *level = encoder ? PyLong_FromLong(0) : NULL;
    PyObject *pieces = level ? PyObject_CallFunctionObjArgs(encoder, dict, level, NULL) : NULL;
    PyObject *text = NULL;
    if (pieces != NULL) {
        text = PyUnicode_Join(TEXT(state, nothing), pieces);
        Py_XSETREF(state->json_encoder, Py_NewRef(encoder));
    }
    /* One that failed has marks left. */
    Py_XDECREF(encoder);
    Py_XDECREF(level);
    Py_XDECREF(pieces);
    return text;
}

/* text.replace("</", "<\\/") as bytes. Steals text. New reference or NULL. */
static PyObject *escape(struct native_state *state, PyObject *text)
{
    struct td_span ascii;
    if (convert_latin1_span(text, &ascii) && memmem(ascii.data, ascii.len, "</", 2) != NULL) {
        Py_SETREF(text, PyUnicode_Replace(text, TEXT(state, end_of_tag), TEXT(state, escaped_end_of_tag), -1));
    }
    PyObject *bytes = text ? PyUnicode_AsUTF8String(text) : NULL;
    Py_XDECREF(text);
    return bytes;
}

PyObject *json_text_of(struct native_state *state, PyObject *dict)
{
    if (is_stock(state) <= 0) {
        return NULL;
    }
    PyObject *text = encode(state, dict);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        /* json_encode() fails in the same way, and its frames tell where. */
        PyErr_Clear();
        return NULL;
    }
    return text ? escape(state, text) : NULL;
}
