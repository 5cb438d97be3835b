/* IOLoop: the methods of Tornado's IOLoop that programs call often. tornadoc/platform/asyncio.py puts them ahead of Tornado's
 * BaseAsyncIOLoop, which has the rest, and serves in their place whatever is unusual: keyword arguments, overridden hooks. */
#ifndef NATIVE_IO_LOOP_H
#define NATIVE_IO_LOOP_H

#include "module.h"

#include <stdint.h>

/* The attributes that Tornado's initialize() assigns; each owned, NULL before. */
typedef struct {
    PyObject_HEAD
    struct native_state *state; /* NULL until a method or an attribute is used: Tornado's Configurable makes the object */
    PyObject *asyncio_loop;
    PyObject *selector_loop;
    PyObject *handlers; /* fd -> (file, handler) */
    PyObject *readers;  /* set of fds */
    PyObject *writers;
    uint64_t shadowed; /* hooks that instance attributes hide */
} IOLoopObject;

/* io_loop_fd.c: handlers of descriptors. */
extern PyMethodDef io_loop_fd_methods[];

/* To be called first by every method. 0 or -1. */
int io_loop_prepare(IOLoopObject *self);
/* The method of Tornado's that is behind the native one, called with the same arguments. New reference or NULL. */
PyObject *io_loop_behind(IOLoopObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames);
/* Is a hook overridden? `hooks`: bits of guard.h. */
int io_loop_changes(IOLoopObject *self, uint64_t hooks);

#endif
