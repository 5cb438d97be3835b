/* See stream.h: TLS through the standard library's ssl.SSLSocket. Its recv_into() and send() are Python; this goes to the object
 * behind them, as they do. */
#include "stream.h"

#include <sys/socket.h>

#include "errors.h"

#define RECORD_MAX 16384 /* plaintext bytes of one TLS record */

/* Does object.name lead to this function, as a method? */
static bool leads_to(PyObject *object, PyObject *name, PyObject *function)
{
    PyObject *method = PyObject_GetAttr(object, name);
    if (method == NULL) {
        PyErr_Clear();
        return false;
    }
    bool same = PyMethod_Check(method) && PyMethod_GET_FUNCTION(method) == function;
    Py_DECREF(method);
    return same;
}

bool stream_tls_is_plain(StreamObject *self)
{
    struct native_state *state = self->state;
    PyObject *sock = self->socket;
    return sock != NULL && Py_IS_TYPE(sock, (PyTypeObject *)BOUND(state, SSLSocket)) &&
           leads_to(sock, NAME(state, recv_into), BOUND(state, ssl_recv_into)) &&
           leads_to(sock, NAME(state, send), BOUND(state, ssl_send));
}

/* The _ssl._SSLSocket; NULL with OSError where SSLSocket's methods would fall back to the bare socket or fail. */
static PyObject *ssl_object(StreamObject *self)
{
    PyObject *sock = Py_NewRef(self->socket ? self->socket : Py_None);
    PyObject *object = PyObject_GetAttr(sock, NAME(self->state, _sslobj));
    Py_DECREF(sock);
    if (object == Py_None) {
        Py_DECREF(object);
        PyErr_SetString(PyExc_OSError, "the TLS connection was unwrapped");
        return NULL;
    }
    return object;
}

bool stream_tls_is_drained(StreamObject *self)
{
    char byte;
    int fd = stream_fd(self);
    return fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* Does the socket take a ragged end for an end? */
static bool allows_ragged_end(StreamObject *self)
{
    PyObject *flag = PyObject_GetAttrString(self->socket ? self->socket : Py_None, "suppress_ragged_eofs");
    int truth = flag ? PyObject_IsTrue(flag) : 0;
    Py_XDECREF(flag);
    if (truth < 0 || flag == NULL) {
        PyErr_Clear();
    }
    return truth > 0;
}

int stream_tls_read(StreamObject *self, size_t len, PyObject **data)
{
    struct native_state *state = self->state;
    PyObject *object = ssl_object(self);
    if (object == NULL) {
        return -1;
    }
    PyObject *size = PyLong_FromSize_t(len);
    PyObject *bytes = size ? PyObject_CallMethodOneArg(object, NAME(state, read), size) : NULL;
    Py_XDECREF(size);
    Py_DECREF(object);
    if (bytes != NULL) {
        if (PyBytes_GET_SIZE(bytes) > 0) {
            *data = bytes;
            return 1;
        }
        Py_DECREF(bytes);
        return 2;
    }
    if (PyErr_ExceptionMatches(BOUND(state, SSLWantReadError)) || PyErr_ExceptionMatches(PyExc_BlockingIOError)) {
        PyErr_Clear();
        return 0;
    }
    if (PyErr_ExceptionMatches(BOUND(state, SSLEOFError))) {
        PyObject *error = errors_take();
        if (allows_ragged_end(self)) {
            Py_XDECREF(error);
            return 2;
        }
        errors_give(error);
    }
    return -1;
}

/* The first bytes of the output, at most a record's. New reference or NULL. */
static PyObject *gather(const struct td_outbuf *out)
{
    size_t len = out->size < RECORD_MAX ? out->size : RECORD_MAX;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    size_t done = 0;
    for (const struct td_outseg *segment = out->first; bytes != NULL && segment != NULL && done < len; segment = segment->next) {
        size_t part = segment->len < len - done ? segment->len : len - done;
        memcpy(PyBytes_AS_STRING(bytes) + done, segment->data, part);
        done += part;
    }
    return bytes;
}

enum td_status stream_tls_send(StreamObject *self)
{
    struct native_state *state = self->state;
    while (!self->closed && !self->general && stream_has_output(self)) {
        PyObject *object = ssl_object(self);
        PyObject *bytes = object ? gather(stream_output(self)) : NULL;
        PyObject *count = bytes ? PyObject_CallMethodOneArg(object, NAME(state, write), bytes) : NULL;
        Py_XDECREF(bytes);
        Py_XDECREF(object);
        Py_ssize_t sent = count ? PyLong_AsSsize_t(count) : -1;
        Py_XDECREF(count);
        if (sent < 0) {
            if (PyErr_ExceptionMatches(BOUND(state, SSLWantWriteError)) || PyErr_ExceptionMatches(PyExc_BlockingIOError)) {
                PyErr_Clear();
                return TD_AGAIN;
            }
            return TD_BAD;
        }
        if (sent == 0) {
            return TD_AGAIN;
        }
        struct td_outbuf *out = stream_output(self);
        if (out != NULL && (size_t)sent <= out->size) {
            PyObject *holder = Py_NewRef(self->write_buffer);
            td_outbuf_advance(out, (size_t)sent);
            self->total_write_done_index += sent;
            Py_DECREF(holder);
        }
    }
    return TD_OK;
}

int stream_tls_handshake(StreamObject *self)
{
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, _do_ssl_handshake));
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    if (self->handshake_reading) {
        self->more_in = false;
    }
    if (self->handshake_writing) {
        self->more_out = false;
    }
    return 0;
}
