/* See stream.h: write(). */
#include "stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "errors.h"

#include "core/sockio.h"

#define PIPE_VECTOR 64

/* -- what waits for its bytes to be sent -- */

static int push_write(StreamObject *self, PyObject *future)
{
    if (self->writes_start + self->writes_len == self->writes_capacity) {
        if (self->writes_start > 0) {
            memmove(self->writes, self->writes + self->writes_start, self->writes_len * sizeof(*self->writes));
            self->writes_start = 0;
        }
        if (self->writes_len == self->writes_capacity) {
            size_t capacity = self->writes_capacity ? self->writes_capacity * 2 : 4;
            struct stream_write *writes = PyMem_Realloc(self->writes, capacity * sizeof(*writes));
            if (writes == NULL) {
                PyErr_NoMemory();
                return -1;
            }
            self->writes = writes;
            self->writes_capacity = capacity;
        }
    }
    self->writes[self->writes_start + self->writes_len++] =
        (struct stream_write){.index = (uint64_t)self->total_write_index, .future = Py_NewRef(future)};
    return 0;
}

static int resolve_writes(StreamObject *self)
{
    while (self->writes_len > 0 && self->writes[self->writes_start].index <= (uint64_t)self->total_write_done_index) {
        PyObject *future = self->writes[self->writes_start].future;
        self->writes_len--;
        self->writes_start = self->writes_len ? self->writes_start + 1 : 0;
        int status = stream_resolve(self, future, Py_None);
        Py_DECREF(future);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

/* -- sending -- */

static enum td_status send_pipe(int fd, struct td_outbuf *out)
{
    while (out->size > 0) {
        struct iovec vector[PIPE_VECTOR];
        int count = td_outbuf_vector(out, vector, PIPE_VECTOR);
        ssize_t sent = writev(fd, vector, count);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN || errno == EWOULDBLOCK ? TD_AGAIN : TD_SYS;
        }
        td_outbuf_advance(out, (size_t)sent);
    }
    return TD_OK;
}

/* The pending exception is why output can't be sent: logs it if it is unusual, and closes the stream. 0 or -1. */
static int write_failed(StreamObject *self)
{
    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        return -1;
    }
    PyObject *error = errors_take();
    int quiet = stream_is_connreset(self, error);
    if (quiet == 0) {
        PyObject *fd = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, fileno));
        stream_log(self, NAME(self->state, warning), "Write error on %s: %s", fd ? Py_BuildValue("(NO)", fd, error) : NULL, NULL);
    }
    int status = quiet < 0 ? -1 : stream_close(self, error);
    Py_DECREF(error);
    return status;
}

int stream_flush(StreamObject *self)
{
    while (!self->closed && !self->general && stream_has_output(self)) {
        PyObject *holder = Py_NewRef(self->write_buffer);
        struct td_outbuf *out = &((StreamBufferObject *)holder)->out;
        size_t before = out->size;
        enum td_status status;
        if (self->kind == STREAM_TLS) {
            status = stream_tls_send(self);
        }
        else {
            int fd = stream_fd(self);
            status = self->kind == STREAM_PIPE ? send_pipe(fd, out) : td_sock_send(fd, out);
            /* Releasing what was sent may have closed the stream, or added to its output. */
            self->total_write_done_index += (long long)(before > out->size ? before - out->size : 0);
            if (status == TD_SYS) {
                PyErr_SetFromErrno(PyExc_OSError);
            }
        }
        Py_DECREF(holder);
        if (status == TD_SYS || status == TD_BAD) {
            return write_failed(self);
        }
        if (status == TD_AGAIN) {
            self->more_out = false;
            break;
        }
    }
    return self->general ? 0 : resolve_writes(self);
}

