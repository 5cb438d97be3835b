/* See connection.h: a connection's life. */
#include "connection.h"

#include <errno.h>
#include <unistd.h>

#include "convert.h"
#include "errors.h"
#include "exchange.h"
#include "handler.h"
#include "request.h"
#include "tls.h"

#include "core/alloc.h"
#include "core/clock.h"
#include "core/sockio.h"

#define LINGER_SECONDS 2.0

/* -- deadlines -- */

int conn_set_deadline(ServerConnectionObject *self, uint64_t deadline)
{
    self->deadline = deadline;
    self->body_timer = false;
    if (deadline == TD_NEVER || (self->timer.index != TD_TIMER_IDLE && self->timer.deadline <= deadline)) {
        return 0;
    }
    return engine_set_timer(self->engine, &self->timer, deadline);
}

static int on_deadline(void *owner)
{
    ServerConnectionObject *self = owner;
    if (self->deadline == TD_NEVER || self->phase == CONN_CLOSED) {
        return 0;
    }
    if (td_clock_monotonic() < self->deadline) {
        if (engine_set_timer(self->engine, &self->timer, self->deadline) < 0) {
            return errors_report(self->state, "Exception in connection timer");
        }
        return 0;
    }
    Py_INCREF(self);
    if (self->body_timer) {
        PyObject *context = conn_context(self);
        errors_log(self->state, BOUND(self->state, gen_log), NAME(self->state, info), "Timeout reading body from %s",
                   context ? PyTuple_Pack(1, context) : NULL);
    }
    conn_close(self);
    Py_DECREF(self);
    return 0;
}

/* -- the current exchange -- */

static void clear_route(ServerConnectionObject *self)
{
    Py_CLEAR(self->application);
    Py_CLEAR(self->handler_class);
    Py_CLEAR(self->handler_kwargs);
    Py_CLEAR(self->path_args);
    Py_CLEAR(self->path_kwargs);
}

void conn_clear_exchange(ServerConnectionObject *self)
{
    struct td_head *head = self->head;
    self->head = NULL;
    td_head_release(head);
    clear_route(self);
    Py_CLEAR(self->handler);
    Py_CLEAR(self->delegate);
    Py_CLEAR(self->run_context);
    Py_CLEAR(self->close_callback);
    Py_CLEAR(self->body_bytes);
    Py_CLEAR(self->exchange);
    Py_CLEAR(self->request);
}

/* -- closing -- */

/* As far as Python can see: Tornado has closed a connection that lingers. */
static bool is_closed(const ServerConnectionObject *self)
{
    return self->phase == CONN_CLOSED || (self->phase == CONN_LINGER && self->out.size == 0);
}

static void close_stream(ServerConnectionObject *self)
{
    if (self->stream != NULL) {
        PyObject *result = PyObject_CallMethodNoArgs(self->stream, NAME(self->state, _closed_by_connection));
        if (result == NULL) {
            errors_unraisable(self->state, self->stream);
        }
        Py_XDECREF(result);
    }
}

static void close_descriptor(ServerConnectionObject *self)
{
    close_stream(self);
    if (self->tls != NULL) {
        tls_clear(self->tls);
    }
    close(self->fd);
    self->fd = -1;
}

/* Ends the socket's part; the exchange keeps what it needs to tell who waits. The caller has a reference of its own. */
static void close_socket(ServerConnectionObject *self)
{
    self->waiting_answer = self->phase == CONN_ANSWER;
    if (self->out.size > 0) {
        /* The answers that were gathered go out as far as they can. Nobody is left to tell that they can't. */
        enum td_status ignored = self->tls == NULL ? td_sock_send(self->fd, &self->out) : conn_tls_send(self, true);
        (void)ignored;
        if (self->phase == CONN_CLOSED) {
            return;
        }
    }
    self->phase = CONN_CLOSED;
    self->deadline = TD_NEVER;
    td_timers_remove(&self->engine->timers, &self->timer);
    engine_unwatch(self->engine, &self->source);
    close_descriptor(self);
    td_inbuf_clear(&self->in);
    td_outbuf_clear(&self->out);
    self->notify_closed = true;
    conn_wake_waiters(self);
}

