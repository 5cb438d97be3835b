/* See engine.h. */
#include "engine.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "errors.h"
#include "stream.h"

#include "core/alloc.h"
#include "core/clock.h"

#define WAKE_TRIES 8

static void arm_timer(EngineObject *engine)
{
    uint64_t next = td_timers_next(&engine->timers);
    if (next == engine->armed || engine->driven) {
        return;
    }
    struct itimerspec when = {0};
    if (next != TD_NEVER) {
        /* Zero would disarm. */
        uint64_t at = next ? next : 1;
        when.it_value.tv_sec = (time_t)(at / 1000000000u);
        when.it_value.tv_nsec = (long)(at % 1000000000u);
    }
    timerfd_settime(engine->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    engine->armed = next;
}

int engine_set_timer(EngineObject *engine, struct td_timer *timer, uint64_t deadline)
{
    if (engine->closed) {
        return 0;
    }
    if (deadline == TD_NEVER) {
        td_timers_remove(&engine->timers, timer);
        return 0;
    }
    if (td_timers_set(&engine->timers, timer, deadline) != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    if (td_timers_next(&engine->timers) < engine->armed) {
        arm_timer(engine);
    }
    return 0;
}

void engine_source_init(struct engine_source *source, const struct engine_kind *kind, PyObject *owner)
{
    *source = (struct engine_source){.kind = kind, .owner = owner, .fd = -1};
}

static int on_source_event(void *owner, uint32_t events)
{
    const struct engine_source *source = owner;
    return source->kind->on_event(source->owner, events);
}

typedef enum td_status (*add_fn)(struct td_poller *poller, int fd, uint32_t events, td_poll_fn fn, void *owner, uint32_t *slot);

static int watch(EngineObject *engine, struct engine_source *source, int fd, uint32_t events, add_fn add)
{
    if (engine->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the event loop is closed");
        return -1;
    }
    engine_release_socket(engine, fd);
    enum td_status status = add(&engine->poller, fd, events, on_source_event, source, &source->slot);
    if (status == TD_OK) {
        source->fd = fd;
        Py_INCREF(source->owner);
        return 0;
    }
    if (status == TD_NOMEM) {
        PyErr_NoMemory();
    }
    else {
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return -1;
}

struct engine_source *engine_find(EngineObject *engine, const struct engine_kind *kind, int fd)
{
    for (uint32_t i = 0; i < engine->poller.slot_count; i++) {
        if (engine->poller.slots[i].fn == on_source_event) {
            struct engine_source *source = engine->poller.slots[i].owner;
            if ((kind == NULL || source->kind == kind) && source->fd == fd) {
                return source;
            }
        }
    }
    return NULL;
}

int engine_watch(EngineObject *engine, struct engine_source *source, int fd, uint32_t events)
{
    return watch(engine, source, fd, events, td_poller_add);
}

int engine_watch_new(EngineObject *engine, struct engine_source *source, int fd, uint32_t events)
{
    return watch(engine, source, fd, events, td_poller_add_new);
}

void engine_release_socket(EngineObject *engine, int fd)
{
    if (engine->release != NULL) {
        engine->release(engine, fd);
    }
}

int engine_rewatch(EngineObject *engine, struct engine_source *source, uint32_t events)
{
    if (!engine->closed && source->fd >= 0 && td_poller_modify(&engine->poller, source->fd, events, source->slot) != TD_OK) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

void engine_unwatch(EngineObject *engine, struct engine_source *source)
{
    if (source->fd < 0) {
        return;
    }
    if (!engine->closed) {
        td_poller_remove(&engine->poller, source->fd, source->slot);
    }
    source->fd = -1;
    Py_DECREF(source->owner);
}

void engine_forget(EngineObject *engine, struct engine_source *source)
{
    if (source->fd < 0) {
        return;
    }
    if (!engine->closed) {
        td_poller_forget(&engine->poller, source->slot);
    }
    source->fd = -1;
    Py_DECREF(source->owner);
}

uint64_t engine_now(EngineObject *engine)
{
    if (engine->now == 0) {
        return td_clock_monotonic();
    }
    return engine->now;
}

bool engine_has_callbacks(const EngineObject *engine)
{
    return engine->due == NULL || *engine->due > 0;
}

PyObject *engine_make_future(struct native_state *state, const EngineObject *engine)
{
    if (engine == NULL || engine->running_loop == NULL) {
        return PyObject_CallNoArgs(BOUND(state, Future));
    }
    return PyObject_Vectorcall(BOUND(state, Future), &engine->running_loop, 0, state->loop_keyword);
}

static void wake(EngineObject *engine)
{
    if (engine->driven) {
        return;
    }
    /* The counter can't be full: it is drained whenever it is seen. A write that fails for another reason is tried again, because
     * the queue would never be served. */
    uint64_t one = 1;
    for (int tries = 0; tries < WAKE_TRIES && write(engine->wake_fd, &one, sizeof(one)) < 0; tries++) {
    }
}

void engine_schedule(EngineObject *engine, struct engine_source *source)
{
    if (source->scheduled) {
        return;
    }
    if (engine->ready == NULL) {
        wake(engine);
    }
    source->scheduled = true;
    source->next_ready = NULL;
    Py_INCREF(source->owner);
    *engine->ready_end = source;
    engine->ready_end = &source->next_ready;
}

/* Empties the engine's queue. What is scheduled from here on belongs to the next turn. */
static struct engine_source *take_queue(EngineObject *engine)
{
    struct engine_source *queue = engine->ready;
    engine->ready = NULL;
    engine->ready_end = &engine->ready;
    return queue;
}

/* Takes the first source of a queue, and with it a reference to its owner; NULL if there is none. */
static struct engine_source *take_first(struct engine_source **queue)
{
    struct engine_source *source = *queue;
    if (source != NULL) {
        *queue = source->next_ready;
        source->scheduled = false;
    }
    return source;
}

static int run_queue(EngineObject *engine)
{
    struct engine_source *queue = take_queue(engine);
    struct engine_source *source;
    int status = 0;
    while ((source = take_first(&queue)) != NULL) {
        PyObject *served = source->owner;
        if (status == 0) {
            status = source->kind->on_turn(served);
        }
        else {
            engine_schedule(engine, source);
        }
        Py_DECREF(served);
    }
    return status;
}

static int on_wake(void *owner, uint32_t events)
{
    EngineObject *engine = owner;
    (void)events;
    uint64_t count;
    ssize_t ignored = read(engine->wake_fd, &count, sizeof(count));
    (void)ignored;
    return run_queue(engine);
}

static int on_timer(void *owner, uint32_t events)
{
    EngineObject *engine = owner;
    (void)events;
    uint64_t count;
    ssize_t ignored = read(engine->timer_fd, &count, sizeof(count));
    (void)ignored;
    engine->armed = TD_NEVER;
    int status = td_timers_run(&engine->timers, td_clock_monotonic());
    arm_timer(engine);
    return status;
}

/* What could not be raised where it happened leaves the loop instead. */
static int give_exit_exception(EngineObject *engine)
{
    if (engine->state->exit_exception == NULL) {
        return 0;
    }
    errors_give(engine->state->exit_exception);
    engine->state->exit_exception = NULL;
    return -1;
}

bool engine_is_ready(const EngineObject *engine)
{
    return engine->ready != NULL || engine->poller.batch_next < engine->poller.batch_len;
}

uint64_t engine_deadline(const EngineObject *engine)
{
    return td_timers_next(&engine->timers);
}

int engine_turn(EngineObject *engine)
{
    engine->runs++;
    if (!engine_is_ready(engine) && engine->timers.count == 0) {
        return give_exit_exception(engine);
    }
    int status = 0;
    engine->now = td_clock_monotonic();
    if (engine->poller.batch_next < engine->poller.batch_len) {
        status = td_poller_dispatch(&engine->poller);
    }
    if (status == 0 && td_timers_next(&engine->timers) <= engine->now) {
        status = td_timers_run(&engine->timers, engine->now);
    }
    if (status == 0 && engine->ready != NULL) {
        status = run_queue(engine);
    }
    engine->now = 0;
    return status < 0 ? status : give_exit_exception(engine);
}

PyDoc_STRVAR(engine_run_doc,
             "run($self, *ignored)\n--\n\nHandle what is ready, without waiting. The loop calls this when fileno() is "
             "readable.");

static PyObject *engine_run(EngineObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
    if (self->closed) {
        Py_RETURN_NONE;
    }
    self->runs++;
    /* One batch: what its handlers add to the loop's queue comes before the answers' clients can ask for it. */
    if (td_poller_fetch(&self->poller) == 0) {
        Py_RETURN_NONE;
    }
    self->now = td_clock_monotonic();
    int status = td_poller_dispatch(&self->poller);
    self->now = 0;
    if (status == 0) {
        status = give_exit_exception(self);
    }
    if (status < 0) {
        /* The rest of the batch has had its edges: make sure that the loop comes back for it. */
        if (!self->closed) {
            wake(self);
        }
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(engine_fileno_doc, "fileno($self)\n--\n\nThe epoll descriptor, to be watched for reading by the loop.");

static PyObject *engine_fileno(EngineObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(self->closed ? -1 : self->poller.epfd);
}

void engine_release(EngineObject *self)
{
    self->closed = true;
    td_poller_destroy(&self->poller);
    td_timers_destroy(&self->timers);
}

static void close_descriptors(EngineObject *self)
{
    if (self->closed) {
        return;
    }
    self->closed = true;
    if (self->driven) {
        return;
    }
    close(self->timer_fd);
    close(self->wake_fd);
    /* Callbacks that are on the stack may still arm and wake: not somebody else's descriptor. */
    self->timer_fd = -1;
    self->wake_fd = -1;
    td_poller_destroy(&self->poller);
    td_timers_destroy(&self->timers);
}

PyDoc_STRVAR(engine_close_doc,
             "close($self, files=True, /)\n--\n\nClose everything that it serves, and itself (IOLoop.close(all_fds=True) calls "
             "this). With files=False, streams are let go of with their descriptors open, as loop.close() does. Returns them.");

/* Closes one of the objects that are served; false if there is none left. Streams that stay open are put into `left`. */
static bool close_one(EngineObject *self, PyObject *left)
{
    for (uint32_t i = 0; i < self->poller.slot_count; i++) {
        if (self->poller.slots[i].fn == on_source_event) {
            struct engine_source *source = self->poller.slots[i].owner;
            PyObject *served = Py_NewRef(source->owner);
            if (self->keep_files && source->kind == &stream_engine_kind && PyList_Append(left, served) < 0) {
                PyErr_Clear(); /* what has to be closed comes first: without memory the stream goes with its last user */
            }
            source->kind->on_close(served);
            /* Whatever it did, the loop over the slots must come to an end. */
            engine_unwatch(self, source);
            Py_DECREF(served);
            return true;
        }
    }
    return false;
}

static PyObject *engine_close(EngineObject *self, PyObject *args)
{
    int files = 1;
    if (!PyArg_ParseTuple(args, "|p:close", &files)) {
        return NULL;
    }
    PyObject *left = PyList_New(0);
    if (left == NULL) {
        return NULL;
    }
    Py_INCREF(self);
    self->keep_files = !files;
    while (!self->closed && close_one(self, left)) {
        /* From the start each time: callbacks may have registered something in a slot that was passed. */
    }
    while (self->ready != NULL) {
        struct engine_source *queue = take_queue(self);
        struct engine_source *source;
        while ((source = take_first(&queue)) != NULL) {
            PyObject *served = source->owner;
            source->kind->on_close(served);
            Py_DECREF(served);
        }
    }
    close_descriptors(self);
    Py_CLEAR(self->sockets);
    Py_DECREF(self);
    return left;
}

static int setup(EngineObject *self)
{
    const uint32_t events = EPOLLIN | EPOLLET;
    self->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->timer_fd < 0 || self->wake_fd < 0) {
        return -1;
    }
    if (td_poller_add(&self->poller, self->timer_fd, events, on_timer, self, &self->timer_slot) != TD_OK ||
        td_poller_add(&self->poller, self->wake_fd, events, on_wake, self, &self->wake_slot) != TD_OK) {
        return -1;
    }
    return 0;
}

static EngineObject *make(struct native_state *state, bool driven)
{
    PyTypeObject *type = state->engine_type;
    EngineObject *self = (EngineObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->driven = driven;
    self->timer_fd = self->wake_fd = -1;
    self->poller.epfd = -1;
    self->closed = true;
    self->armed = TD_NEVER;
    self->ready_end = &self->ready;
    self->scratch = td_malloc(ENGINE_BULK);
    if (self->scratch == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    if (td_poller_init(&self->poller) != TD_OK) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    self->closed = false;
    if (!driven && setup(self) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

EngineObject *engine_make_driven(struct native_state *state)
{
    return make(state, true);
}

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Engine", keywords)) {
        return NULL;
    }
    struct native_state *state = native_state_of(type);
    return state ? (PyObject *)make(state, false) : NULL;
}

/* What is watched breaks its cycles when its own clear is called; what waits for a turn can't. */
static int engine_clear(EngineObject *self)
{
    struct engine_source *queue = take_queue(self);
    struct engine_source *source;
    while ((source = take_first(&queue)) != NULL) {
        Py_DECREF(source->owner);
    }
    Py_CLEAR(self->sockets);
    return 0;
}

static int engine_traverse(EngineObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->sockets);
    for (uint32_t i = 0; i < self->poller.slot_count; i++) {
        if (self->poller.slots[i].fn == on_source_event) {
            Py_VISIT(((const struct engine_source *)self->poller.slots[i].owner)->owner);
        }
    }
    for (const struct engine_source *source = self->ready; source != NULL; source = source->next_ready) {
        Py_VISIT(source->owner);
    }
    return 0;
}

static void engine_dealloc(EngineObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    /* Connections hold the engine, so none is registered or scheduled any more. */
    close_descriptors(self);
    Py_CLEAR(self->sockets);
    engine_release(self);
    td_free(self->scratch);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef engine_methods[] = {
    {"run", (PyCFunction)(void (*)(void))engine_run, METH_FASTCALL, engine_run_doc},
    {"close", (PyCFunction)engine_close, METH_VARARGS, engine_close_doc},
    {"fileno", (PyCFunction)engine_fileno, METH_NOARGS, engine_fileno_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef engine_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(EngineObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(engine_doc, "Engine()\n--\n\nAn epoll set that serves connections; one for each event loop.");

static PyType_Slot engine_slots[] = {
    {Py_tp_new, engine_new},           {Py_tp_dealloc, engine_dealloc},
    {Py_tp_traverse, engine_traverse}, {Py_tp_clear, engine_clear},
    {Py_tp_methods, engine_methods},   {Py_tp_members, engine_members},
    {Py_tp_doc, (void *)engine_doc},   {0, NULL},
};

static PyType_Spec engine_spec = {
    .name = "tornadoc._native.Engine",
    .basicsize = sizeof(EngineObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = engine_slots,
};

int engine_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &engine_spec, &state->engine_type);
}
