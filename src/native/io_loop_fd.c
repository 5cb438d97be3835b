/* See io_loop.h: add_handler() and its like. */
#include "io_loop.h"

#include <stdbool.h>

#include "guard.h"

/* IOLoop.READ and IOLoop.WRITE, which are epoll's. */
#define READ 0x001
#define WRITE 0x004

/* split_fd(): the descriptor and the object that stands for it. New references. 0 or -1. */
static int split(IOLoopObject *self, PyObject *file, PyObject **fd, PyObject **object)
{
    if (io_loop_changes(self, IO_LOOP_HOOK(split_fd))) {
        PyObject *pair = PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, split_fd), file);
        int parsed = pair != NULL && PyArg_Parse(pair, "(OO)", fd, object);
        if (parsed) {
            Py_INCREF(*fd);
            Py_INCREF(*object);
        }
        Py_XDECREF(pair);
        return parsed ? 0 : -1;
    }
    *fd = PyLong_Check(file) ? Py_NewRef(file) : PyObject_CallMethodNoArgs(file, NAME(self->state, fileno));
    if (*fd == NULL) {
        return -1;
    }
    *object = Py_NewRef(file);
    return 0;
}

static int is_ready(IOLoopObject *self)
{
    if (self->selector_loop == NULL || self->handlers == NULL || !PyDict_Check(self->handlers) || self->readers == NULL ||
        !PySet_Check(self->readers) || self->writers == NULL || !PySet_Check(self->writers)) {
        PyErr_SetString(PyExc_RuntimeError, "the IOLoop is not initialized");
        return -1;
    }
    return 0;
}

/* selector_loop.add_reader(fd, self._handle_events, fd, READ), or of a writer; notes it in the set. 0 or -1. */
static int watch(IOLoopObject *self, PyObject *fd, long event)
{
    struct native_state *state = self->state;
    PyObject *loop = Py_NewRef(self->selector_loop);
    PyObject *set = Py_NewRef(event == READ ? self->readers : self->writers);
    PyObject *handle = PyObject_GetAttr((PyObject *)self, NAME(state, _handle_events));
    PyObject *number = handle ? PyLong_FromLong(event) : NULL;
    int status = -1;
    if (number != NULL) {
        PyObject *args[] = {loop, fd, handle, fd, number};
        PyObject *name = event == READ ? NAME(state, add_reader) : NAME(state, add_writer);
        PyObject *result = PyObject_VectorcallMethod(name, args, 5, NULL);
        status = result ? PySet_Add(set, fd) : -1;
        Py_XDECREF(result);
    }
    Py_XDECREF(number);
    Py_XDECREF(handle);
    Py_DECREF(set);
    Py_DECREF(loop);
    return status;
}

/* Undoes watch(), if it was done. 0 or -1. */
static int unwatch(IOLoopObject *self, PyObject *fd, long event)
{
    struct native_state *state = self->state;
    PyObject *set = Py_NewRef(event == READ ? self->readers : self->writers);
    int status = PySet_Contains(set, fd);
    if (status > 0) {
        PyObject *loop = Py_NewRef(self->selector_loop);
        PyObject *name = event == READ ? NAME(state, remove_reader) : NAME(state, remove_writer);
        PyObject *result = PyObject_CallMethodOneArg(loop, name, fd);
        status = result ? PySet_Discard(set, fd) : -1;
        Py_XDECREF(result);
        Py_DECREF(loop);
    }
    Py_DECREF(set);
    return status < 0 ? -1 : 0;
}

static int added_twice(PyObject *fd)
{
    PyErr_Format(PyExc_ValueError, "fd %S added twice", fd);
    return -1;
}

static int add_handler(IOLoopObject *self, PyObject *fd, PyObject *object, PyObject *handler, long events)
{
    int known = PyDict_Contains(self->handlers, fd);
    if (known != 0) {
        return known < 0 ? -1 : added_twice(fd);
    }
    PyObject *pair = PyTuple_Pack(2, object, handler);
    int status = pair ? PyDict_SetItem(self->handlers, fd, pair) : -1;
    Py_XDECREF(pair);
    if (status == 0 && (events & READ)) {
        status = watch(self, fd, READ);
    }
    if (status == 0 && (events & WRITE)) {
        status = is_ready(self) < 0 ? -1 : watch(self, fd, WRITE);
    }
    /* A server or a stream has it in the epoll set: Tornado's would have it among the handlers. */
    if (status < 0 && PyErr_ExceptionMatches(PyExc_FileExistsError)) {
        PyErr_Clear();
        return PyDict_DelItem(self->handlers, fd) < 0 ? -1 : added_twice(fd);
    }
    return status;
}

