/* See loop.h: callbacks, with and without a delay. */
#include "loop.h"

#include <math.h>

#include "guard.h"
#include "handle.h"

#include "core/clock.h"

/* The arguments of call_soon() and its like: any of them may be given by its name. */
struct arguments {
    PyObject *time; /* delay or when; NULL for call_soon */
    struct handle_call call;
};

static int take_named(struct native_state *state, const char *method, PyObject *time_name, struct arguments *arguments,
                      PyObject *name, PyObject *value)
{
    PyObject **slot = NULL;
    if (name == NAME(state, context) || PyUnicode_Compare(name, NAME(state, context)) == 0) {
        arguments->call.context = value == Py_None ? NULL : value;
        return 0;
    }
    if (PyUnicode_Compare(name, NAME(state, callback)) == 0) {
        slot = &arguments->call.callback;
    }
    else if (time_name != NULL && PyUnicode_Compare(name, time_name) == 0) {
        slot = &arguments->time;
    }
    if (slot == NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", method, name);
        return -1;
    }
    if (*slot != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", method, name);
        return -1;
    }
    *slot = value;
    return 0;
}

static int missing(const char *method, const char *name)
{
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", method, name);
    return -1;
}

/* 0, or -1 with TypeError. time_name: NULL if there is no such argument. */
static int take(struct native_state *state, const char *method, PyObject *time_name, PyObject *const *args, Py_ssize_t count,
                PyObject *kwnames, struct arguments *arguments)
{
    *arguments = (struct arguments){0};
    PyObject *const *named = args + count;
    if (time_name != NULL && count > 0) {
        arguments->time = *args++;
        count--;
    }
    if (count > 0) {
        arguments->call.callback = *args++;
        count--;
    }
    arguments->call.args = args;
    arguments->call.count = count;
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        if (take_named(state, method, time_name, arguments, PyTuple_GET_ITEM(kwnames, i), named[i]) < 0) {
            return -1;
        }
    }
    if (time_name != NULL && arguments->time == NULL) {
        return missing(method, PyUnicode_AsUTF8(time_name));
    }
    return arguments->call.callback ? 0 : missing(method, "callback");
}

/* What asyncio checks in debug mode. 0 or -1. */
static int check(LoopObject *self, PyObject *callback, PyObject *method, bool any_thread)
{
    PyObject *loop = (PyObject *)self;
    PyObject *result = any_thread ? Py_NewRef(Py_None) : PyObject_CallMethodNoArgs(loop, NAME(self->state, _check_thread));
    if (result != NULL) {
        Py_DECREF(result);
        result = PyObject_CallMethodObjArgs(loop, NAME(self->state, _check_callback), callback, method, NULL);
    }
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *add_soon(LoopObject *self, const struct handle_call *call)
{
    PyObject *handle = handle_make(self->state, (PyObject *)self, call, self->debug);
    if (handle != NULL && !self->running) {
        handle_track(self->state, handle);
    }
    if (handle != NULL && loop_add_ready(self, handle) < 0) {
        Py_CLEAR(handle);
    }
    return handle;
}

PyObject *loop_call_soon(LoopObject *self, PyObject *callback, PyObject *const *args, Py_ssize_t count, PyObject *context)
{
    const struct handle_call call = {.callback = callback, .args = args, .count = count, .context = context};
    return loop_check_closed(self) < 0 ? NULL : add_soon(self, &call);
}

PyDoc_STRVAR(call_soon_doc, "call_soon($self, callback, /, *args, context=None)\n--\n\nCall callback(*args) in the next "
                            "iteration. Returns a Handle; see asyncio's loop.call_soon().");

static PyObject *method_call_soon(LoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    struct arguments arguments;
    if (take(self->state, "call_soon", NULL, args, count, kwnames, &arguments) < 0 || loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->debug && check(self, arguments.call.callback, NAME(self->state, call_soon), false) < 0) {
        return NULL;
    }
    return add_soon(self, &arguments.call);
}

PyDoc_STRVAR(call_soon_threadsafe_doc, "call_soon_threadsafe($self, callback, /, *args, context=None)\n--\n\ncall_soon() for any "
                                       "thread and for signal handlers; see asyncio's loop.call_soon_threadsafe().");

static PyObject *method_call_soon_threadsafe(LoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    struct arguments arguments;
    if (take(self->state, "call_soon_threadsafe", NULL, args, count, kwnames, &arguments) < 0 || loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->debug && check(self, arguments.call.callback, NAME(self->state, call_soon_threadsafe), true) < 0) {
        return NULL;
    }
    PyObject *handle = add_soon(self, &arguments.call);
    if (handle != NULL) {
        loop_wake(self);
    }
    return handle;
}

int loop_to_deadline(PyObject *when, uint64_t *deadline)
{
    double seconds = PyFloat_AsDouble(when);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (seconds >= 9e9) {
        *deadline = TD_NEVER;
    }
    else {
        *deadline = seconds > 0 ? (uint64_t)llround(seconds * 1e9) : 0;
    }
    return 0;
}

static PyObject *add_timer(LoopObject *self, PyObject *when, const struct handle_call *call)
{
    uint64_t deadline;
    if (loop_to_deadline(when, &deadline) < 0) {
        return NULL;
    }
    PyObject *handle = handle_make_timer(self->state, (PyObject *)self, when, call, self->debug);
    if (handle == NULL) {
        return NULL;
    }
    if (td_timers_set(&self->timers, handle_timer(self->state, handle), deadline) != TD_OK) {
        Py_DECREF(handle);
        return PyErr_NoMemory();
    }
    Py_SETREF(HANDLE_SLOT(self->state, handle, scheduled), Py_NewRef(Py_True));
    return Py_NewRef(handle); /* the other one is the heap's */
}

/* call_at() once the arguments are known. */
static PyObject *call_at(LoopObject *self, const struct arguments *arguments)
{
    if (loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->debug && check(self, arguments->call.callback, NAME(self->state, call_at), false) < 0) {
        return NULL;
    }
    return add_timer(self, arguments->time, &arguments->call);
}

/* self.call_at(when, callback, *args, context=context). */
static PyObject *call_at_overridden(LoopObject *self, const struct arguments *arguments)
{
    const struct handle_call *call = &arguments->call;
    PyObject *method = PyObject_GetAttr((PyObject *)self, NAME(self->state, call_at));
    PyObject *args = PyTuple_New(call->count + 2);
    PyObject *named = PyDict_New();
    PyObject *handle = NULL;
    if (method != NULL && args != NULL && named != NULL &&
        PyDict_SetItem(named, NAME(self->state, context), call->context ? call->context : Py_None) == 0) {
        PyTuple_SET_ITEM(args, 0, Py_NewRef(arguments->time));
        PyTuple_SET_ITEM(args, 1, Py_NewRef(call->callback));
        for (Py_ssize_t i = 0; i < call->count; i++) {
            PyTuple_SET_ITEM(args, i + 2, Py_NewRef(call->args[i]));
        }
        handle = PyObject_Call(method, args, named);
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(named);
    return handle;
}

PyDoc_STRVAR(call_later_doc, "call_later($self, delay, callback, /, *args, context=None)\n--\n\nCall callback(*args) after a "
                             "delay in seconds. Returns a TimerHandle; see asyncio's loop.call_later().");

static PyObject *method_call_later(LoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    struct arguments arguments;
    if (take(self->state, "call_later", NAME(self->state, delay), args, count, kwnames, &arguments) < 0) {
        return NULL;
    }
    if (arguments.time == Py_None) {
        PyErr_SetString(PyExc_TypeError, "delay must not be None");
        return NULL;
    }
    const bool own_time = loop_changes(self, LOOP_HOOK(time));
    PyObject *now =
        own_time ? PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, time)) : loop_time_object(td_clock_monotonic());
    PyObject *when = NULL;
    if (now != NULL && PyFloat_CheckExact(now) && PyFloat_CheckExact(arguments.time)) {
        when = PyFloat_FromDouble(PyFloat_AS_DOUBLE(now) + PyFloat_AS_DOUBLE(arguments.time));
    }
    else if (now != NULL) {
        when = PyNumber_Add(now, arguments.time);
    }
    arguments.time = when;
    PyObject *handle = NULL;
    if (when != NULL) {
        handle = loop_changes(self, LOOP_HOOK(call_at)) ? call_at_overridden(self, &arguments) : call_at(self, &arguments);
    }
    Py_XDECREF(when);
    Py_XDECREF(now);
    return handle;
}

