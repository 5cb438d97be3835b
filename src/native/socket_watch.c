/* See socket_watch.h. */
#include "socket_watch.h"

#include <errno.h>

#include "errors.h"
#include "socket_operation.h"

#define INPUT_EVENTS (EPOLLIN | EPOLLRDHUP)
#define IDLE_EVENTS 8 /* input events that nobody waited for, before the kernel is told to stop reporting them */

static const struct engine_kind engine_kind;

/* -- the table -- */

/* Is the watched descriptor still that of the socket that it was? */
static bool is_of(const SocketWatchObject *self, PyObject *sock)
{
    bool same;
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *found = NULL;
    if (PyWeakref_GetRef(self->socket_ref, &found) < 0) {
        PyErr_Clear();
    }
    same = found != NULL && found == sock;
    Py_XDECREF(found);
#else
    same = PyWeakref_GetObject(self->socket_ref) == sock;
#endif
    return same;
}

/* The socket, if it is there and still has the descriptor. New reference or NULL, without an exception. */
static PyObject *living_socket(const SocketWatchObject *self)
{
    PyObject *sock = NULL;
#if PY_VERSION_HEX >= 0x030d0000
    if (PyWeakref_GetRef(self->socket_ref, &sock) < 0) {
        PyErr_Clear();
    }
#else
    sock = PyWeakref_GetObject(self->socket_ref);
    sock = sock == Py_None ? NULL : Py_XNewRef(sock);
#endif
    if (sock == NULL) {
        return NULL;
    }
    PyObject *number = PyObject_CallMethodNoArgs(sock, NAME(self->state, fileno));
    long fd = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (PyErr_Occurred()) {
        PyErr_Clear();
    }
    if (fd < 0 || fd != self->source.fd) {
        Py_CLEAR(sock);
    }
    return sock;
}

/* Leaves the engine's set. */
static void stop(SocketWatchObject *self)
{
    PyObject *sock = living_socket(self);
    if (sock != NULL) {
        engine_unwatch(self->engine, &self->source);
        Py_DECREF(sock);
    }
    else {
        engine_forget(self->engine, &self->source);
    }
}

/* The watch of a descriptor, whoever it is of. New reference, or NULL without an exception. */
static SocketWatchObject *lookup(const EngineObject *engine, int fd)
{
    if (engine->sockets == NULL) {
        return NULL;
    }
    PyObject *key = PyLong_FromLong(fd);
    PyObject *found = key ? PyDict_GetItemWithError(engine->sockets, key) : NULL;
    Py_XINCREF(found);
    Py_XDECREF(key);
    if (found == NULL) {
        PyErr_Clear();
    }
    return (SocketWatchObject *)found;
}