PyDoc_STRVAR(add_handler_doc, "add_handler($self, fd, handler, events)\n--\n\nCall handler(fd, events) whenever fd, a "
                              "descriptor or an object with fileno(), is ready. ValueError if it has a handler, or belongs to a "
                              "server or a stream; see Tornado's IOLoop.add_handler().");

static PyObject *io_loop_add_handler(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (kwnames != NULL || count != 3) {
        return io_loop_behind(self, NAME(self->state, add_handler), args, count, kwnames);
    }
    long events = PyLong_AsLong(args[2]);
    PyObject *fd, *object;
    if ((events == -1 && PyErr_Occurred()) || split(self, args[0], &fd, &object) < 0) {
        return NULL;
    }
    int status = is_ready(self) < 0 ? -1 : add_handler(self, fd, object, args[1], events);
    Py_DECREF(fd);
    Py_DECREF(object);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* Has one kind of event watched or not. */
static int update(IOLoopObject *self, PyObject *fd, bool wanted, long event)
{
    if (is_ready(self) < 0) {
        return -1;
    }
    if (!wanted) {
        return unwatch(self, fd, event);
    }
    int known = PySet_Contains(event == READ ? self->readers : self->writers, fd);
    return known != 0 ? (known < 0 ? -1 : 0) : watch(self, fd, event);
}

PyDoc_STRVAR(update_handler_doc, "update_handler($self, fd, events)\n--\n\nChange what is watched for.");

static PyObject *io_loop_update_handler(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (kwnames != NULL || count != 2) {
        return io_loop_behind(self, NAME(self->state, update_handler), args, count, kwnames);
    }
    long events = PyLong_AsLong(args[1]);
    PyObject *fd, *object;
    if ((events == -1 && PyErr_Occurred()) || split(self, args[0], &fd, &object) < 0) {
        return NULL;
    }
    int status = update(self, fd, events & READ, READ) < 0 ? -1 : update(self, fd, events & WRITE, WRITE);
    Py_DECREF(fd);
    Py_DECREF(object);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static int remove_handler(IOLoopObject *self, PyObject *fd)
{
    int known = is_ready(self) < 0 ? -1 : PyDict_Contains(self->handlers, fd);
    if (known <= 0) {
        return known;
    }
    if (unwatch(self, fd, READ) < 0 || is_ready(self) < 0 || unwatch(self, fd, WRITE) < 0 || is_ready(self) < 0) {
        return -1;
    }
    return PyDict_DelItem(self->handlers, fd);
}

PyDoc_STRVAR(remove_handler_doc, "remove_handler($self, fd)\n--\n\nStop watching it. One without a handler is left alone.");

static PyObject *io_loop_remove_handler(IOLoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (kwnames != NULL || count != 1) {
        return io_loop_behind(self, NAME(self->state, remove_handler), args, count, kwnames);
    }
    PyObject *fd, *object;
    if (split(self, args[0], &fd, &object) < 0) {
        return NULL;
    }
    int status = remove_handler(self, fd);
    Py_DECREF(fd);
    Py_DECREF(object);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(handle_events_doc, "_handle_events($self, fd, events, /)\n--\n\nCall the handler of a descriptor.");

static PyObject *io_loop_handle_events(IOLoopObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (io_loop_prepare(self) < 0) {
        return NULL;
    }
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "_handle_events() takes a descriptor and events");
        return NULL;
    }
    if (is_ready(self) < 0) {
        return NULL;
    }
    PyObject *pair = PyDict_GetItemWithError(self->handlers, args[0]);
    if (pair == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetObject(PyExc_KeyError, args[0]);
        }
        return NULL;
    }
    PyObject *object, *handler;
    if (!PyArg_Parse(pair, "(OO)", &object, &handler)) {
        return NULL;
    }
    Py_INCREF(pair);
    PyObject *result = PyObject_CallFunctionObjArgs(handler, object, args[1], NULL);
    Py_DECREF(pair);
    Py_XDECREF(result);
    return result ? Py_NewRef(Py_None) : NULL;
}

#define FASTCALL(function) ((PyCFunction)(void (*)(void))(function))

PyMethodDef io_loop_fd_methods[] = {
    {"add_handler", FASTCALL(io_loop_add_handler), METH_FASTCALL | METH_KEYWORDS, add_handler_doc},
    {"update_handler", FASTCALL(io_loop_update_handler), METH_FASTCALL | METH_KEYWORDS, update_handler_doc},
    {"remove_handler", FASTCALL(io_loop_remove_handler), METH_FASTCALL | METH_KEYWORDS, remove_handler_doc},
    {"_handle_events", FASTCALL(io_loop_handle_events), METH_FASTCALL, handle_events_doc},
    {NULL, NULL, 0, NULL},
};
