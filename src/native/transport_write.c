/* See transport.h: output. */
#include "transport.h"

#include <errno.h>
#include <sys/socket.h>

#include "errors.h"

#include "core/sockio.h"

#define LOST_WRITES_LOGGED 5 /* asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES */

static const char write_error[] = "Fatal write error on socket transport";

static void release_object(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

/* -- queueing -- */

/* Appends bytes [sent, end) of data, whose memory is `view`. What can't change is held and not copied. 0 or -1. */
static int append(struct td_outbuf *out, PyObject *data, const Py_buffer *view, size_t sent)
{
    const char *rest = (const char *)view->buf + sent;
    size_t len = (size_t)view->len - sent;
    enum td_status status;
    if (len <= TD_OUTBUF_COPY_MAX) {
        status = td_outbuf_append(out, rest, len);
    }
    else {
        PyObject *owner;
        if (PyBytes_CheckExact(data)) {
            owner = Py_NewRef(data);
        }
        else {
            owner = PyBytes_FromStringAndSize(rest, (Py_ssize_t)len);
            if (owner == NULL) {
                return -1;
            }
            rest = PyBytes_AS_STRING(owner);
        }
        status = td_outbuf_append_held(out, rest, len, owner, release_object);
        if (status != TD_OK) {
            Py_DECREF(owner);
        }
    }
    if (status != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Output waits: the kernel will say when it has room. 0 or -1. */
static int await_room(TransportObject *self)
{
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        return -1;
    }
    Py_XSETREF(self->write_context, context);
    if (transport_watch(self) < 0) {
        return -1;
    }
    if (self->lazy_output && !self->output_armed) {
        if (engine_rewatch(self->engine, &self->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
            return -1;
        }
        self->output_armed = true;
    }
    return 0;
}

static int maybe_pause_protocol(TransportObject *self)
{
    if (self->protocol_paused || self->out.size <= self->high) {
        return 0;
    }
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, _maybe_pause_protocol));
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* May this be written now? 1, 0 (no, nothing to do), -1 with an exception. */
static int may_write(TransportObject *self, const char *after_eof, const char *in_sendfile)
{
    if (self->eof) {
        PyErr_SetString(PyExc_RuntimeError, after_eof);
        return -1;
    }
    if (self->empty_waiter != NULL && self->empty_waiter != Py_None) {
        PyErr_SetString(PyExc_RuntimeError, in_sendfile);
        return -1;
    }
    return 1;
}

/* A write after the connection was lost: counted, and logged from the fifth on. */
static PyObject *lost_write(TransportObject *self)
{
    if (self->conn_lost++ >= LOST_WRITES_LOGGED) {
        PyObject *result = PyObject_CallNoArgs(BOUND(self->state, warn_lost_write));
        if (result == NULL) {
            return NULL;
        }
        Py_DECREF(result);
    }
    Py_RETURN_NONE;
}

/* -- write() and its kin -- */

/* Sends at once. The number of bytes sent, or -1 with OSError. */
static Py_ssize_t send_now(TransportObject *self, const Py_buffer *view)
{
    for (;;) {
        ssize_t sent = send(self->fd, view->buf, (size_t)view->len, MSG_NOSIGNAL);
        if (sent >= 0) {
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        }
        if (errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
    }
}

static int write_view(TransportObject *self, PyObject *data, const Py_buffer *view)
{
    Py_ssize_t sent = 0;
    bool idle = self->out.size == 0;
    if (idle) {
        sent = send_now(self, view);
        if (sent < 0) {
            return transport_fatal(self, write_error);
        }
        if (sent == view->len) {
            return 0;
        }
    }
    if (append(&self->out, data, view, (size_t)sent) < 0) {
        /* A part is missing: nothing behind it may be sent. */
        return transport_fatal(self, write_error);
    }
    if (idle && await_room(self) < 0) {
        return -1;
    }
    return maybe_pause_protocol(self);
}

PyObject *transport_write(TransportObject *self, PyObject *data)
{
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
        PyObject *name = PyObject_GetAttr((PyObject *)Py_TYPE(data), NAME(self->state, __name__));
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like object, not %R", name);
            Py_DECREF(name);
        }
        return NULL;
    }
    if (may_write(self, "Cannot call write() after write_eof()", "unable to write; sendfile is in progress") < 0) {
        return NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        if (self->conn_lost > 0) {
            PyErr_Clear();
            return lost_write(self);
        }
        if (transport_fatal(self, write_error) < 0) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    PyObject *result = NULL;
    if (view.len == 0) {
        result = Py_NewRef(Py_None);
    }
    else if (self->conn_lost > 0) {
        result = lost_write(self);
    }
    else if (write_view(self, data, &view) == 0) {
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&view);
    return result;
}

/* Makes a queue of a list of bytes-like objects. 0 or -1 (`out` is then to be cleared). */
static int append_all(struct td_outbuf *out, PyObject *items)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(items, i));
        Py_buffer view;
        int status = PyObject_GetBuffer(item, &view, PyBUF_SIMPLE);
        if (status == 0) {
            if (view.len > 0) {
                status = append(out, item, &view, 0);
            }
            PyBuffer_Release(&view);
        }
        Py_DECREF(item);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

static int write_queue(TransportObject *self, struct td_outbuf *added)
{
    bool idle = self->out.size == 0;
    td_outbuf_splice(&self->out, added);
    if (!idle) {
        return maybe_pause_protocol(self);
    }
    enum td_status status = td_sock_send(self->fd, &self->out);
    if (status == TD_SYS) {
        PyErr_SetFromErrno(PyExc_OSError);
        td_outbuf_clear(&self->out);
        return transport_fatal(self, write_error);
    }
    if (self->out.size > 0 && await_room(self) < 0) {
        return -1;
    }
    return maybe_pause_protocol(self);
}

PyObject *transport_writelines(TransportObject *self, PyObject *list)
{
    if (may_write(self, "Cannot call writelines() after write_eof()", "unable to writelines; sendfile is in progress") < 0) {
        return NULL;
    }
    PyObject *items = PySequence_Fast(list, "writelines() takes an iterable of bytes-like objects");
    if (items == NULL) {
        return NULL;
    }
    struct td_outbuf added = {0};
    PyObject *result = NULL;
    if (append_all(&added, items) == 0) {
        /* Iterating may have run anything: look at the state only now. */
        if (added.size == 0) {
            result = Py_NewRef(Py_None);
        }
        else if (self->conn_lost > 0) {
            result = lost_write(self);
        }
        else if (write_queue(self, &added) == 0) {
            result = Py_NewRef(Py_None);
        }
    }
    td_outbuf_clear(&added);
    Py_DECREF(items);
    return result;
}

static int end_output(TransportObject *self)
{
    if (shutdown(self->fd, SHUT_WR) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

PyObject *transport_write_eof(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!self->closing && !self->eof) {
        self->eof = 1;
        if (self->out.size == 0 && end_output(self) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

/* -- the kernel has room -- */

/* empty_waiter.set_result(None), or set_exception(exception). 0 or -1. */
static int tell_empty_waiter(TransportObject *self, PyObject *exception)
{
    if (self->empty_waiter == NULL || self->empty_waiter == Py_None) {
        return 0;
    }
    PyObject *method = exception ? NAME(self->state, set_exception) : NAME(self->state, set_result);
    PyObject *waiter = Py_NewRef(self->empty_waiter);
    PyObject *result = PyObject_CallMethodOneArg(waiter, method, exception ? exception : Py_None);
    Py_DECREF(waiter);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int write_failed(TransportObject *self)
{
    PyErr_SetFromErrno(PyExc_OSError);
    PyObject *exception = errors_take();
    td_outbuf_clear(&self->out);
    errors_give(Py_NewRef(exception));
    int status = transport_fatal(self, write_error);
    if (status == 0) {
        status = tell_empty_waiter(self, exception);
    }
    Py_DECREF(exception);
    return status;
}

static int all_sent(TransportObject *self)
{
    Py_CLEAR(self->write_context);
    if (self->lazy_output && self->output_armed) {
        if (engine_rewatch(self->engine, &self->source, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0) {
            return -1;
        }
        self->output_armed = false;
    }
    if (tell_empty_waiter(self, NULL) < 0) {
        return -1;
    }
    if (self->conn_lost > 0) {
        return 0;
    }
    if (self->closing) {
        self->conn_lost++;
        transport_unwatch(self);
        PyObject *result = PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, _call_connection_lost), Py_None);
        Py_XDECREF(result);
        return result ? 0 : -1;
    }
    return self->eof ? end_output(self) : 0;
}

static int flush(TransportObject *self)
{
    if (td_sock_send(self->fd, &self->out) == TD_SYS) {
        return write_failed(self);
    }
    if (self->protocol_paused) {
        PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, _maybe_resume_protocol));
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
    }
    return self->out.size == 0 && self->conn_lost == 0 ? all_sent(self) : 0;
}

int transport_write_ready(TransportObject *self)
{
    if (self->conn_lost > 0 || self->out.size == 0) {
        return 0;
    }
    return transport_run(self, self->write_context, flush);
}
