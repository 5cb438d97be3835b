/* See stream.h: how input comes in from the kernel. */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "errors.h"

#include "core/sockio.h"

#define DIRECT_MIN 65536 /* bytes from which on a read gets memory of its own */

enum received { RECEIVED_NOTHING, RECEIVED_SOME, RECEIVED_END, RECEIVED_RESULT, RECEIVED_FAILED };

/* -- one system call -- */

/* Up to len bytes into data. *count is set with TD_OK; TD_SYS leaves errno. */
static enum td_status receive_bytes(StreamObject *self, int fd, char *data, size_t len, size_t *count)
{
    if (self->kind != STREAM_PIPE) {
        enum td_status status = td_sock_recv(fd, data, len, count);
        /* A socket that gave less than was asked for is empty, and tells when it isn't. */
        self->more_in = status == TD_OK && (*count == len || self->ended);
        return status;
    }
    for (;;) {
        ssize_t received = read(fd, data, len);
        if (received > 0) {
            *count = (size_t)received;
            self->more_in = true;
            return TD_OK;
        }
        if (received == 0) {
            return TD_EOF;
        }
        if (errno != EINTR) {
            self->more_in = false;
            return errno == EAGAIN || errno == EWOULDBLOCK ? TD_AGAIN : TD_SYS;
        }
    }
}

/* -- where it goes -- */

static enum received keep(StreamObject *self, const char *data, size_t len)
{
    if (td_inbuf_append(&self->in, data, len) != TD_OK) {
        PyErr_NoMemory();
        return RECEIVED_FAILED;
    }
    return RECEIVED_SOME;
}

/* The read that waits, if `data` satisfies it and nothing came before: its result, made without the way through the buffer. */
static enum received try_result(StreamObject *self, const char *data, size_t len, PyObject **result)
{
    size_t size = 0;
    *result = NULL;
    if (self->in.len > 0 || !stream_is_set(self->read_future) || (long long)len > self->max_buffer_size) {
        return RECEIVED_SOME;
    }
    if (self->read_bytes != STREAM_NONE) {
        size_t wanted = (size_t)self->read_bytes;
        size = len >= wanted ? wanted : self->read_partial ? len : 0;
    }
    else if (stream_is_set(self->read_delimiter)) {
        size_t delimiter_len = (size_t)PyBytes_GET_SIZE(self->read_delimiter);
        const char *found = memmem(data, len, PyBytes_AS_STRING(self->read_delimiter), delimiter_len);
        size = found ? (size_t)(found - data) + delimiter_len : 0;
        if (self->read_max_bytes != STREAM_NONE && (long long)size > self->read_max_bytes) {
            size = 0;
        }
    }
    if (size == 0) {
        return RECEIVED_SOME;
    }
    *result = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    if (*result == NULL) {
        return RECEIVED_FAILED;
    }
    if (size < len && keep(self, data + size, len - size) == RECEIVED_FAILED) {
        Py_CLEAR(*result);
        return RECEIVED_FAILED;
    }
    return RECEIVED_RESULT;
}

static enum received into_scratch(StreamObject *self, int fd, size_t *count, enum td_status *status, PyObject **result)
{
    size_t room = (size_t)self->read_chunk_size < ENGINE_SCRATCH ? (size_t)self->read_chunk_size : ENGINE_SCRATCH;
    char *scratch = self->engine->scratch;
    *status = receive_bytes(self, fd, scratch, room, count);
    if (*status != TD_OK) {
        return RECEIVED_NOTHING;
    }
    enum received outcome = try_result(self, scratch, *count, result);
    return outcome == RECEIVED_SOME ? keep(self, scratch, *count) : outcome;
}

/* Gives a large read a bytes object of its own. Without memory, the ordinary buffer has to do. */
static void start_direct(StreamObject *self)
{
    if (self->direct != NULL || self->read_bytes < DIRECT_MIN || self->read_partial || self->kind == STREAM_TLS ||
        self->read_bytes > self->max_buffer_size || self->in.len >= (size_t)self->read_bytes ||
        !stream_is_set(self->read_future)) {
        return;
    }
    self->direct = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->read_bytes);
    if (self->direct == NULL) {
        PyErr_Clear();
        return;
    }
    self->filled = self->in.len;
    if (self->in.len > 0) {
        memcpy(PyBytes_AS_STRING(self->direct), td_inbuf_data(&self->in), self->in.len);
        td_inbuf_clear(&self->in);
    }
}