static void call_back(ServerConnectionObject *self, PyObject *object, PyObject *method)
{
    PyObject *result = method ? PyObject_CallMethodNoArgs(object, method) : PyObject_CallNoArgs(object);
    if (result == NULL && errors_log_callback(self->state, object) < 0) {
        errors_unraisable(self->state, object);
    }
    Py_XDECREF(result);
}

void conn_notify_closed(ServerConnectionObject *self)
{
    if (!self->notify_closed) {
        return;
    }
    self->notify_closed = false;
    PyObject *exception = errors_take();
    Py_INCREF(self);
    struct native_state *state = self->state;
    PyObject *handler = (PyObject *)self->handler;
    PyObject *callback = self->close_callback;
    PyObject *delegate = self->in_delegate ? Py_XNewRef(self->delegate) : NULL;
    self->handler = NULL;
    self->close_callback = NULL;
    self->in_delegate = false;
    if (self->waiting_answer && handler != NULL) {
        call_back(self, handler, NAME(state, on_connection_close));
    }
    if (self->waiting_answer && callback != NULL) {
        call_back(self, callback, NULL);
    }
    if (delegate != NULL) {
        conn_tell_delegate_object(self, delegate);
    }
    Py_XDECREF(handler);
    Py_XDECREF(callback);
    Py_XDECREF(delegate);
    conn_clear_exchange(self);
    ServerObject *server = self->server;
    self->server = NULL;
    if (server != NULL) {
        server_forget(server, (PyObject *)self);
        Py_DECREF(server);
    }
    conn_end_task(self);
    Py_DECREF(self);
    errors_give(exception);
}

void conn_close(ServerConnectionObject *self)
{
    if (self->phase != CONN_CLOSED) {
        PyObject *exception = errors_take();
        close_socket(self);
        errors_give(exception);
    }
    conn_notify_closed(self);
}

void conn_close_soon(ServerConnectionObject *self)
{
    if (self->phase == CONN_CLOSED) {
        return;
    }
    PyObject *exception = errors_take();
    close_socket(self);
    if (self->engine->closed) {
        conn_notify_closed(self);
    }
    else if (!self->pumping) {
        engine_schedule(self->engine, &self->source);
    }
    errors_give(exception);
}

void conn_close_gracefully(ServerConnectionObject *self)
{
    if (self->phase == CONN_CLOSED) {
        return;
    }
    self->phase = CONN_LINGER;
    if (self->out.size > 0) {
        /* conn_flush comes back here when the output is gone; a peer that never reads is cut off. */
        double timeout = self->server->header_timeout;
        if (timeout >= 0 && conn_set_deadline(self, td_clock_after(engine_now(self->engine), timeout)) < 0) {
            PyErr_Clear();
        }
        return;
    }
    if (self->tls != NULL) {
        tls_say_goodbye(self->tls, self->fd);
        if (self->phase == CONN_CLOSED) {
            return;
        }
    }
    /* Without input waiting, closing sends a FIN behind the answer. With some, it would send a reset that can overtake it. */
    if (self->in.len == 0 && !self->readable && self->read_finished) {
        conn_close_soon(self);
        return;
    }
    if (self->in_delegate) {
        self->rest_fault = (uint8_t)conn_rest_fault(self);
    }
    PyObject *exception = errors_take();
    close_stream(self);
    errors_give(exception);
    if (self->phase == CONN_CLOSED) {
        return;
    }
    shutdown(self->fd, SHUT_WR);
    self->linger_bytes = 0;
    if (conn_set_deadline(self, td_clock_after(engine_now(self->engine), LINGER_SECONDS)) < 0) {
        PyErr_Clear();
        conn_close_soon(self);
        return;
    }
    self->readable = true;
    engine_schedule(self->engine, &self->source);
}

/* -- what Python asks of it -- */

PyObject *conn_address(ServerConnectionObject *self)
{
    if (self->address == NULL) {
        return native_fill(&self->address, convert_address(&self->peer.any, sizeof(self->peer)));
    }
    return self->address;
}