PyDoc_STRVAR(call_at_doc, "call_at($self, when, callback, /, *args, context=None)\n--\n\nCall callback(*args) at a time of the "
                          "loop's clock. Returns a TimerHandle; see asyncio's loop.call_at().");

static PyObject *method_call_at(LoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    struct arguments arguments;
    if (take(self->state, "call_at", NAME(self->state, when), args, count, kwnames, &arguments) < 0) {
        return NULL;
    }
    if (arguments.time == Py_None) {
        PyErr_SetString(PyExc_TypeError, "when cannot be None");
        return NULL;
    }
    return call_at(self, &arguments);
}

int loop_collect_timers(LoopObject *self, uint64_t now)
{
    struct td_timer *timer;
    while ((timer = td_timers_take_due(&self->timers, now)) != NULL) {
        PyObject *handle = timer->owner; /* with the heap's reference */
        Py_XSETREF(HANDLE_SLOT(self->state, handle, scheduled), Py_NewRef(Py_False));
        int status = loop_add_ready(self, handle);
        Py_DECREF(handle);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

void loop_drop_timers(LoopObject *self)
{
    struct td_timer *timer;
    while ((timer = td_timers_take_due(&self->timers, TD_NEVER)) != NULL) {
        Py_DECREF(timer->owner);
    }
}

void loop_timer_cancelled(struct native_state *state, PyObject *loop, PyObject *handle)
{
    if (loop == NULL || !PyObject_TypeCheck(loop, state->loop_type)) {
        return;
    }
    struct td_timer *timer = handle_timer(state, handle);
    struct td_timers *timers = &((LoopObject *)loop)->timers;
    /* Anybody can set the handle's _loop to one that does not have this timer. */
    if (timer->index >= timers->count || timers->heap[timer->index] != timer) {
        return;
    }
    td_timers_remove(timers, timer);
    Py_XSETREF(HANDLE_SLOT(state, handle, scheduled), Py_NewRef(Py_False));
    Py_DECREF(handle); /* the caller has another one */
}

#define FASTCALL(function) ((PyCFunction)(void (*)(void))(function))

PyMethodDef loop_call_methods[] = {
    {"call_soon", FASTCALL(method_call_soon), METH_FASTCALL | METH_KEYWORDS, call_soon_doc},
    {"call_soon_threadsafe", FASTCALL(method_call_soon_threadsafe), METH_FASTCALL | METH_KEYWORDS, call_soon_threadsafe_doc},
    {"call_later", FASTCALL(method_call_later), METH_FASTCALL | METH_KEYWORDS, call_later_doc},
    {"call_at", FASTCALL(method_call_at), METH_FASTCALL | METH_KEYWORDS, call_at_doc},
    {NULL, NULL, 0, NULL},
};
