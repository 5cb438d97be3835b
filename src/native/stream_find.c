/* See stream.h: does what has come satisfy the pending read, and what becomes of it then. */
#include "stream.h"

#include <string.h>

/* Raises UnsatisfiableReadError if the read may not reach that far. 0 or -1. */
static int check_max_bytes(StreamObject *self, PyObject *delimiter, size_t size)
{
    if (self->read_max_bytes == STREAM_NONE || (long long)size <= self->read_max_bytes) {
        return 0;
    }
    PyObject *message = PyUnicode_FromFormat("delimiter %R not found within %lld bytes", delimiter, self->read_max_bytes);
    if (message != NULL) {
        PyErr_SetObject(BOUND(self->state, UnsatisfiableReadError), message);
        Py_DECREF(message);
    }
    return -1;
}

static int find_delimiter(StreamObject *self, size_t *size)
{
    if (self->in.len == 0) {
        return 0;
    }
    PyObject *delimiter = Py_NewRef(self->read_delimiter);
    size_t len = (size_t)PyBytes_GET_SIZE(delimiter);
    const char *data = td_inbuf_data(&self->in);
    const char *found = memmem(data + self->searched, self->in.len - self->searched, PyBytes_AS_STRING(delimiter), len);
    int status;
    if (found != NULL) {
        *size = (size_t)(found - data) + len;
        status = check_max_bytes(self, delimiter, *size) < 0 ? -1 : 1;
    }
    else {
        self->searched = self->in.len >= len ? self->in.len - len + 1 : 0;
        status = check_max_bytes(self, delimiter, self->in.len);
    }
    Py_DECREF(delimiter);
    return status;
}

static int find_regex(StreamObject *self, size_t *size)
{
    if (self->in.len == 0) {
        return 0;
    }
    PyObject *regex = Py_NewRef(self->read_regex);
    size_t len = self->in.len;
    /* A copy: searching may run signal handlers. */
    PyObject *data = PyBytes_FromStringAndSize(td_inbuf_data(&self->in), (Py_ssize_t)len);
    PyObject *match = data ? PyObject_CallMethodOneArg(regex, NAME(self->state, search), data) : NULL;
    Py_XDECREF(data);
    int status = -1;
    if (match == Py_None) {
        status = check_max_bytes(self, regex, len);
    }
    else if (match != NULL) {
        PyObject *end = PyObject_CallMethodNoArgs(match, NAME(self->state, end));
        Py_ssize_t position = end ? PyLong_AsSsize_t(end) : -1;
        Py_XDECREF(end);
        if (position >= 0) {
            *size = (size_t)position;
            status = check_max_bytes(self, regex, *size) < 0 ? -1 : 1;
        }
    }
    Py_XDECREF(match);
    Py_DECREF(regex);
    return status;
}

int stream_find(StreamObject *self, size_t *size)
{
    if (self->read_bytes != STREAM_NONE) {
        size_t available = stream_available(self);
        unsigned long long wanted = (unsigned long long)self->read_bytes;
        if (available >= wanted || (self->read_partial && available > 0)) {
            *size = available < wanted ? available : (size_t)wanted;
            return 1;
        }
        /* The number may be that of a read that the stream's end has failed. */
    }
    if (stream_is_set(self->read_delimiter)) {
        return find_delimiter(self, size);
    }
    if (stream_is_set(self->read_regex)) {
        return find_regex(self, size);
    }
    return 0;
}

int stream_spill(StreamObject *self)
{
    if (self->direct == NULL) {
        return 0;
    }
    if (td_inbuf_append(&self->in, PyBytes_AS_STRING(self->direct), self->filled) != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    Py_CLEAR(self->direct);
    self->filled = 0;
    return 0;
}

/* The first bytes of the input, as bytes. New reference or NULL. */
static PyObject *consume(StreamObject *self, size_t size)
{
    if (self->direct != NULL && size == (size_t)PyBytes_GET_SIZE(self->direct)) {
        PyObject *result = self->direct;
        self->direct = NULL;
        self->filled = 0;
        return result;
    }
    if (stream_spill(self) < 0) {
        return NULL;
    }
    PyObject *result = PyBytes_FromStringAndSize(size ? td_inbuf_data(&self->in) : NULL, (Py_ssize_t)size);
    if (result != NULL && size > 0) {
        td_inbuf_consume(&self->in, size);
    }
    return result;
}

int stream_resolve(StreamObject *self, PyObject *future, PyObject *result)
{
    PyObject *cancelled = PyObject_CallMethodNoArgs(future, NAME(self->state, cancelled));
    int truth = cancelled ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    if (truth != 0) {
        return truth < 0 ? -1 : 0;
    }
    PyObject *none = PyObject_CallMethodOneArg(future, NAME(self->state, set_result), result);
    Py_XDECREF(none);
    return none ? 0 : -1;
}

static int finish_with(StreamObject *self, PyObject *result)
{
    int status = 0;
    self->searched = 0;
    if (stream_is_set(self->read_future)) {
        PyObject *future = self->read_future;
        self->read_future = NULL;
        status = stream_resolve(self, future, result);
        Py_DECREF(future);
    }
    Py_DECREF(result);
    return status < 0 || stream_listen_for_close(self) < 0 ? -1 : 0;
}

int stream_finish_read(StreamObject *self, size_t size)
{
    PyObject *result;
    if (self->user_buffer != NULL) {
        result = PyLong_FromSize_t(size);
        if (result != NULL) {
            self->filled = 0;
            Py_CLEAR(self->user_buffer);
        }
    }
    else {
        result = consume(self, size);
    }
    return result ? finish_with(self, result) : -1;
}

int stream_skip(StreamObject *self, size_t size)
{
    td_inbuf_consume(&self->in, size);
    self->searched = 0;
    return stream_listen_for_close(self);
}

static void forget_read(StreamObject *self)
{
    self->read_bytes = STREAM_NONE;
    self->read_partial = false;
    Py_CLEAR(self->read_delimiter);
    Py_CLEAR(self->read_regex);
}

int stream_complete(StreamObject *self, size_t size)
{
    forget_read(self);
    return stream_finish_read(self, size);
}

int stream_complete_with(StreamObject *self, PyObject *result)
{
    forget_read(self);
    return finish_with(self, result);
}
