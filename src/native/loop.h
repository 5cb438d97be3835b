/* EventLoop: the core of asyncio's event loop. tornadoc/loop.py puts it ahead of asyncio.SelectorEventLoop, whose Python methods
 * find the state that they read and assign here, under asyncio's names.
 *
 * loop.c: the type, its attributes and one iteration; loop_call.c: call_soon() and its like; loop_task.c: tasks and futures;
 * loop_io.c: readers and writers. */
#ifndef NATIVE_LOOP_H
#define NATIVE_LOOP_H

#include "engine.h"
#include "module.h"

#include <stdbool.h>

#include "core/timers.h"
#include "core/wakeup.h"

/* A descriptor with a reader or a writer. */
struct loop_watch {
    struct loop_object *loop; /* borrowed: the loop owns this */
    PyObject *reader;         /* owned Handle or NULL */
    PyObject *writer;         /* owned Handle or NULL */
    PyObject *file;           /* owned: the object with fileno() that was registered, or NULL */
    int fd;
    uint32_t events;
    uint32_t slot;
};

typedef struct loop_object {
    PyObject_HEAD
    struct native_state *state;
    EngineObject *engine; /* owned */
    struct td_timers timers;
    struct td_wakeup wakeup;
    uint32_t wakeup_slot;
    PyObject **ready; /* owned ring of owned handles; its size is a power of two */
    size_t ready_size;
    size_t ready_head;
    size_t ready_count;
    struct loop_watch **watches; /* owned, by descriptor; NULL where there is none */
    size_t watch_count;
    PyObject *current_handle; /* owned or NULL: in debug mode, what runs */
    PyObject *task_factory;   /* owned; NULL or None if there is none */
    unsigned long thread_id;  /* while it runs */
    uint64_t gil_offered;     /* monotonic: when other threads had their last chance */
    double clock_resolution;  /* seconds */
    bool running;
    bool stopping;
    bool closed;
    bool debug;
    bool waiting;      /* in the epoll set, without the GIL, so that whoever adds something has to wake it */
    bool woken;        /* _write_to_self(): do not wait */
    uint64_t shadowed; /* hooks of guard.h that instance attributes hide */
} LoopObject;

static inline EngineObject *loop_engine(LoopObject *loop)
{
    return loop->engine;
}

/* Puts a handle into the ready queue. 0, or -1 with MemoryError. */
int loop_add_ready(LoopObject *self, PyObject *handle);
/* Has a wait end, in whatever thread. */
void loop_wake(LoopObject *self);
/* RuntimeError if it is closed. 0 or -1. */
int loop_check_closed(LoopObject *self);
/* Are some of these hooks (guard.h) overridden? */
bool loop_changes(LoopObject *self, uint64_t hooks);
/* Is it more to call_soon() than to put a handle into the queue: debug mode, or an override? */
bool loop_is_odd(LoopObject *self);
/* Does this thread run it? */
bool loop_runs_here(const LoopObject *self);
/* The loop's time() in nanoseconds: that of a subclass or an instance, if there is one. 0 or -1. */
int loop_now(LoopObject *self, uint64_t *now);
/* A time of that clock in nanoseconds. What is past, or is not a number at all, is due. 0, or -1 with an exception. */
int loop_to_deadline(PyObject *when, uint64_t *deadline);
/* Nanoseconds of its clock as loop.time() tells them. New reference. */
PyObject *loop_time_object(uint64_t now);

/* Of a handle's _loop, which may be anything: */
bool loop_is_debugging(struct native_state *state, PyObject *loop);
/* Takes the timer out, and drops the loop's reference to its handle. */
void loop_timer_cancelled(struct native_state *state, PyObject *loop, PyObject *handle);

/* loop_call.c */
extern PyMethodDef loop_call_methods[];
/* call_soon() for native code: a borrowed-argument Handle in the queue. New reference. */
PyObject *loop_call_soon(LoopObject *self, PyObject *callback, PyObject *const *args, Py_ssize_t count, PyObject *context);
/* Moves the timers that are due to the ready queue. 0 or -1. */
int loop_collect_timers(LoopObject *self, uint64_t now);
void loop_drop_timers(LoopObject *self);

/* loop_task.c */
extern PyMethodDef loop_task_methods[];

/* loop_io.c */
extern PyMethodDef loop_io_methods[];
/* Puts the handles whose descriptors have events in the batch into the ready queue. 0 or -1. */
int loop_collect_events(LoopObject *self);
void loop_drop_watches(LoopObject *self);
int loop_traverse_watches(LoopObject *self, visitproc visit, void *arg);

#endif
