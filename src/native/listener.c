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
    ServerObject *server; /* owned; NULL once stopped */
    PyObject *socket;     /* owned */
    int fd;
    struct engine_source source;
    struct td_timer timer;
    uint64_t last_log;
} ListenerObject;

/* One accepted socket goes to the native connection, or to Tornado's _handle_connection where that is overridden or TLS is on. */
static int take_connection(ListenerObject *self, ServerObject *server, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    if (server->native_accept && (peer->ss_family == AF_INET || peer->ss_family == AF_INET6)) {
        return conn_accept(server, self->engine, fd, (const struct sockaddr *)peer, NULL);
    }
    PyObject *address = convert_address((const struct sockaddr *)peer, len);
    if (address == NULL) {
        close(fd);
        return -1;
    }
    int status;
    if (server->native_accept) {
        status = conn_accept(server, self->engine, fd, NULL, address);
    }
    else {
        PyObject *result = PyObject_CallFunction(BOUND(self->state, hand_over), "OiO", (PyObject *)server, fd, address);
        status = result == NULL ? -1 : 0;
        Py_XDECREF(result);
    }
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

static int on_event(PyObject *owner, uint32_t Py_UNUSED(events))
{
    ListenerObject *self = (ListenerObject *)owner;
    ServerObject *server = self->server;
    int status = 0;
    Py_INCREF(self);
    Py_INCREF(server);
    if (server_refresh(server) < 0) {
        status = errors_report(self->state, "Exception in accept handler");
    }
    for (int i = 0; i < LISTENER_BATCH && status == 0 && self->engine != NULL; i++) {
        struct sockaddr_storage peer;
        socklen_t len;
        int fd;
        enum td_status accepted = td_sock_accept(self->fd, &fd, &peer, &len);
        if (accepted == TD_AGAIN) {
            break;
        }
        if (accepted != TD_OK) {
            status = on_accept_error(self, errno);
            break;
        }
        if (take_connection(self, server, fd, &peer, len) < 0) {
            status = errors_report(self->state, "Exception in accept handler");
        }
    }
    Py_DECREF(server);
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
    self->server = NULL;
    engine_unwatch(engine, &self->source);
    Py_DECREF(engine);
    Py_DECREF(server);
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

PyObject *listener_new(ServerObject *server, EngineObject *engine, PyObject *socket)
{
    struct native_state *state = server->state;
    int fd = PyObject_AsFileDescriptor(socket);
    if (fd < 0) {
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
    /* Accepted sockets inherit it: an answer in several writes never waits for an ACK, and no connection pays for the call. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (engine_watch(engine, &self->source, fd, EPOLLIN) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->engine = (EngineObject *)Py_NewRef((PyObject *)engine);
    self->server = (ServerObject *)Py_NewRef((PyObject *)server);
    return (PyObject *)self;
}

static int listener_traverse(ListenerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->engine);
    Py_VISIT(self->server);
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

static PyType_Slot listener_slots[] = {
    {Py_tp_dealloc, listener_dealloc},
    {Py_tp_traverse, listener_traverse},
    {Py_tp_clear, listener_clear},
    {Py_tp_call, listener_call},
    {0, NULL},
};

static PyType_Spec listener_spec = {
    .name = "tornadoc._native.Listener",
    .basicsize = sizeof(ListenerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = listener_slots,
};

int listener_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &listener_spec, &state->listener_type);
}
