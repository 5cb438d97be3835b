/* See listener.h. */
#include "listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "connection.h"
#include "convert.h"
#include "errors.h"

#include "core/clock.h"
#include "core/sockio.h"

#define EXHAUSTED_PAUSE 0.5 /* seconds without accepting when descriptors or memory ran out */

typedef struct {
    PyObject_HEAD
    struct native_state *state;
    EngineObject *engine; /* owned; NULL once stopped */
    ServerObject *server; /* owned: the HTTPServer that takes the connections, or NULL */
    PyObject *callback;   /* owned: who takes them else; one of the two until stopped */
    PyObject *context;    /* owned contextvars.Context that the callback runs in */
    PyObject *socket;     /* owned */
    int fd;
    struct engine_source source;
    struct td_timer timer;
    uint64_t last_log;
} ListenerObject;

/* callback(connection, address), in the context of whoever asked for it. Takes the descriptor. */
static int call_callback(ListenerObject *self, PyObject *callback, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    PyObject *address = convert_address((const struct sockaddr *)peer, len);
    PyObject *connection = address ? PyObject_CallFunction(BOUND(self->state, accepted_socket), "Oi", self->socket, fd) : NULL;
    PyObject *context = Py_XNewRef(self->context);
    PyObject *result = NULL;
    if (connection == NULL) {
        close(fd);
    }
    else if (PyContext_Enter(context) == 0) {
        result = PyObject_CallFunctionObjArgs(callback, connection, address, NULL);
        PyObject *exception = errors_take();
        if (PyContext_Exit(context) < 0) {
            errors_unraisable(self->state, context);
        }
        errors_give(exception);
    }
    Py_XDECREF(context);
    Py_XDECREF(address);
    Py_XDECREF(connection);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The same for a server that handles connections in its own way. */
static int hand_over(ListenerObject *self, ServerObject *server, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    PyObject *address = convert_address((const struct sockaddr *)peer, len);
    if (address == NULL) {
        close(fd);
        return -1;
    }
    PyObject *result = PyObject_CallFunction(BOUND(self->state, hand_over), "OiO", (PyObject *)server, fd, address);
    Py_DECREF(address);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* One accepted socket goes to the native connection, or to Tornado's _handle_connection where that is overridden. */
static int take_connection(ListenerObject *self, ServerObject *server, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    int native = server->native_accept ? server_prepare_tls(server) : 0;
    if (native < 0) {
        close(fd);
        return -1;
    }
    if (!native) {
        return hand_over(self, server, fd, peer, len);
    }
    if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6) {
        return conn_accept(server, self->engine, fd, (const struct sockaddr *)peer, NULL);
    }
    PyObject *address = convert_address((const struct sockaddr *)peer, len);
    if (address == NULL) {
        close(fd);
        return -1;
    }
    int status = conn_accept(server, self->engine, fd, NULL, address);
    Py_DECREF(address);
    return status;
}

static int resume_accepting(void *owner)
{
    ListenerObject *self = owner;
    if (self->engine == NULL || engine_rewatch(self->engine, &self->source, EPOLLIN) == 0) {
        return 0;
    }
    if (errors_report(self->state, "Exception in accept handler") < 0) {
        return -1;
    }
    /* Nothing else would ever watch it again. */
    if (self->engine != NULL &&
        engine_set_timer(self->engine, &self->timer, td_clock_after(td_clock_monotonic(), EXHAUSTED_PAUSE)) < 0) {
        return errors_report(self->state, "Exception in accept handler");
    }
    return 0;
}

static int on_accept_error(ListenerObject *self, int error)
{
    uint64_t now = td_clock_monotonic();
    if (self->last_log == 0 || now - self->last_log >= 1000000000u) {
        self->last_log = now;
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        if (errors_report(self->state, "Exception in callback of accept handler") < 0) {
            return -1;
        }
    }
    if (self->engine == NULL) {
        return 0;
    }
    /* The timer first: without it, nobody would take the mask off again. */
    if (engine_set_timer(self->engine, &self->timer, td_clock_after(now, EXHAUSTED_PAUSE)) < 0) {
        return errors_report(self->state, "Exception in accept handler");
    }
    if (engine_rewatch(self->engine, &self->source, 0) < 0) {
        return errors_report(self->state, "Exception in accept handler");
    }
    return 0;
}

/* Accepts a batch for the server, or for the callback. */
static int accept_batch(ListenerObject *self, ServerObject *server, PyObject *callback)
{
    int status = 0;
    for (int i = 0; i < LISTENER_BATCH && status == 0 && self->engine != NULL; i++) {
        struct sockaddr_storage peer;
        socklen_t len;
        int fd;
        enum td_status accepted = td_sock_accept(self->fd, server != NULL, &fd, &peer, &len);
        if (accepted == TD_AGAIN) {
            break;
        }
        if (accepted != TD_OK) {
            return on_accept_error(self, errno);
        }
        int taken = server ? take_connection(self, server, fd, &peer, len) : call_callback(self, callback, fd, &peer, len);
        if (taken < 0) {
            status = errors_report(self->state, "Exception in accept handler");
        }
    }
    return status;
}

static int on_event(PyObject *owner, uint32_t Py_UNUSED(events))
{
    ListenerObject *self = (ListenerObject *)owner;
    Py_INCREF(self);
    ServerObject *server = (ServerObject *)Py_XNewRef((PyObject *)self->server);
    PyObject *callback = Py_XNewRef(self->callback);
    int status = 0;
    if (server != NULL && server_refresh(server) < 0) {
        status = errors_report(self->state, "Exception in accept handler");
    }
    if (status == 0) {
        status = accept_batch(self, server, callback);
    }
    Py_XDECREF(callback);
    Py_XDECREF(server);
    Py_DECREF(self);
    return status;
}

static void listener_stop(ListenerObject *self)
{
    EngineObject *engine = self->engine;
    if (engine == NULL) {
        return;
    }
    self->engine = NULL;
    td_timers_remove(&engine->timers, &self->timer);
    ServerObject *server = self->server;
    PyObject *callback = self->callback;
    self->server = NULL;
    self->callback = NULL;
    Py_CLEAR(self->context);
    engine_unwatch(engine, &self->source);
    Py_DECREF(engine);
    Py_XDECREF(server);
    Py_XDECREF(callback);
}

static void on_close(PyObject *owner)
{
    ListenerObject *self = (ListenerObject *)owner;
    Py_INCREF(self);
    listener_stop(self);
    PyObject *result = self->socket ? PyObject_CallMethodNoArgs(self->socket, NAME(self->state, close)) : NULL;
    if (result == NULL && PyErr_Occurred()) {
        errors_unraisable(self->state, self->socket);
    }
    Py_XDECREF(result);
    Py_DECREF(self);
}

static int on_turn(PyObject *Py_UNUSED(owner))
{
    return 0; /* never scheduled */
}

static const struct engine_kind listener_engine_kind = {.on_event = on_event, .on_turn = on_turn, .on_close = on_close};

static PyObject *listener_call(ListenerObject *self, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Py_INCREF(self);
    listener_stop(self);
    Py_DECREF(self);
    Py_RETURN_NONE;
}

/* Starts accepting on a socket. New reference or NULL. */
static ListenerObject *listen_on(struct native_state *state, EngineObject *engine, PyObject *socket)
{
    int fd = PyObject_AsFileDescriptor(socket);
    if (fd < 0) {
        return NULL;
    }
    struct engine_source *known = engine_find(engine, &listener_engine_kind, fd);
    if (known != NULL && ((ListenerObject *)known->owner)->socket == socket) {
        PyErr_Format(PyExc_ValueError, "fd %d added twice", fd); /* as IOLoop.add_handler */
        return NULL;
    }
    ListenerObject *self = (ListenerObject *)state->listener_type->tp_alloc(state->listener_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->fd = fd;
    self->socket = Py_NewRef(socket);
    td_timer_init(&self->timer, resume_accepting, self);
    engine_source_init(&self->source, &listener_engine_kind, (PyObject *)self);
    if (engine_watch(engine, &self->source, fd, EPOLLIN) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->engine = (EngineObject *)Py_NewRef((PyObject *)engine);
    return self;
}

PyObject *listener_new(ServerObject *server, EngineObject *engine, PyObject *socket)
{
    ListenerObject *self = listen_on(server->state, engine, socket);
    if (self != NULL) {
        self->server = (ServerObject *)Py_NewRef((PyObject *)server);
        /* Set on the listening socket, it holds for all that it accepts. */
        int on = 1;
        (void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return (PyObject *)self;
}

static PyObject *listener_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"engine", "socket", "callback", NULL};
    struct native_state *state = native_state_of(type);
    PyObject *engine, *socket, *callback;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO:Listener", keywords, state->engine_type, &engine, &socket, &callback)) {
        return NULL;
    }
    PyObject *context = PyContext_CopyCurrent();
    ListenerObject *self = context ? listen_on(state, (EngineObject *)engine, socket) : NULL;
    if (self == NULL) {
        Py_XDECREF(context);
        return NULL;
    }
    self->context = context;
    self->callback = Py_NewRef(callback);
    return (PyObject *)self;
}

static int listener_traverse(ListenerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->engine);
    Py_VISIT(self->server);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->socket);
    return 0;
}

static int listener_clear(ListenerObject *self)
{
    listener_stop(self);
    Py_CLEAR(self->socket);
    return 0;
}

static void listener_dealloc(ListenerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)listener_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(listener_doc,
             "Listener(engine, socket, callback)\n--\n\nAccept connections on a listening socket: callback(connection, "
             "address) is called for each. Calling it stops that.");

static PyType_Slot listener_slots[] = {
    {Py_tp_new, listener_tp_new},
    {Py_tp_dealloc, listener_dealloc},
    {Py_tp_traverse, listener_traverse},
    {Py_tp_clear, listener_clear},
    {Py_tp_call, listener_call},
    {Py_tp_doc, (void *)listener_doc},
    {0, NULL},
};

static PyType_Spec listener_spec = {
    .name = "tornadoc._native.Listener",
    .basicsize = sizeof(ListenerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = listener_slots,
};

int listener_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &listener_spec, &state->listener_type);
}
