/* See loop.h. */
#include "loop.h"

#include <errno.h>

#include "guard.h"
#include "handle.h"

#include "core/clock.h"

#define FIRST_RING 64
#define GIL_PERIOD 5000000u   /* nanoseconds of work between two chances for other threads; CPython's own switch interval */
#define LONGEST_WAIT 86400000 /* milliseconds: asyncio's MAXIMUM_SELECT_TIMEOUT */

static int grow_ring(LoopObject *self)
{
    size_t size = self->ready_size ? self->ready_size * 2 : FIRST_RING;
    PyObject **ready = PyMem_Malloc(size * sizeof(*ready));
    if (ready == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < self->ready_count; i++) {
        ready[i] = self->ready[(self->ready_head + i) & (self->ready_size - 1)];
    }
    PyMem_Free(self->ready);
    self->ready = ready;
    self->ready_size = size;
    self->ready_head = 0;
    return 0;
}

int loop_add_ready(LoopObject *self, PyObject *handle)
{
    if (self->ready_count == self->ready_size && grow_ring(self) < 0) {
        return -1;
    }
    self->ready[(self->ready_head + self->ready_count) & (self->ready_size - 1)] = Py_NewRef(handle);
    self->ready_count++;
    return 0;
}

/* With the queue's reference. */
static PyObject *take_ready(LoopObject *self)
{
    PyObject *handle = self->ready[self->ready_head];
    self->ready_head = (self->ready_head + 1) & (self->ready_size - 1);
    self->ready_count--;
    return handle;
}

/* Gives the queue's reference back. */
static void let_go(const LoopObject *self, PyObject *handle)
{
    if (Py_REFCNT(handle) > 1) {
        handle_track(self->state, handle);
    }
    Py_DECREF(handle);
}

static void drop_ready(LoopObject *self)
{
    while (self->ready_count > 0) {
        let_go(self, take_ready(self));
    }
}

void loop_wake(LoopObject *self)
{
    self->woken = true;
    if (self->waiting) {
        self->waiting = false;
        td_wakeup_raise(&self->wakeup);
    }
}

static int on_wakeup(void *owner, uint32_t events)
{
    /* An edge: there is nothing to be read. */
    (void)owner;
    (void)events;
    return 0;
}

int loop_check_closed(LoopObject *self)
{
    if (self->closed) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    return 0;
}

bool loop_is_debugging(struct native_state *state, PyObject *loop)
{
    return loop != NULL && PyObject_TypeCheck(loop, state->loop_type) && ((LoopObject *)loop)->debug;
}

PyObject *loop_time_object(uint64_t now)
{
    return PyFloat_FromDouble((double)now / 1e9);
}

bool loop_changes(LoopObject *self, uint64_t hooks)
{
    return ((guard_type_mask(self->state, GUARD_LOOP, Py_TYPE(self)) | self->shadowed) & hooks) != 0;
}

bool loop_is_odd(LoopObject *self)
{
    return self->debug || loop_changes(self, LOOP_HOOK(call_soon) | LOOP_HOOK(call_soon_threadsafe));
}

bool loop_runs_here(const LoopObject *self)
{
    return self->running && self->thread_id == PyThread_get_thread_ident();
}

int loop_now(LoopObject *self, uint64_t *now)
{
    if (!loop_changes(self, LOOP_HOOK(time))) {
        *now = td_clock_monotonic();
        return 0;
    }
    PyObject *time = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, time));
    int status = time ? loop_to_deadline(time, now) : -1;
    Py_XDECREF(time);
    return status;
}

static uint64_t span_until(uint64_t deadline, uint64_t now)
{
    return deadline == TD_NEVER ? TD_NEVER : deadline > now ? deadline - now : 0;
}