/* Sends from the caller's memory when nothing waits before it. The bytes taken; -1 with an exception. */
static Py_ssize_t send_now(StreamObject *self, PyObject *data, size_t len)
{
    Py_buffer view;
    const char *bytes;
    bool viewed = !PyBytes_CheckExact(data);
    if (viewed) {
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
            return -1;
        }
        bytes = view.buf;
    }
    else {
        bytes = PyBytes_AS_STRING(data);
    }
    int fd = stream_fd(self);
    ssize_t sent;
    do {
        sent = self->kind == STREAM_PIPE ? write(fd, bytes, len) : send(fd, bytes, len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    int error = errno;
    if (viewed) {
        PyBuffer_Release(&view);
    }
    if (sent < 0 && (error == EAGAIN || error == EWOULDBLOCK)) {
        sent = 0;
    }
    if (sent < 0) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    if ((size_t)sent < len) {
        self->more_out = false;
    }
    return sent;
}

/* Appends what is left of data, and keeps a future for it. 0 or -1. */
static int queue_data(StreamObject *self, PyObject *data, size_t len, size_t sent, PyObject *future)
{
    if (len > sent) {
        StreamBufferObject *buffer = stream_make_output(self);
        if (buffer == NULL || stream_buffer_put(buffer, data, sent) < 0) {
            return -1;
        }
    }
    self->total_write_index += (long long)len;
    self->total_write_done_index += (long long)sent;
    return push_write(self, future);
}

/* The rest of write(), with data of a known length. 0 or -1. */
static int write_data(StreamObject *self, PyObject *data, size_t len, PyObject *future)
{
    Py_ssize_t sent = 0;
    int status = 0;
    if (len > 0 && !self->connecting && self->kind != STREAM_TLS && !stream_has_output(self) && self->writes_len == 0) {
        sent = send_now(self, data, len);
        if (sent == (Py_ssize_t)len) {
            self->total_write_index += sent;
            self->total_write_done_index += sent;
            return stream_resolve(self, future, Py_None) < 0 ? -1 : stream_listen_for_close(self);
        }
        if (sent < 0) {
            /* The future is among those that fail as the stream closes. */
            PyObject *error = errors_take();
            status = push_write(self, future);
            self->total_write_index += (long long)len;
            if (status < 0) {
                Py_XDECREF(error);
                return -1;
            }
            errors_give(error);
            return write_failed(self);
        }
        status = queue_data(self, data, len, (size_t)sent, future);
    }
    else {
        status = queue_data(self, data, len, 0, future);
        if (status == 0 && !self->connecting && !(self->kind == STREAM_TLS && self->ssl_accepting)) {
            status = stream_flush(self);
        }
        else if (status == 0 && !self->connecting) {
            status = stream_tls_handshake(self);
        }
    }
    if (status < 0 || self->connecting) {
        return status;
    }
    if (stream_has_output(self) && stream_listen(self, STREAM_WRITE) < 0) {
        return -1;
    }
    return stream_listen_for_close(self);
}

/* -- the method -- */

/* The length of data that write() takes without Tornado's help; -1 if it doesn't. */
static Py_ssize_t plain_length(PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        return PyBytes_GET_SIZE(data);
    }
    if (PyByteArray_CheckExact(data)) {
        return PyByteArray_GET_SIZE(data);
    }
    if (PyMemoryView_Check(data)) {
        const Py_buffer *view = PyMemoryView_GET_BUFFER(data);
        if (view->obj != NULL && PyBuffer_IsContiguous(view, 'C')) {
            return view->len;
        }
    }
    return -1;
}

/* 1 if so much more output is too much, 0 if not, -1 with an exception. */
static int is_full(StreamObject *self, Py_ssize_t len)
{
    if (!stream_is_set(self->max_write_buffer_size) || len == 0) {
        return 0;
    }
    const struct td_outbuf *out = stream_output(self);
    PyObject *size = PyLong_FromSize_t((out ? out->size : 0) + (size_t)len);
    int full = size ? PyObject_RichCompareBool(size, self->max_write_buffer_size, Py_GT) : -1;
    Py_XDECREF(size);
    return full;
}

PyDoc_STRVAR(write_doc, "write($self, data)\n--\n\nWrite bytes; the Future is done when the kernel has them.");

static PyObject *stream_write(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"data"};
    PyObject *name = NAME(self->state, write);
    PyObject *data;
    if (!stream_take_arguments(names, 1, args, count, kwnames, &data)) {
        return stream_call_legacy(self, name, args, count, kwnames);
    }
    int fast = stream_enter(self);
    Py_ssize_t len = fast == 1 ? plain_length(data) : -1;
    if (fast == 1 && len < 0) {
        fast = stream_make_general(self, true);
    }
    if (fast <= 0) {
        return fast < 0 ? NULL : stream_call_tornado(self, name, args, count, kwnames);
    }
    if (self->closed) {
        stream_raise_closed(self);
        return NULL;
    }
    int full = is_full(self, len);
    if (full != 0) {
        if (full > 0) {
            PyErr_SetString(BOUND(self->state, StreamBufferFullError), "Reached maximum write buffer size");
        }
        return NULL;
    }
    PyObject *future = engine_make_future(self->state, self->engine);
    if (future == NULL) {
        return NULL;
    }
    Py_INCREF(self);
    if (write_data(self, data, (size_t)len, future) < 0) {
        Py_CLEAR(future);
    }
    Py_DECREF(self);
    return future;
}

PyMethodDef stream_write_methods[] = {
    {"write", (PyCFunction)(void (*)(void))stream_write, METH_FASTCALL | METH_KEYWORDS, write_doc},
    {NULL, NULL, 0, NULL},
};
