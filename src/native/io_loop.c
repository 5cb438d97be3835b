/* See io_loop.h. */
#include "io_loop.h"

#include "errors.h"
#include "guard.h"
#include "loop.h"

#define FEW 8 /* arguments that are passed on without an allocation */

int io_loop_prepare(IOLoopObject *self)
{
    if (self->state == NULL) {
        self->state = native_state_of(Py_TYPE(self));
    }
    return self->state ? 0 : -1;
}

int io_loop_changes(IOLoopObject *self, uint64_t hooks)
{
    return ((guard_type_mask(self->state, GUARD_IO_LOOP, Py_TYPE(self)) | self->shadowed) & hooks) != 0;
}

PyObject *io_loop_behind(IOLoopObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *type = (PyObject *)self->state->io_loop_type;
    PyObject *super = PyObject_CallFunctionObjArgs((PyObject *)&PySuper_Type, type, (PyObject *)self, NULL);
    PyObject *method = super ? PyObject_GetAttr(super, name) : NULL;
    PyObject *result = method ? PyObject_Vectorcall(method, args, (size_t)count, kwnames) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(super);
    return result;
}

/* The native loop below it that runs nothing but what C knows; NULL for any other. */
static LoopObject *plain_loop(IOLoopObject *self)
{
    PyObject *loop = self->asyncio_loop;
    if (loop == NULL || !PyObject_TypeCheck(loop, self->state->loop_type) || loop_is_odd((LoopObject *)loop)) {
        return NULL;
    }
    return (LoopObject *)loop;
}