/* Into the caller's buffer. A buffer that has become too small is Tornado's to deal with. */
static enum received into_user_buffer(StreamObject *self, int fd, size_t *count, enum td_status *status)
{
    Py_buffer view;
    if (PyObject_GetBuffer(self->user_buffer, &view, PyBUF_WRITABLE) < 0) {
        return RECEIVED_FAILED;
    }
    if ((size_t)view.len <= self->filled) {
        *status = TD_EOF;
    }
    else {
        *status = receive_bytes(self, fd, (char *)view.buf + self->filled, (size_t)view.len - self->filled, count);
    }
    int error = errno;
    PyBuffer_Release(&view);
    errno = error;
    if (*status == TD_OK) {
        self->filled += *count;
        return RECEIVED_SOME;
    }
    return RECEIVED_NOTHING;
}

/* TLS gives bytes objects, which may be the result as they are. */
static enum received from_tls(StreamObject *self, size_t *count, PyObject **result)
{
    size_t room = (size_t)self->read_chunk_size < ENGINE_SCRATCH ? (size_t)self->read_chunk_size : ENGINE_SCRATCH;
    if (self->user_buffer != NULL) {
        Py_ssize_t len = PyObject_Size(self->user_buffer);
        if (len < 0) {
            return RECEIVED_FAILED;
        }
        if ((size_t)len < room + self->filled) {
            room = (size_t)len > self->filled ? (size_t)len - self->filled : 1;
        }
    }
    PyObject *data;
    int status = self->ssl_accepting ? 0 : stream_tls_read(self, room, &data);
    if (status == 0) {
        self->more_in = false;
        return RECEIVED_NOTHING;
    }
    if (status != 1) {
        return status == 2 ? RECEIVED_END : RECEIVED_FAILED;
    }
    self->more_in = true;
    *count = (size_t)PyBytes_GET_SIZE(data);
    const char *bytes = PyBytes_AS_STRING(data);
    enum received outcome;
    Py_buffer view;
    if (self->general) {
        /* Went over to Tornado's methods meanwhile. */
        PyObject *buffer = self->read_buffer ? PySequence_InPlaceConcat(self->read_buffer, data) : NULL;
        outcome = buffer ? RECEIVED_SOME : RECEIVED_FAILED;
        self->read_buffer_size += buffer ? PyBytes_GET_SIZE(data) : 0;
        Py_XDECREF(buffer);
    }
    else if (self->user_buffer == NULL) {
        outcome = try_result(self, bytes, *count, result);
        if (outcome == RECEIVED_SOME) {
            outcome = keep(self, bytes, *count);
        }
    }
    else if (PyObject_GetBuffer(self->user_buffer, &view, PyBUF_WRITABLE) < 0) {
        outcome = RECEIVED_FAILED;
    }
    else {
        size_t left = (size_t)view.len > self->filled ? (size_t)view.len - self->filled : 0;
        size_t part = *count < left ? *count : left;
        memcpy((char *)view.buf + self->filled, bytes, part);
        self->filled += part;
        PyBuffer_Release(&view);
        outcome = part < *count ? keep(self, bytes + part, *count - part) : RECEIVED_SOME;
    }
    Py_DECREF(data);
    return outcome;
}

/* -- _read_to_buffer -- */

/* The pending exception is an OSError of the descriptor. */
static enum received receive_failed(StreamObject *self)
{
    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        return RECEIVED_FAILED;
    }
    PyObject *error = errors_take();
    int quiet = stream_is_connreset(self, error);
    /* The writing half of a pipe that is closed may show itself this way. */
    if (quiet == 0 && self->kind == STREAM_PIPE) {
        PyObject *number = PyObject_GetAttrString(error, "errno");
        quiet = number && number != Py_None && PyLong_AsLong(number) == EBADF;
        Py_XDECREF(number);
        PyErr_Clear();
    }
    if (quiet < 0 || stream_close(self, error) < 0) {
        Py_DECREF(error);
        return RECEIVED_FAILED;
    }
    if (quiet) {
        Py_DECREF(error);
        return RECEIVED_END;
    }
    errors_give(error);
    return RECEIVED_FAILED;
}