PyObject *conn_remote_ip(ServerConnectionObject *self)
{
    if (self->remote_ip == NULL) {
        if (self->peer.any.sa_family == AF_UNSPEC) {
            self->remote_ip = PyUnicode_FromString("0.0.0.0");
        }
        else {
            PyObject *address = conn_address(self);
            if (address != NULL) {
                self->remote_ip = Py_NewRef(PyTuple_GET_ITEM(address, 0));
            }
        }
    }
    return self->remote_ip;
}

PyObject *conn_protocol(ServerConnectionObject *self)
{
    int given = self->protocol ? PyObject_IsTrue(self->protocol) : 0;
    if (given != 0) {
        return given > 0 ? Py_NewRef(self->protocol) : NULL;
    }
    return PyUnicode_InternFromString(self->tls ? "https" : "http");
}

PyObject *conn_context(ServerConnectionObject *self)
{
    if (self->context == NULL) {
        PyObject *address = conn_address(self);
        PyObject *server = self->server ? (PyObject *)self->server : Py_None;
        PyObject *protocol = address ? conn_protocol(self) : NULL;
        if (protocol == NULL) {
            return NULL;
        }
        return native_fill(&self->context, PyObject_CallFunction(BOUND(self->state, make_context), "OiON", address,
                                                                 (int)self->peer.any.sa_family, server, protocol));
    }
    return self->context;
}

PyObject *conn_stream(ServerConnectionObject *self)
{
    if (self->stream == NULL) {
        PyObject *make = self->tls == NULL ? BOUND(self->state, make_stream) : BOUND(self->state, tls_stream);
        return native_fill(&self->stream, PyObject_CallFunction(make, "Oi", (PyObject *)self, is_closed(self) ? -1 : self->fd));
    }
    return self->stream;
}

/* -- the type -- */

/* Takes fd. *made: a new reference; NULL: the socket could not be watched, which is logged. 0, or -1 with an exception. */
static int new_connection(ServerObject *server, EngineObject *engine, int fd, const struct sockaddr *peer, PyObject *address,
                          ServerConnectionObject **made)
{
    *made = NULL;
    struct native_state *state = server->state;
    PyTypeObject *type = (PyTypeObject *)BOUND(state, HTTP1ServerConnection);
    ServerConnectionObject *self = (ServerConnectionObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        close(fd);
        return -1;
    }
    self->state = state;
    self->phase = CONN_CLOSED;
    self->fd = -1;
    self->deadline = TD_NEVER;
    self->expected = -1;
    self->waiters_end = &self->waiters;
    td_timer_init(&self->timer, on_deadline, self);
    engine_source_init(&self->source, &conn_engine_kind, (PyObject *)self);
    self->engine = (EngineObject *)Py_NewRef((PyObject *)engine);
    self->server = (ServerObject *)Py_NewRef((PyObject *)server);
    self->address = Py_XNewRef(address);
    self->protocol = Py_XNewRef(server->protocol);
    if (peer != NULL) {
        memcpy(&self->peer, peer, peer->sa_family == AF_INET ? sizeof(self->peer.ip4) : sizeof(self->peer.ip6));
    }
    else {
        self->peer.any.sa_family = AF_UNSPEC;
    }
    if (engine_watch(engine, &self->source, fd, CONN_EVENTS) < 0) {
        /* As Tornado, whose stream finds out in its first read. */
        int status = errors_log_uncaught(state, BOUND(state, gen_log), "Uncaught exception");
        close(fd);
        Py_DECREF(self);
        return status;
    }
    self->fd = fd;
    self->phase = CONN_HEAD;
    COUNTED(state, connections);
    *made = self;
    return 0;
}

/* 0, or -1 with an exception: then it is closed. */
static int start(ServerConnectionObject *self)
{
    ServerObject *server = self->server;
    int status = server->tls_context ? conn_tls_start(self, server->tls_context) : 0;
    if (status == 0 && self->phase != CONN_CLOSED) {
        status = PySet_Add(server->connections, (PyObject *)self);
    }
    if (status == 0 && self->phase != CONN_CLOSED) {
        status = conn_start(self);
    }
    if (status < 0) {
        conn_close(self);
    }
    return status;
}

