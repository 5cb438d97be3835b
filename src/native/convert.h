/* Between spans and Python strings. */
#ifndef NATIVE_CONVERT_H
#define NATIVE_CONVERT_H

#include "module.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/span.h"

/* A str of latin-1 bytes. New reference or NULL. */
static inline PyObject *convert_latin1(struct td_span span)
{
    return PyUnicode_DecodeLatin1(span.len ? span.data : "", (Py_ssize_t)span.len, NULL);
}

/* The bytes of a str whose characters all fit latin-1, without a copy. False if they don't (no exception). */
static inline int convert_latin1_span(PyObject *text, struct td_span *span)
{
    if (!PyUnicode_Check(text)) {
        return 0;
    }
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(text) < 0) {
        PyErr_Clear();
        return 0;
    }
#endif
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        return 0;
    }
    span->data = (const char *)PyUnicode_1BYTE_DATA(text);
    span->len = (size_t)PyUnicode_GET_LENGTH(text);
    return 1;
}

static inline struct td_span convert_bytes_span(PyObject *bytes)
{
    return td_span_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

/* Attributes read as C numbers; `none` is what None becomes. 0, or -1 with an exception. */
int convert_double_attribute(PyObject *object, PyObject *name, double none, double *value);
int convert_size_attribute(PyObject *object, PyObject *name, uint64_t none, uint64_t *value);
int convert_bool_attribute(PyObject *object, PyObject *name, bool *value);

/* A peer's address as socket.accept() gives it. New reference or NULL. */
PyObject *convert_address(const struct sockaddr *peer, socklen_t len);

#endif