static enum received buffer_full(StreamObject *self)
{
    struct native_state *state = self->state;
    static const char message[] = "Reached maximum read buffer size";
    stream_log(self, NAME(state, error), message, PyTuple_New(0), NULL);
    PyObject *error = PyObject_CallFunction(BOUND(state, StreamBufferFullError), "s", message);
    if (error != NULL && stream_close(self, error) == 0) {
        PyErr_SetObject(BOUND(state, StreamBufferFullError), error);
    }
    Py_XDECREF(error);
    return RECEIVED_FAILED;
}

static enum received receive_once(StreamObject *self, PyObject **result)
{
    enum td_status status = TD_OK;
    enum received outcome;
    size_t count = 0;
    *result = NULL;
    if (self->kind == STREAM_TLS) {
        outcome = from_tls(self, &count, result);
        if (outcome == RECEIVED_FAILED && !self->closed) {
            return receive_failed(self);
        }
        if (outcome == RECEIVED_END) {
            return stream_close(self, NULL) < 0 ? RECEIVED_FAILED : RECEIVED_END;
        }
    }
    else {
        int fd = stream_fd(self);
        if (self->user_buffer != NULL) {
            outcome = into_user_buffer(self, fd, &count, &status);
        }
        else {
            start_direct(self);
            if (self->direct != NULL) {
                status = receive_bytes(self, fd, PyBytes_AS_STRING(self->direct) + self->filled,
                                       (size_t)PyBytes_GET_SIZE(self->direct) - self->filled, &count);
                outcome = status == TD_OK ? RECEIVED_SOME : RECEIVED_NOTHING;
                self->filled += status == TD_OK ? count : 0;
            }
            else {
                outcome = into_scratch(self, fd, &count, &status, result);
            }
        }
        if (status == TD_EOF) {
            return stream_close(self, NULL) < 0 ? RECEIVED_FAILED : RECEIVED_END;
        }
        if (status == TD_SYS) {
            PyErr_SetFromErrno(PyExc_OSError);
            return receive_failed(self);
        }
    }
    if (outcome == RECEIVED_SOME && (long long)stream_available(self) > self->max_buffer_size) {
        return buffer_full(self);
    }
    return outcome;
}

/* -- _read_to_buffer_loop -- */

int stream_receive(StreamObject *self, bool eager, size_t *size)
{
    long long target = self->read_bytes != STREAM_NONE       ? self->read_bytes
                       : self->read_max_bytes != STREAM_NONE ? self->read_max_bytes
                       : stream_reading(self)                ? LLONG_MAX
                                                             : 0;
    size_t next_find = 0;
    while (!self->closed && !self->general) {
        PyObject *result;
        enum received outcome = receive_once(self, &result);
        if (outcome == RECEIVED_RESULT) {
            return stream_complete_with(self, result) < 0 ? -1 : 0;
        }
        if (outcome == RECEIVED_FAILED) {
            return -1;
        }
        size_t available = stream_available(self);
        if (outcome != RECEIVED_SOME || (long long)available >= target) {
            break;
        }
        if (available >= next_find) {
            int found = stream_find(self, size);
            if (found != 0) {
                return found;
            }
            next_find = available * 2;
        }
        if (!eager && !self->more_in) {
            break;
        }
    }
    return self->general ? 0 : stream_find(self, size);
}

/* _handle_read */
int stream_on_readable(StreamObject *self)
{
    if (self->kind == STREAM_TLS && self->ssl_accepting) {
        return stream_tls_handshake(self);
    }
    size_t size = 0;
    int status = stream_receive(self, false, &size);
    if (status == 1) {
        return stream_complete(self, size);
    }
    if (status == 0 || PyErr_ExceptionMatches(BOUND(self->state, UnsatisfiableReadError)) ||
        !PyErr_ExceptionMatches(PyExc_Exception)) {
        return status;
    }
    PyObject *error = errors_take();
    stream_log(self, NAME(self->state, warning), "error on read: %s", Py_BuildValue("(O)", error), NULL);
    status = stream_close(self, error);
    Py_DECREF(error);
    return status;
}