static void remove_entry(EngineObject *engine, int fd)
{
    PyObject *key = PyLong_FromLong(fd);
    if (key == NULL || engine->sockets == NULL || PyDict_DelItem(engine->sockets, key) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(key);
}

/* Takes the first operation out, with the queue's reference to it; NULL if there is none. What is called between one and the next
 * may end others that are queued. */
static struct socket_operation *take_first(struct socket_queue *queue)
{
    struct socket_operation *operation = queue->first;
    if (operation != NULL) {
        queue->first = operation->next;
        if (queue->first == NULL) {
            queue->last = NULL;
        }
        operation->next = NULL;
        Py_CLEAR(operation->watch);
    }
    return operation;
}

static void poll_all(struct socket_queue *queue)
{
    struct socket_operation *operation;
    while ((operation = take_first(queue)) != NULL) {
        socket_operation_poll_soon(operation);
        Py_DECREF(operation);
    }
}

void socket_watch_release(EngineObject *engine, int fd)
{
    SocketWatchObject *self = lookup(engine, fd);
    if (self == NULL) {
        return;
    }
    PyObject *exception = errors_take();
    remove_entry(engine, fd);
    stop(self);
    poll_all(&self->readers);
    poll_all(&self->writers);
    Py_DECREF(self);
    errors_give(exception);
}

static SocketWatchObject *create(EngineObject *engine, PyObject *sock, int fd)
{
    if (engine->sockets == NULL) {
        if (native_fill(&engine->sockets, PyDict_New()) == NULL) {
            return NULL;
        }
        engine->release = socket_watch_release;
    }
    PyTypeObject *type = engine->state->socket_watch_type;
    SocketWatchObject *self = (SocketWatchObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = engine->state;
    self->engine = (EngineObject *)Py_NewRef((PyObject *)engine);
    self->events = INPUT_EVENTS | EPOLLET;
    self->socket_ref = PyWeakref_NewRef(sock, NULL);
    engine_source_init(&self->source, &engine_kind, (PyObject *)self);
    PyObject *key = PyLong_FromLong(fd);
    if (key == NULL || self->socket_ref == NULL || engine_watch_new(engine, &self->source, fd, self->events) < 0) {
        Py_CLEAR(self);
    }
    else if (PyDict_SetItem(engine->sockets, key, (PyObject *)self) < 0) {
        engine_unwatch(engine, &self->source);
        Py_CLEAR(self);
    }
    Py_XDECREF(key);
    return self;
}

SocketWatchObject *socket_watch_of(EngineObject *engine, PyObject *sock, int fd, bool *known)
{
    SocketWatchObject *self = lookup(engine, fd);
    *known = self != NULL && self->source.fd == fd && is_of(self, sock);
    if (*known) {
        return self;
    }
    if (self != NULL) {
        /* Of a socket that was closed: nobody can be served who still waits for it. */
        Py_DECREF(self);
        socket_watch_release(engine, fd);
    }
    return create(engine, sock, fd);
}

int socket_watch_arm(SocketWatchObject *self, bool output)
{
    uint32_t events = self->events | (output ? (uint32_t)EPOLLOUT : (uint32_t)INPUT_EVENTS);
    self->idle = 0;
    if (events != self->events) {
        if (engine_rewatch(self->engine, &self->source, events) < 0) {
            return -1;
        }
        self->events = events;
    }
    return 0;
}

/* -- events -- */

/* Serves a queue until the descriptor is exhausted. 0, or -1 with an exception that must leave the loop. */
static int serve(const struct socket_queue *queue)
{
    bool exits = false;
    while (queue->first != NULL && !exits) {
        struct socket_operation *operation = queue->first;
        Py_INCREF(operation);
        bool ended = socket_operation_ready(operation, &exits);
        Py_DECREF(operation);
        if (!ended) {
            break;
        }
    }
    return exits ? -1 : 0;
}

/* Nobody waits for these events: no more of them, please. They are asked for again by the next who waits. */
static void disarm(SocketWatchObject *self, uint32_t events)
{
    if (self->source.fd >= 0 && engine_rewatch(self->engine, &self->source, self->events & ~events) < 0) {
        PyErr_Clear();
        return;
    }
    self->events &= ~events;
}

static int on_event(PyObject *owner, uint32_t events)
{
    SocketWatchObject *self = (SocketWatchObject *)owner;
    int status = 0;
    Py_INCREF(self);
    if (events & (INPUT_EVENTS | EPOLLHUP | EPOLLERR)) {
        if (self->readers.first != NULL) {
            status = serve(&self->readers);
        }
        else if (++self->idle >= IDLE_EVENTS && (self->events & INPUT_EVENTS)) {
            disarm(self, INPUT_EVENTS);
        }
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        if (self->writers.first != NULL && status == 0) {
            status = serve(&self->writers);
        }
        if (self->writers.first == NULL && (self->events & EPOLLOUT)) {
            disarm(self, EPOLLOUT);
        }
    }
    if (status < 0) {
        engine_schedule(self->engine, &self->source);
    }
    Py_DECREF(self);
    return status;
}

/* After an exception that left the loop. */
static int on_turn(PyObject *owner)
{
    SocketWatchObject *self = (SocketWatchObject *)owner;
    int status = serve(&self->readers);
    return status == 0 ? serve(&self->writers) : status;
}

/* The loop is closed: as with asyncio, what waits waits for ever. */
static void on_close(PyObject *owner)
{
    stop((SocketWatchObject *)owner);
}

static const struct engine_kind engine_kind = {.on_event = on_event, .on_turn = on_turn, .on_close = on_close};

/* -- the type -- */

static void clear_queue(struct socket_queue *queue)
{
    struct socket_operation *operation;
    while ((operation = take_first(queue)) != NULL) {
        Py_DECREF(operation);
    }
}

static int watch_traverse(SocketWatchObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->engine);
    Py_VISIT(self->socket_ref);
    for (struct socket_operation *operation = self->readers.first; operation != NULL; operation = operation->next) {
        Py_VISIT(operation);
    }
    for (struct socket_operation *operation = self->writers.first; operation != NULL; operation = operation->next) {
        Py_VISIT(operation);
    }
    return 0;
}

static int watch_clear(SocketWatchObject *self)
{
    if (self->source.fd >= 0) {
        /* No Python is called to find out whether the socket is still there: in doubt the kernel keeps an entry that the
         * generation makes harmless. */
        engine_forget(self->engine, &self->source);
    }
    clear_queue(&self->readers);
    clear_queue(&self->writers);
    Py_CLEAR(self->socket_ref);
    return 0;
}

static void watch_dealloc(SocketWatchObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)watch_clear(self);
    Py_CLEAR(self->engine);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot watch_slots[] = {
    {Py_tp_new, native_no_new},
    {Py_tp_dealloc, watch_dealloc},
    {Py_tp_traverse, watch_traverse},
    {Py_tp_clear, watch_clear},
    {Py_tp_doc, "A socket between two waits of sock_recv() and its kin."},
    {0, NULL},
};

static PyType_Spec watch_spec = {
    .name = "tornadoc._native.SocketWatch",
    .basicsize = sizeof(SocketWatchObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = watch_slots,
};

int socket_watch_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &watch_spec, &state->socket_watch_type);
}
