/* See connection.h: a connection that leaves HTTP, for a WebSocket for instance (HTTP1Connection.detach). */
#include "connection.h"

#include <unistd.h>

#include "errors.h"
#include "tls.h"

#include "core/clock.h"

/* With an exception pending: the connection keeps its descriptor, or closes when that can't be watched again. */
static void go_on_after_detach(ServerConnectionObject *self)
{
    PyObject *exception = errors_take();
    if (engine_watch(self->engine, &self->source, self->fd, CONN_EVENTS) < 0) {
        PyErr_Clear();
        conn_close_soon(self);
    }
    errors_give(exception);
}

/* What Tornado detaches from a connection that is closed, by its answer for example: the closed stream, which gives what it has
 * received. */
static PyObject *detach_closed(ServerConnectionObject *self, PyObject *unread)
{
    PyObject *stream = conn_stream(self);
    PyObject *result = stream ? PyObject_CallFunctionObjArgs(BOUND(self->state, let_go), stream, unread, NULL) : NULL;
    if (result != NULL) {
        Py_CLEAR(self->stream);
    }
    return result;
}

/* An IOStream over the socket, with the input and the output that are left. New reference or NULL. */
static PyObject *adopt_socket(ServerConnectionObject *self, PyObject *unread)
{
    PyObject *unsent = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->out.size);
    PyObject *tls = conn_tls_parts(self);
    PyObject *result = NULL;
    if (unsent != NULL && tls != NULL) {
        char *p = PyBytes_AS_STRING(unsent);
        for (const struct td_outseg *segment = self->out.first; segment != NULL; segment = segment->next) {
            memcpy(p, segment->data, segment->len);
            p += segment->len;
        }
        /* The stream may be watched in the same epoll set, which takes a descriptor once. */
        engine_unwatch(self->engine, &self->source);
        PyObject *adopt = self->tls == NULL ? BOUND(self->state, adopt) : BOUND(self->state, tls_adopt);
        result = PyObject_CallFunction(
            adopt, self->tls == NULL ? "iOOOKK" : "iOOOKKO", self->fd, self->stream ? self->stream : Py_None, unread, unsent,
            (unsigned long long)self->server->max_buffer_size, (unsigned long long)self->server->chunk_size, tls);
    }
    Py_XDECREF(unsent);
    Py_XDECREF(tls);
    if (result == NULL && self->phase != CONN_CLOSED && self->source.fd < 0) {
        go_on_after_detach(self);
    }
    return result;
}

/* The socket belongs to a stream now. */
static void leave_socket(ServerConnectionObject *self)
{
    self->phase = CONN_CLOSED;
    self->deadline = TD_NEVER;
    td_timers_remove(&self->engine->timers, &self->timer);
    if (self->stream != NULL) {
        /* The stand-in has a descriptor of its own. */
        close(self->fd);
    }
    self->fd = -1;
    Py_CLEAR(self->stream);
    td_inbuf_clear(&self->in);
    td_outbuf_clear(&self->out);
    if (self->tls != NULL) {
        tls_clear(self->tls);
    }
    conn_wake_waiters(self);
    self->in_delegate = false;
    self->waiting_answer = false;
    self->notify_closed = true;
    conn_notify_closed(self);
}

PyObject *conn_detach(ServerConnectionObject *self)
{
    PyObject *unread = PyBytes_FromStringAndSize(self->in.len ? td_inbuf_data(&self->in) : NULL, (Py_ssize_t)self->in.len);
    if (unread == NULL) {
        return NULL;
    }
    conn_flush(self);
    if (self->phase == CONN_LINGER && self->out.size == 0) {
        conn_close_soon(self);
    }
    PyObject *result = NULL;
    if (self->phase != CONN_CLOSED) {
        result = adopt_socket(self, unread);
        if (result == NULL || self->phase != CONN_CLOSED) {
            Py_DECREF(unread);
            if (result != NULL) {
                leave_socket(self);
            }
            return result;
        }
        Py_DECREF(result);
    }
    result = detach_closed(self, unread);
    Py_DECREF(unread);
    return result;
}