int conn_accept(ServerObject *server, EngineObject *engine, int fd, const struct sockaddr *peer, PyObject *address)
{
    ServerConnectionObject *self;
    int status = new_connection(server, engine, fd, peer, address, &self);
    if (self != NULL) {
        status = start(self);
        Py_DECREF(self);
    }
    return status;
}

PyObject *conn_take(ServerObject *server, EngineObject *engine, int fd, const struct sockaddr *peer, PyObject *address,
                    PyObject *stream)
{
    ServerConnectionObject *self;
    int status = new_connection(server, engine, fd, peer, address, &self);
    if (self == NULL) {
        return status < 0 ? NULL : Py_NewRef(Py_None);
    }
    self->stream = Py_NewRef(stream);
    if (PyObject_SetAttr(stream, NAME(server->state, _connection), (PyObject *)self) < 0) {
        conn_close(self);
        Py_CLEAR(self);
    }
    else if (start(self) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int server_connection_traverse(ServerConnectionObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->engine);
    Py_VISIT(self->server);
    Py_VISIT(self->address);
    Py_VISIT(self->remote_ip);
    Py_VISIT(self->protocol);
    Py_VISIT(self->context);
    Py_VISIT(self->stream);
    Py_VISIT(self->request);
    Py_VISIT(self->handler);
    Py_VISIT(self->application);
    Py_VISIT(self->handler_class);
    Py_VISIT(self->handler_kwargs);
    Py_VISIT(self->path_args);
    Py_VISIT(self->path_kwargs);
    Py_VISIT(self->delegate);
    Py_VISIT(self->run_context);
    Py_VISIT(self->run_task);
    Py_VISIT(self->exchange);
    Py_VISIT(self->close_callback);
    if (self->tls != NULL) {
        int status = tls_traverse(self->tls, visit, arg);
        if (status != 0) {
            return status;
        }
    }
    for (struct conn_waiter *waiter = self->waiters; waiter != NULL; waiter = waiter->next) {
        Py_VISIT(waiter->future);
    }
    Py_VISIT(self->dict);
    return 0;
}

static int server_connection_clear(ServerConnectionObject *self)
{
    if (self->engine != NULL && self->phase != CONN_CLOSED) {
        /* Nobody can reach it any more, so nobody is told. No Python is called: at exit, the module's names may be gone. */
        self->phase = CONN_CLOSED;
        td_timers_remove(&self->engine->timers, &self->timer);
        engine_unwatch(self->engine, &self->source);
        close(self->fd);
        self->fd = -1;
    }
    self->notify_closed = false;
    while (self->waiters != NULL) {
        struct conn_waiter *waiter = self->waiters;
        self->waiters = waiter->next;
        Py_DECREF(waiter->future);
        td_free(waiter);
    }
    self->waiters_end = &self->waiters;
    td_inbuf_clear(&self->in);
    td_outbuf_clear(&self->out);
    if (self->tls != NULL) {
        tls_clear(self->tls);
    }
    conn_clear_exchange(self);
    Py_CLEAR(self->run_task);
    Py_CLEAR(self->server);
    Py_CLEAR(self->address);
    Py_CLEAR(self->remote_ip);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->context);
    Py_CLEAR(self->stream);
    Py_CLEAR(self->dict);
    return 0;
}

static void server_connection_dealloc(ServerConnectionObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)server_connection_clear(self);
    if (self->tls != NULL) {
        tls_free(self->tls);
    }
    Py_CLEAR(self->engine);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *get_stream(ServerConnectionObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(conn_stream(self));
}

static PyObject *get_context(ServerConnectionObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(conn_context(self));
}

static PyObject *get_params(ServerConnectionObject *self, void *Py_UNUSED(closure))
{
    if (self->server == NULL) {
        Py_RETURN_NONE;
    }
    return PyObject_GetAttr((PyObject *)self->server, NAME(self->state, conn_params));
}

