/* Handle and TimerHandle: asyncio's classes, made and run in C.
 *
 * The native types derive from asyncio's and have no fields of their own for what those keep in __slots__: they write there, at
 * the offsets that asyncio's slot descriptors tell. So every method of asyncio's works on them. */
#ifndef NATIVE_HANDLE_H
#define NATIVE_HANDLE_H

#include "module.h"

#include <stdbool.h>

#include "core/timers.h"

/* Freed handles that are kept for the next ones, of each type: enough for a burst of callbacks to bring no garbage collection,
 * which counts allocations. */
#define HANDLE_POOL 1024

struct handle_pool {
    PyObject *handles[HANDLE_POOL]; /* memory of objects without references, which don't count as references to their type */
    int count;
    int limit; /* 0 once the module is being cleared */
};

/* Where asyncio's classes keep what. */
struct handle_state {
    Py_ssize_t callback;
    Py_ssize_t args;
    Py_ssize_t cancelled;
    Py_ssize_t context;
    Py_ssize_t loop;
    Py_ssize_t repr;
    Py_ssize_t source_traceback;
    Py_ssize_t scheduled;
    Py_ssize_t when;
    Py_ssize_t timer; /* of the struct td_timer in a TimerHandle */
    struct handle_pool pool;
    struct handle_pool timer_pool;
};

#define HANDLE_SLOT(state, handle, name) (*(PyObject **)((char *)(handle) + (state)->handles->name))

/* What a handle calls, as its maker was told. */
struct handle_call {
    PyObject *callback;
    PyObject *const *args;
    Py_ssize_t count;
    PyObject *context; /* NULL: a copy of the current one */
};

/* A Handle. In debug mode it knows where it was made. New reference. It is not tracked by the garbage collector, which would look
 * at every callback that waits: the ready queue stands in for it (handle_visit_queued), and whoever keeps it elsewhere, or lets
 * go of it while others keep it, calls handle_track. */
PyObject *handle_make(struct native_state *state, PyObject *loop, const struct handle_call *call, bool debug);
/* A TimerHandle for loop.time() == when (a Python number); its timer is idle. New reference. */
PyObject *handle_make_timer(struct native_state *state, PyObject *loop, PyObject *when, const struct handle_call *call,
                            bool debug);

static inline bool handle_is_native(struct native_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->handle_type || Py_TYPE(object) == state->timer_handle_type;
}

/* Has the collector look at the handle from here on. Somebody else's, which may be any object, is left alone. */
static inline void handle_track(struct native_state *state, PyObject *handle)
{
    if (handle_is_native(state, handle) && !PyObject_GC_IsTracked(handle)) {
        PyObject_GC_Track(handle);
    }
}

/* What the ready queue visits for a handle that it holds. */
int handle_visit_queued(struct native_state *state, PyObject *handle, visitproc visit, void *arg);

static inline bool handle_is_cancelled(struct native_state *state, PyObject *handle)
{
    return HANDLE_SLOT(state, handle, cancelled) == Py_True;
}

static inline struct td_timer *handle_timer(struct native_state *state, PyObject *handle)
{
    return (struct td_timer *)((char *)handle + state->handles->timer);
}

/* Calls the callback in its context; what it raises goes to the loop's exception handler. 0, or -1 with an exception that must
 * leave the loop. The caller holds a reference to the handle. */
int handle_run(struct native_state *state, PyObject *handle);
/* Handle.cancel(), without the loop's part for timers. 0 or -1 (the representation in debug mode). */
int handle_cancel(struct native_state *state, PyObject *handle);

void handle_teardown(struct native_state *state);

#endif