/* method(asyncio_loop, [delay,] _run_call, *args). New reference or NULL. */
static PyObject *schedule(IOLoopObject *self, PyObject *method, PyObject *delay, PyObject *const *args, Py_ssize_t count)
{
    if (self->asyncio_loop == NULL) {
        PyErr_SetString(PyExc_AttributeError, "asyncio_loop");
        return NULL;
    }
    PyObject *few[FEW + 3];
    PyObject **all = count <= FEW ? few : PyMem_Malloc(((size_t)count + 3) * sizeof(*all));
    if (all == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *run = PyObject_GetAttr((PyObject *)self, NAME(self->state, _run_call));
    PyObject *loop = Py_NewRef(self->asyncio_loop);
    PyObject *result = NULL;
    if (run != NULL) {
        size_t used = 0;
        all[used++] = loop;
        if (delay != NULL) {
            all[used++] = delay;
        }
        all[used++] = run;
        memcpy(all + used, args, (size_t)count * sizeof(*args));
        result = PyObject_VectorcallMethod(method, all, used + (size_t)count, NULL);
        Py_DECREF(run);
    }
    Py_DECREF(loop);
    if (all != few) {
        PyMem_Free(all);
    }
    return result;
}

/* Does this thread run the asyncio loop? 1, 0 or -1. */
static int is_inside(IOLoopObject *self)
{
    PyObject *running = PyObject_CallNoArgs(BOUND(self->state, get_running_loop));
    if (running == NULL) {
        return -1;
    }
    int inside = running == self->asyncio_loop;
    Py_DECREF(running);
    return inside;
}

PyDoc_STRVAR(add_callback_doc, "add_callback($self, callback, *args, **kwargs)\n--\n\nCall callback(*args, **kwargs) in the next "
                               "iteration; from any thread. See Tornado's IOLoop.add_callback().");

static PyObject *io_loop_add_callback(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    struct native_state *state = self->state;
    if (kwnames != NULL || count < 1 || !PyCallable_Check(args[0]) ||
        io_loop_changes(self, IO_LOOP_HOOK(_run_callback) | IO_LOOP_BEHIND(add_callback))) {
        return io_loop_behind(self, NAME(state, add_callback), args, count, kwnames);
    }
    if (self->asyncio_loop == NULL) {
        PyErr_SetString(PyExc_AttributeError, "asyncio_loop");
        return NULL;
    }
    PyObject *handle;
    LoopObject *loop = plain_loop(self);
    if (loop != NULL) {
        if (loop->closed) {
            Py_RETURN_NONE;
        }
        PyObject *run = PyObject_GetAttr((PyObject *)self, NAME(state, _run_call));
        handle = run ? loop_call_soon(loop, run, args, count, NULL) : NULL;
        Py_XDECREF(run);
        if (handle != NULL && !loop_runs_here(loop)) {
            loop_wake(loop);
        }
    }
    else {
        int inside = is_inside(self);
        if (inside < 0) {
            return NULL;
        }
        handle = schedule(self, inside ? NAME(state, call_soon) : NAME(state, call_soon_threadsafe), NULL, args, count);
        /* "Event loop is closed": a callback may get lost, but whoever adds it is not bothered. */
        if (handle == NULL && (PyErr_ExceptionMatches(PyExc_RuntimeError) || PyErr_ExceptionMatches(PyExc_AttributeError))) {
            PyErr_Clear();
            Py_RETURN_NONE;
        }
    }
    Py_XDECREF(handle);
    return handle ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(spawn_callback_doc, "spawn_callback($self, callback, *args, **kwargs)\n--\n\nThe same as add_callback().");

static PyObject *io_loop_spawn_callback(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (io_loop_changes(self, IO_LOOP_HOOK(add_callback))) {
        return io_loop_behind(self, NAME(self->state, spawn_callback), args, count, kwnames);
    }
    return io_loop_add_callback(self, args, count, kwnames);
}

/* An exact int or float, for arithmetic in C. */
static bool is_plain_number(PyObject *object)
{
    return PyFloat_CheckExact(object) || PyLong_CheckExact(object);
}

static PyObject *wall_time(IOLoopObject *self)
{
    return PyObject_CallMethodNoArgs(BOUND(self->state, time), NAME(self->state, time));
}

PyDoc_STRVAR(time_doc, "time($self, /)\n--\n\ntime.time().");

static PyObject *io_loop_time(IOLoopObject *self, PyObject *Py_UNUSED(ignored))
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (io_loop_changes(self, IO_LOOP_BEHIND(time))) {
        return io_loop_behind(self, NAME(self->state, time), NULL, 0, NULL);
    }
    return wall_time(self);
}

/* call_later() of the asyncio loop. */
static PyObject *run_later(IOLoopObject *self, double delay, PyObject *const *args, Py_ssize_t count)
{
    PyObject *number = PyFloat_FromDouble(delay > 0 ? delay : 0);
    PyObject *handle = number ? schedule(self, NAME(self->state, call_later), number, args, count) : NULL;
    Py_XDECREF(number);
    return handle;
}

PyDoc_STRVAR(call_at_doc, "call_at($self, when, callback, *args, **kwargs)\n--\n\nCall callback(*args, **kwargs) at a time of "
                          "time(). Returns what remove_timeout() takes; see Tornado's IOLoop.call_at().");

static PyObject *io_loop_call_at(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    struct native_state *state = self->state;
    if (kwnames != NULL || count < 2 || !is_plain_number(args[0]) || !PyCallable_Check(args[1]) ||
        io_loop_changes(self, IO_LOOP_HOOK(_run_callback) | IO_LOOP_HOOK(time) | IO_LOOP_BEHIND(call_at))) {
        return io_loop_behind(self, NAME(state, call_at), args, count, kwnames);
    }
    double when = PyFloat_AsDouble(args[0]);
    if (when == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *now = wall_time(self);
    double seconds = now ? PyFloat_AsDouble(now) : -1.0;
    Py_XDECREF(now);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return run_later(self, when - seconds, args + 1, count - 1);
}

PyDoc_STRVAR(add_timeout_doc, "add_timeout($self, deadline, callback, *args, **kwargs)\n--\n\nCall callback(*args, **kwargs) at "
                              "a time of time(), or after a timedelta; see Tornado's IOLoop.add_timeout().");

static PyObject *io_loop_add_timeout(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (kwnames != NULL || count < 2 || !is_plain_number(args[0]) || io_loop_changes(self, IO_LOOP_HOOK(call_at))) {
        return io_loop_behind(self, NAME(self->state, add_timeout), args, count, kwnames);
    }
    return io_loop_call_at(self, args, count, NULL);
}

PyDoc_STRVAR(call_later_doc, "call_later($self, delay, callback, *args, **kwargs)\n--\n\nCall callback(*args, **kwargs) after a "
                             "number of seconds; see Tornado's IOLoop.call_later().");

static PyObject *io_loop_call_later(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (kwnames != NULL || count < 2 || !is_plain_number(args[0]) || !PyCallable_Check(args[1]) ||
        io_loop_changes(self, IO_LOOP_HOOK(_run_callback) | IO_LOOP_HOOK(time) | IO_LOOP_HOOK(call_at))) {
        return io_loop_behind(self, NAME(self->state, call_later), args, count, kwnames);
    }
    double delay = PyFloat_AsDouble(args[0]);
    if (delay == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return run_later(self, delay, args + 1, count - 1);
}

PyDoc_STRVAR(remove_timeout_doc, "remove_timeout($self, timeout)\n--\n\nCancel a timeout, unless it has run.");

static PyObject *io_loop_remove_timeout(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (kwnames != NULL || count != 1) {
        return io_loop_behind(self, NAME(self->state, remove_timeout), args, count, kwnames);
    }
    PyObject *result = PyObject_CallMethodNoArgs(args[0], NAME(self->state, cancel));
    Py_XDECREF(result);
    return result ? Py_NewRef(Py_None) : NULL;
}

/* Logs what the callback raised, as Tornado does: args tell how it was given. New reference to None, or NULL with an exception
 * that the asyncio loop deals with. */
static PyObject *log_failure(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, bool alone)
{
    struct native_state *state = self->state;
    if (PyErr_ExceptionMatches(BOUND(state, CancelledError))) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return NULL;
    }
    PyObject *exception = errors_take();
    PyObject *callback = alone ? Py_NewRef(args[0]) : PyObject_Vectorcall(BOUND(state, partial), args, (size_t)count, NULL);
    PyObject *result = NULL;
    if (callback != NULL) {
        result = PyObject_CallFunctionObjArgs(BOUND(state, log_io_loop), callback, exception, NULL);
        Py_DECREF(callback);
    }
    Py_DECREF(exception);
    return result;
}

/* alone: the callback came without arguments, as Tornado's _run_callback() takes it. */
static PyObject *run_callback(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, bool alone)
{
    PyObject *result = PyObject_Vectorcall(args[0], args + 1, (size_t)count - 1, NULL);
    if (result != NULL && result != Py_None) {
        PyObject *yielded = result;
        result = PyObject_CallFunctionObjArgs(BOUND(self->state, watch_result), (PyObject *)self, yielded, NULL);
        Py_DECREF(yielded);
    }
    return result ? result : log_failure(self, args, count, alone);
}

PyDoc_STRVAR(run_callback_doc,
             "_run_callback($self, callback, /)\n--\n\nCall it, and log what it raises; what it returns to wait "
             "for is waited for.");

static PyObject *io_loop_run_callback(IOLoopObject *self, PyObject *callback)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (io_loop_changes(self, IO_LOOP_BEHIND(_run_callback))) {
        return io_loop_behind(self, NAME(self->state, _run_callback), &callback, 1, NULL);
    }
    return run_callback(self, &callback, 1, true);
}

PyDoc_STRVAR(run_call_doc, "_run_call($self, callback, /, *args)\n--\n\n_run_callback() of a callback with arguments.");

static PyObject *io_loop_run_call(IOLoopObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "_run_call() takes a callback");
        return NULL;
    }
    return run_callback(self, args, count, false);
}