/* -- for tornadoc.iostream's stand-in of the stream -- */

static PyObject *method_close(ServerConnectionObject *self, PyObject *Py_UNUSED(ignored))
{
    conn_close_soon(self);
    Py_RETURN_NONE;
}

static PyObject *method_ended(ServerConnectionObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->phase == CONN_CLOSED && !self->notify_closed);
}

static PyObject *method_closed(ServerConnectionObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(is_closed(self));
}

static PyObject *method_write(ServerConnectionObject *self, PyObject *data)
{
    if (is_closed(self)) {
        PyErr_SetNone(BOUND(self->state, StreamClosedError));
        return NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    enum td_status status = td_outbuf_append(&self->out, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (status != TD_OK) {
        return PyErr_NoMemory();
    }
    conn_flush(self);
    return conn_write_future(self);
}

static PyObject *method_tls(ServerConnectionObject *self, PyObject *Py_UNUSED(ignored))
{
    return conn_tls_parts(self);
}

static PyObject *method_pending(ServerConnectionObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t(self->out.size);
}

static PyObject *method_resumed(ServerConnectionObject *self, PyObject *future)
{
    return conn_resumed(self, future) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef server_connection_methods[] = {
    {"_resumed", (PyCFunction)method_resumed, METH_O,
     "_resumed($self, future, /)\n--\n\nThe delegate's future is done: read on."},
    {"_close", (PyCFunction)method_close, METH_NOARGS, "_close($self)\n--\n\nClose the socket at once."},
    {"_ended", (PyCFunction)method_ended, METH_NOARGS, "_ended($self, /)\n--\n\nIs it closed, and has everybody been told?"},
    {"_closed", (PyCFunction)method_closed, METH_NOARGS, "_closed($self)\n--\n\nIs the socket closed or detached?"},
    {"_write", (PyCFunction)method_write, METH_O,
     "_write($self, data, /)\n--\n\nSend raw bytes; a Future for when the kernel has them."},
    {"_tls", (PyCFunction)method_tls, METH_NOARGS,
     "_tls($self)\n--\n\nThe ssl module's objects, the records that are not sent, how many unsent bytes"
     " they stand for, and whether the handshake is done; None: no TLS."},
    {"_pending", (PyCFunction)method_pending, METH_NOARGS, "_pending($self)\n--\n\nHow many bytes wait to be sent."},
    {NULL, NULL, 0, NULL},
};

/* The current request, as long as it is not answered. */
static PyObject *get_request(ServerConnectionObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->request != NULL && self->phase <= CONN_ANSWER ? (PyObject *)self->request : Py_None);
}

static PyGetSetDef server_connection_getset[] = {
    {"_request", (getter)get_request, NULL, "The request that an Application is answering, or None.", NULL},
    {"stream", (getter)get_stream, NULL, "A stand-in for the IOStream.", NULL},
    {"context", (getter)get_context, NULL, "The connection's _HTTPRequestContext.", NULL},
    {"params", (getter)get_params, NULL, "The server's HTTP1ConnectionParameters.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef server_connection_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(ServerConnectionObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ServerConnectionObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(server_connection_doc, "The native half of a served connection; made by the engine when it accepts.");

static PyType_Slot server_connection_slots[] = {
    {Py_tp_new, native_no_new},
    {Py_tp_dealloc, server_connection_dealloc},
    {Py_tp_traverse, server_connection_traverse},
    {Py_tp_clear, server_connection_clear},
    {Py_tp_methods, server_connection_methods},
    {Py_tp_getset, server_connection_getset},
    {Py_tp_members, server_connection_members},
    {Py_tp_doc, (void *)server_connection_doc},
    {0, NULL},
};

static PyType_Spec server_connection_spec = {
    .name = "tornadoc._native.HTTP1ServerConnection",
    .basicsize = sizeof(ServerConnectionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = server_connection_slots,
};

int server_connection_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &server_connection_spec, &state->server_connection_type);
}
