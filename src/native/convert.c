/* See convert.h. */
#include "convert.h"

int convert_double_attribute(PyObject *object, PyObject *name, double none, double *value)
{
    PyObject *attribute = PyObject_GetAttr(object, name);
    if (attribute == NULL) {
        return -1;
    }
    *value = attribute == Py_None ? none : PyFloat_AsDouble(attribute);
    Py_DECREF(attribute);
    return PyErr_Occurred() ? -1 : 0;
}

int convert_size_attribute(PyObject *object, PyObject *name, uint64_t none, uint64_t *value)
{
    PyObject *attribute = PyObject_GetAttr(object, name);
    if (attribute == NULL) {
        return -1;
    }
    if (attribute == Py_None) {
        *value = none;
    }
    else if (PyFloat_Check(attribute)) {
        double number = PyFloat_AS_DOUBLE(attribute);
        *value = number >= 9.2e18 ? UINT64_MAX : number <= 0 ? 0 : (uint64_t)number;
    }
    else {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(attribute, &overflow);
        *value = overflow > 0 ? UINT64_MAX : number < 0 ? 0 : (uint64_t)number;
    }
    Py_DECREF(attribute);
    return PyErr_Occurred() ? -1 : 0;
}

int convert_bool_attribute(PyObject *object, PyObject *name, bool *value)
{
    PyObject *attribute = PyObject_GetAttr(object, name);
    if (attribute == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(attribute);
    Py_DECREF(attribute);
    *value = truth > 0;
    return truth < 0 ? -1 : 0;
}