/* How long the epoll set may be waited in: milliseconds, -1 for ever. 0, or -1 with an exception. */
static int find_timeout(LoopObject *self, int *timeout)
{
    *timeout = 0;
    if (self->ready_count > 0 || self->stopping || self->woken || engine_is_ready(self->engine)) {
        return 0;
    }
    uint64_t wait = TD_NEVER;
    if (self->timers.count > 0) {
        uint64_t now;
        if (loop_now(self, &now) < 0) {
            return -1;
        }
        wait = span_until(td_timers_next(&self->timers), now);
    }
    uint64_t deadline = engine_deadline(self->engine);
    if (deadline != TD_NEVER) {
        uint64_t other = span_until(deadline, td_clock_monotonic());
        wait = other < wait ? other : wait;
    }
    if (wait == TD_NEVER) {
        *timeout = -1;
        return 0;
    }
    uint64_t milliseconds = wait / 1000000 + (wait % 1000000 != 0);
    *timeout = milliseconds < LONGEST_WAIT ? (int)milliseconds : LONGEST_WAIT;
    return 0;
}

/* Fetches events. 0, or -1 with an exception from a signal handler. */
static int poll(LoopObject *self)
{
    struct td_poller *poller = &self->engine->poller;
    int timeout;
    if (find_timeout(self, &timeout) < 0) {
        return -1;
    }
    self->woken = false;
    uint64_t now = td_clock_monotonic();
    int count;
    int error = 0;
    if (timeout == 0 && now - self->gil_offered < GIL_PERIOD) {
        count = td_poller_wait(poller, 0);
        error = errno;
    }
    else {
        self->waiting = true;
        /* clang-format off */
        Py_BEGIN_ALLOW_THREADS
        count = td_poller_wait(poller, timeout);
        error = errno;
        Py_END_ALLOW_THREADS
        /* clang-format on */
        self->waiting = false;
        self->woken = false;
        self->gil_offered = td_clock_monotonic();
    }
    if (count < 0 && error != EINTR) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    /* After EINTR, too: what the handler did may be due, so the wait is not taken up again here. */
    return PyErr_CheckSignals();
}

/* A handle that somebody else made. 0 or -1. */
static int run_foreign(LoopObject *self, PyObject *handle)
{
    PyObject *cancelled = PyObject_GetAttr(handle, NAME(self->state, _cancelled));
    int skip = cancelled ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    if (skip != 0) {
        return skip < 0 ? -1 : 0;
    }
    PyObject *result = PyObject_CallMethodNoArgs(handle, NAME(self->state, _run));
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int run_handle(LoopObject *self, PyObject *handle)
{
    struct native_state *state = self->state;
    if (!handle_is_native(state, handle)) {
        return run_foreign(self, handle);
    }
    return handle_is_cancelled(state, handle) ? 0 : handle_run(state, handle);
}

/* In debug mode: says what took long. */
static int run_watched(LoopObject *self, PyObject *handle)
{
    Py_XSETREF(self->current_handle, Py_NewRef(handle));
    uint64_t start = td_clock_monotonic();
    int status = run_handle(self, handle);
    double took = (double)(td_clock_monotonic() - start) / 1e9;
    if (status == 0) {
        PyObject *limit = PyObject_GetAttr((PyObject *)self, NAME(self->state, slow_callback_duration));
        double seconds = limit ? PyFloat_AsDouble(limit) : -1;
        Py_XDECREF(limit);
        if (seconds == -1.0 && PyErr_Occurred()) {
            status = -1;
        }
        else if (took >= seconds) {
            PyObject *result = PyObject_CallFunction(BOUND(self->state, report_slow), "Od", handle, took);
            status = result ? 0 : -1;
            Py_XDECREF(result);
        }
    }
    Py_CLEAR(self->current_handle);
    return status;
}

/* Runs the first handles of the queue. 0 or -1. */
static int run_ready(LoopObject *self, size_t count)
{
    int status = 0;
    while (status == 0 && count-- > 0 && self->ready_count > 0) {
        PyObject *handle = take_ready(self);
        status = self->debug ? run_watched(self, handle) : run_handle(self, handle);
        let_go(self, handle);
    }
    return status;
}

/* Has the collector look at the handles that others hold as well: with the loop at rest, they may be part of garbage. */
static void track_held(LoopObject *self)
{
    for (size_t i = 0; i < self->ready_count; i++) {
        PyObject *handle = self->ready[(self->ready_head + i) & (self->ready_size - 1)];
        if (Py_REFCNT(handle) > 1) {
            handle_track(self->state, handle);
        }
    }
}

static int collect_timers(LoopObject *self)
{
    uint64_t now;
    if (self->timers.count == 0) {
        return 0;
    }
    return loop_now(self, &now) < 0 ? -1 : loop_collect_timers(self, now);
}

/* As in asyncio, what was ready before comes ahead of this iteration's events and timers, and what any of them adds is the next
 * iteration's. 0 or -1. */
static int run_in_order(LoopObject *self)
{
    size_t before = self->ready_count;
    if (loop_collect_events(self) < 0 || collect_timers(self) < 0) {
        return -1;
    }
    size_t collected = self->ready_count - before;
    if (run_ready(self, before) < 0 || engine_turn(self->engine) < 0) {
        return -1;
    }
    return run_ready(self, collected);
}

/* Waits until there is something for Python, and runs it. 0 or -1. */
static int iterate(LoopObject *self)
{
    const struct td_poller *poller = &self->engine->poller;
    do {
        /* The rest of a batch that an exception has cut off was there before what is ready. */
        bool rest = poller->batch_next < poller->batch_len;
        if (poll(self) < 0) {
            return -1;
        }
        if (self->ready_count > 0 && !rest) {
            return run_in_order(self);
        }
        if (engine_turn(self->engine) < 0 || collect_timers(self) < 0) {
            return -1;
        }
        /* When it has to stop, the rest is asyncio's. */
    } while (self->ready_count == 0 && !self->stopping);
    return run_ready(self, self->ready_count);
}

PyDoc_STRVAR(run_once_doc,
             "_run_once($self, /)\n--\n\nWait for events and run what is ready. Returns after an iteration in which "
             "Python handles ran, or when the loop has to stop.");

static PyObject *loop_run_once(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    if (loop_check_closed(self) < 0) {
        return NULL;
    }
    PyObject *outer = self->engine->running_loop;
    self->engine->running_loop = (PyObject *)self;
    int status = iterate(self);
    self->engine->running_loop = outer;
    if (status < 0 || self->stopping) {
        track_held(self);
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(time_doc, "time($self, /)\n--\n\nThe loop's clock: time.monotonic().");

static PyObject *loop_time(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    return loop_time_object(td_clock_monotonic());
}

PyDoc_STRVAR(stop_doc, "stop($self, /)\n--\n\nStop after this iteration; see asyncio's loop.stop().");

static PyObject *loop_stop(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    self->stopping = true;
    Py_RETURN_NONE;
}

static PyObject *loop_is_running(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->running);
}

static PyObject *loop_is_closed(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->closed);
}

static PyObject *loop_get_debug(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->debug);
}

