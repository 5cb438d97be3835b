/* See stream.h: arguments by position and name, and the forms with callbacks that Tornado had before version 6. */
#include "stream.h"

bool stream_take_arguments(const char *const *names, int max, PyObject *const *args, Py_ssize_t count, PyObject *kwnames,
                           PyObject **values)
{
    if (count > max) {
        return false;
    }
    for (int i = 0; i < max; i++) {
        values[i] = i < count ? args[i] : NULL;
    }
    for (Py_ssize_t k = 0; kwnames != NULL && k < PyTuple_GET_SIZE(kwnames); k++) {
        int i = 0;
        while (i < max && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, k), names[i]) != 0) {
            i++;
        }
        if (i == max || values[i] != NULL) {
            return false;
        }
        values[i] = args[count + k];
    }
    /* Where a number or a flag is expected, a function is a callback. */
    return values[0] != NULL && (max < 2 || values[1] == NULL || !PyCallable_Check(values[1]));
}

PyObject *stream_call_legacy(StreamObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *positional = PyTuple_New(count);
    PyObject *named = positional ? PyDict_New() : NULL;
    PyObject *result = NULL;
    if (named == NULL) {
        Py_XDECREF(positional);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(positional, i, Py_NewRef(args[i]));
    }
    Py_ssize_t names = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    Py_ssize_t k = 0;
    while (k < names && PyDict_SetItem(named, PyTuple_GET_ITEM(kwnames, k), args[count + k]) == 0) {
        k++;
    }
    if (k == names) {
        result = PyObject_CallFunctionObjArgs(BOUND(self->state, stream_legacy), (PyObject *)self, name, positional, named, NULL);
    }
    Py_DECREF(positional);
    Py_DECREF(named);
    return result;
}