/* An instance attribute may hide a method. */
static int io_loop_setattro(IOLoopObject *self, PyObject *name, PyObject *value)
{
    int status = io_loop_prepare(self) < 0 ? -1 : PyObject_GenericSetAttr((PyObject *)self, name, value);
    if (status == 0) {
        uint64_t hook = guard_hook_of(self->state, GUARD_IO_LOOP, name);
        self->shadowed = value ? self->shadowed | hook : self->shadowed & ~hook;
    }
    return status;
}

static int io_loop_traverse(IOLoopObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->asyncio_loop);
    Py_VISIT(self->selector_loop);
    Py_VISIT(self->handlers);
    Py_VISIT(self->readers);
    Py_VISIT(self->writers);
    return 0;
}

static int io_loop_clear(IOLoopObject *self)
{
    Py_CLEAR(self->asyncio_loop);
    Py_CLEAR(self->selector_loop);
    Py_CLEAR(self->handlers);
    Py_CLEAR(self->readers);
    Py_CLEAR(self->writers);
    return 0;
}

static void io_loop_dealloc(IOLoopObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)io_loop_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

#define FASTCALL(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef io_loop_methods[] = {
    {"add_callback", FASTCALL(io_loop_add_callback), METH_FASTCALL | METH_KEYWORDS, add_callback_doc},
    {"spawn_callback", FASTCALL(io_loop_spawn_callback), METH_FASTCALL | METH_KEYWORDS, spawn_callback_doc},
    {"time", (PyCFunction)io_loop_time, METH_NOARGS, time_doc},
    {"call_at", FASTCALL(io_loop_call_at), METH_FASTCALL | METH_KEYWORDS, call_at_doc},
    {"add_timeout", FASTCALL(io_loop_add_timeout), METH_FASTCALL | METH_KEYWORDS, add_timeout_doc},
    {"call_later", FASTCALL(io_loop_call_later), METH_FASTCALL | METH_KEYWORDS, call_later_doc},
    {"remove_timeout", (PyCFunction)(void (*)(void))io_loop_remove_timeout, METH_FASTCALL | METH_KEYWORDS, remove_timeout_doc},
    {"_run_callback", (PyCFunction)io_loop_run_callback, METH_O, run_callback_doc},
    {"_run_call", FASTCALL(io_loop_run_call), METH_FASTCALL, run_call_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef io_loop_members[] = {
    {"asyncio_loop", T_OBJECT_EX, offsetof(IOLoopObject, asyncio_loop), 0, PyDoc_STR("The asyncio loop below it.")},
    {"selector_loop", T_OBJECT_EX, offsetof(IOLoopObject, selector_loop), 0, PyDoc_STR("The loop that has add_reader().")},
    {"handlers", T_OBJECT_EX, offsetof(IOLoopObject, handlers), 0, PyDoc_STR("fd -> (file, handler).")},
    {"readers", T_OBJECT_EX, offsetof(IOLoopObject, readers), 0, PyDoc_STR("The descriptors watched for input.")},
    {"writers", T_OBJECT_EX, offsetof(IOLoopObject, writers), 0, PyDoc_STR("The descriptors watched for output.")},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(io_loop_doc, "IOLoop()\n--\n\nMethods of Tornado's IOLoop, to stand ahead of its BaseAsyncIOLoop.");

/* No tp_new: an IOLoop is a tornado.util.Configurable, whose __new__ decides the class. */
static PyType_Slot io_loop_slots[] = {
    {Py_tp_dealloc, io_loop_dealloc}, {Py_tp_traverse, io_loop_traverse},
    {Py_tp_clear, io_loop_clear},     {Py_tp_methods, io_loop_methods},
    {Py_tp_members, io_loop_members}, {Py_tp_setattro, io_loop_setattro},
    {Py_tp_doc, (void *)io_loop_doc}, {0, NULL},
};

static PyType_Spec io_loop_spec = {
    .name = "tornadoc._native.IOLoop",
    .basicsize = sizeof(IOLoopObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = io_loop_slots,
};

int io_loop_setup_types(PyObject *module, struct native_state *state)
{
    if (native_add_type(module, &io_loop_spec, &state->io_loop_type) < 0) {
        return -1;
    }
    return native_add_methods(state->io_loop_type, io_loop_fd_methods);
}