static PyObject *loop_check_closed_method(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    return loop_check_closed(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *loop_write_to_self(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    loop_wake(self);
    Py_RETURN_NONE;
}

static PyObject *loop_add_callback(LoopObject *self, PyObject *handle)
{
    PyObject *cancelled = PyObject_GetAttr(handle, NAME(self->state, _cancelled));
    int skip = cancelled ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    if (skip < 0 || (skip == 0 && loop_add_ready(self, handle) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *loop_timer_handle_cancelled(LoopObject *self, PyObject *handle)
{
    if (Py_TYPE(handle) == self->state->timer_handle_type) {
        loop_timer_cancelled(self->state, (PyObject *)self, handle);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(ready_handles_doc, "_ready_handles($self, /)\n--\n\nThe ready queue, as a list.");

static PyObject *loop_ready_handles(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    /* This may start the collector, and a finalizer add to the queue: how long it is counts only from here on. */
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < self->ready_count; i++) {
        PyObject *handle = self->ready[(self->ready_head + i) & (self->ready_size - 1)];
        handle_track(self->state, handle); /* who looks may keep it */
        if (PyList_Append(list, handle) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyDoc_STRVAR(timer_handles_doc, "_timer_handles($self, /)\n--\n\nThe timers that wait, as a list in the order of a heap.");

static PyObject *loop_timer_handles(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PyList_New(0); /* as above */
    for (size_t i = 0; list != NULL && i < self->timers.count; i++) {
        if (PyList_Append(list, self->timers.heap[i]->owner) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *loop_clear_ready(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    drop_ready(self);
    Py_RETURN_NONE;
}

static PyObject *loop_clear_timers(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    loop_drop_timers(self);
    Py_RETURN_NONE;
}

/* Lets go of everything but the Python attributes. */
static void release(LoopObject *self)
{
    if (self->engine != NULL) {
        loop_drop_watches(self);
    }
    drop_ready(self);
    loop_drop_timers(self);
    Py_CLEAR(self->current_handle);
}

PyDoc_STRVAR(release_doc, "_release($self, /)\n--\n\nClose the descriptors of a loop that is closed.");

static PyObject *loop_release(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    if (self->running || !self->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the loop is not closed");
        return NULL;
    }
    release(self);
    td_timers_destroy(&self->timers);
    engine_release(self->engine);
    td_wakeup_destroy(&self->wakeup);
    Py_RETURN_NONE;
}

static PyObject *get_thread_id(LoopObject *self, void *Py_UNUSED(closure))
{
    return self->running ? PyLong_FromUnsignedLong(self->thread_id) : Py_NewRef(Py_None);
}

static int set_thread_id(LoopObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || value == Py_None) {
        self->running = false;
        return 0;
    }
    unsigned long id = PyLong_AsUnsignedLong(value);
    if (id == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    self->thread_id = id;
    self->running = true;
    return 0;
}

/* Attributes that are true or false; asyncio assigns them. */
enum flag { FLAG_STOPPING, FLAG_CLOSED, FLAG_DEBUG };

static bool *flag_of(LoopObject *self, void *which)
{
    switch ((enum flag)(intptr_t)which) {
    case FLAG_STOPPING:
        return &self->stopping;
    case FLAG_CLOSED:
        return &self->closed;
    default:
        return &self->debug;
    }
}

static PyObject *get_flag(LoopObject *self, void *which)
{
    return PyBool_FromLong(*flag_of(self, which));
}

static int set_flag(LoopObject *self, PyObject *value, void *which)
{
    int truth = value ? PyObject_IsTrue(value) : 0;
    if (truth < 0) {
        return -1;
    }
    *flag_of(self, which) = truth != 0;
    return 0;
}

/* An instance attribute may hide a method. */
static int loop_setattro(LoopObject *self, PyObject *name, PyObject *value)
{
    int status = PyObject_GenericSetAttr((PyObject *)self, name, value);
    if (status == 0) {
        uint64_t hook = guard_hook_of(self->state, GUARD_LOOP, name);
        self->shadowed = value ? self->shadowed | hook : self->shadowed & ~hook;
    }
    return status;
}

static PyObject *loop_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    LoopObject *self = state ? (LoopObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->closed = true; /* until asyncio's __init__ */
    self->wakeup.fd = -1;
    self->clock_resolution = 1e-9;
    self->engine = engine_make_driven(state);
    if (self->engine == NULL) {
        goto failed;
    }
    self->engine->due = &self->ready_count;
    if (td_wakeup_init(&self->wakeup) != TD_OK ||
        td_poller_add(&self->engine->poller, self->wakeup.fd, EPOLLIN | EPOLLET, on_wakeup, self, &self->wakeup_slot) != TD_OK) {
        PyErr_SetFromErrno(PyExc_OSError);
        goto failed;
    }
    COUNTED(state, loops);
    return (PyObject *)self;

failed:
    Py_DECREF(self);
    return NULL;
}

static int loop_traverse(LoopObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->engine);
    Py_VISIT(self->current_handle);
    Py_VISIT(self->task_factory);
    for (size_t i = 0; i < self->ready_count; i++) {
        int status = handle_visit_queued(self->state, self->ready[(self->ready_head + i) & (self->ready_size - 1)], visit, arg);
        if (status != 0) {
            return status;
        }
    }
    for (size_t i = 0; i < self->timers.count; i++) {
        Py_VISIT((PyObject *)self->timers.heap[i]->owner);
    }
    return loop_traverse_watches(self, visit, arg);
}

static int loop_clear(LoopObject *self)
{
    Py_CLEAR(self->task_factory);
    release(self);
    return 0;
}

static void loop_dealloc(LoopObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)loop_clear(self);
    if (self->engine != NULL) {
        /* The engine may live on in what it serves. */
        self->engine->due = NULL;
        engine_release(self->engine);
        Py_CLEAR(self->engine);
    }
    td_wakeup_destroy(&self->wakeup);
    td_timers_destroy(&self->timers);
    PyMem_Free(self->watches);
    PyMem_Free(self->ready);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef loop_methods[] = {
    {"_run_once", (PyCFunction)loop_run_once, METH_NOARGS, run_once_doc},
    {"time", loop_time, METH_NOARGS, time_doc},
    {"stop", (PyCFunction)loop_stop, METH_NOARGS, stop_doc},
    {"is_running", (PyCFunction)loop_is_running, METH_NOARGS, PyDoc_STR("is_running($self, /)\n--\n\nDoes it run?")},
    {"is_closed", (PyCFunction)loop_is_closed, METH_NOARGS, PyDoc_STR("is_closed($self, /)\n--\n\nWas it closed?")},
    {"get_debug", (PyCFunction)loop_get_debug, METH_NOARGS, PyDoc_STR("get_debug($self, /)\n--\n\nIs debug mode on?")},
    {"_check_closed", (PyCFunction)loop_check_closed_method, METH_NOARGS, PyDoc_STR("RuntimeError if the loop is closed.")},
    {"_write_to_self", (PyCFunction)loop_write_to_self, METH_NOARGS, PyDoc_STR("End a wait, from any thread.")},
    {"_add_callback", (PyCFunction)loop_add_callback, METH_O, PyDoc_STR("Put a Handle into the ready queue.")},
    {"_timer_handle_cancelled", (PyCFunction)loop_timer_handle_cancelled, METH_O, PyDoc_STR("A TimerHandle was cancelled.")},
    {"_ready_handles", (PyCFunction)loop_ready_handles, METH_NOARGS, ready_handles_doc},
    {"_timer_handles", (PyCFunction)loop_timer_handles, METH_NOARGS, timer_handles_doc},
    {"_clear_ready", (PyCFunction)loop_clear_ready, METH_NOARGS, PyDoc_STR("Empty the ready queue.")},
    {"_clear_timers", (PyCFunction)loop_clear_timers, METH_NOARGS, PyDoc_STR("Forget all timers.")},
    {"_release", (PyCFunction)loop_release, METH_NOARGS, release_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef loop_members[] = {
    {"_engine", T_OBJECT, offsetof(LoopObject, engine), READONLY, PyDoc_STR("The engine that it drives.")},
    {"_current_handle", T_OBJECT, offsetof(LoopObject, current_handle), 0, PyDoc_STR("What runs, in debug mode.")},
    {"_task_factory", T_OBJECT, offsetof(LoopObject, task_factory), 0, PyDoc_STR("See asyncio's loop.set_task_factory().")},
    {"_clock_resolution", T_DOUBLE, offsetof(LoopObject, clock_resolution), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef loop_getset[] = {
    {"_thread_id", (getter)get_thread_id, (setter)set_thread_id, PyDoc_STR("The thread that runs it, or None."), NULL},
    {"_stopping", (getter)get_flag, (setter)set_flag, NULL, (void *)(intptr_t)FLAG_STOPPING},
    {"_closed", (getter)get_flag, (setter)set_flag, NULL, (void *)(intptr_t)FLAG_CLOSED},
    {"_debug", (getter)get_flag, (setter)set_flag, NULL, (void *)(intptr_t)FLAG_DEBUG},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(loop_doc,
             "EventLoop(*args, **kwargs)\n--\n\nThe core of an event loop, to stand ahead of asyncio.SelectorEventLoop.");

static PyType_Slot loop_slots[] = {
    {Py_tp_new, loop_new},           {Py_tp_dealloc, loop_dealloc},
    {Py_tp_traverse, loop_traverse}, {Py_tp_clear, loop_clear},
    {Py_tp_methods, loop_methods},   {Py_tp_members, loop_members},
    {Py_tp_getset, loop_getset},     {Py_tp_setattro, loop_setattro},
    {Py_tp_doc, (void *)loop_doc},   {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "tornadoc._native.EventLoop",
    .basicsize = sizeof(LoopObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = loop_slots,
};

int loop_setup_types(PyObject *module, struct native_state *state)
{
    if (native_add_type(module, &loop_spec, &state->loop_type) < 0 ||
        native_add_methods(state->loop_type, loop_call_methods) < 0 ||
        native_add_methods(state->loop_type, loop_io_methods) < 0 ||
        native_add_methods(state->loop_type, loop_task_methods) < 0) {
        return -1;
    }
    return 0;
}
