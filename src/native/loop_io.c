/* See loop.h: readers and writers of descriptors, as selectors and asyncio have them. */
#include "loop.h"

#include <errno.h>

#include "guard.h"
#include "handle.h"

static struct loop_watch *watch_of(const LoopObject *self, int fd)
{
    return fd >= 0 && (size_t)fd < self->watch_count ? self->watches[fd] : NULL;
}

/* What an int or an object with fileno() says, which may be negative. 0, or -1 with ValueError where it says nothing. */
static int number_of(LoopObject *self, PyObject *file, int *fd)
{
    PyObject *number = PyLong_Check(file) ? Py_NewRef(file) : PyObject_CallMethodNoArgs(file, NAME(self->state, fileno));
    PyObject *integer = number ? PyNumber_Long(number) : NULL;
    Py_XDECREF(number);
    if (integer == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Format(PyExc_ValueError, "Invalid file object: %R", file);
        }
        return -1;
    }
    int overflow;
    long value = PyLong_AsLongAndOverflow(integer, &overflow);
    Py_DECREF(integer);
    if (overflow > 0 || value > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int");
        return -1;
    }
    *fd = overflow < 0 || value < INT_MIN ? INT_MIN : (int)value;
    return 0;
}

/* The descriptor. -1 with ValueError where there is none. */
static int descriptor_of(LoopObject *self, PyObject *file)
{
    int fd;
    if (number_of(self, file, &fd) < 0) {
        return -1;
    }
    if (fd < 0) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %d", fd);
        return -1;
    }
    return fd;
}

/* The registration of a file, or NULL; also of an object that has been closed since. *fd is -1, with an exception, when the
 * argument is no file. */
static struct loop_watch *find(LoopObject *self, PyObject *file, int *fd)
{
    *fd = descriptor_of(self, file);
    if (*fd >= 0 || !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return watch_of(self, *fd);
    }
    for (size_t i = 0; i < self->watch_count; i++) {
        if (self->watches[i] != NULL && self->watches[i]->file == file) {
            PyErr_Clear();
            *fd = (int)i;
            return self->watches[i];
        }
    }
    return NULL;
}

static void free_watch(struct loop_watch *watch)
{
    Py_XDECREF(watch->reader);
    Py_XDECREF(watch->writer);
    Py_XDECREF(watch->file);
    PyMem_Free(watch);
}

static PyObject **place_of(struct loop_watch *watch, uint32_t event)
{
    return event == EPOLLIN ? &watch->reader : &watch->writer;
}

static void unregister(LoopObject *self, struct loop_watch *watch)
{
    td_poller_remove(&self->engine->poller, watch->fd, watch->slot);
    self->watches[watch->fd] = NULL;
}

/* Takes one of the two handles away, and the registration with the last. 0, or -1 with OSError for a descriptor that was closed
 * behind our back: what the other handle waits for would never come, so it goes as well. */
static int withdraw(LoopObject *self, struct loop_watch *watch, uint32_t event, PyObject **handle)
{
    PyObject **place = place_of(watch, event);
    *handle = *place;
    *place = NULL;
    int status = 0;
    if (watch->events & ~event) {
        watch->events &= ~event;
        if (td_poller_modify(&self->engine->poller, watch->fd, watch->events, watch->slot) == TD_OK) {
            return 0;
        }
        PyErr_SetFromErrno(PyExc_OSError);
        status = -1;
    }
    unregister(self, watch);
    free_watch(watch);
    return status;
}

/* Puts the handle into the ready queue, or away if it was cancelled. 0 or -1. */
static int deliver(LoopObject *self, struct loop_watch *watch, uint32_t event)
{
    PyObject *handle = *place_of(watch, event);
    if (!handle_is_cancelled(self->state, handle)) {
        return loop_add_ready(self, handle);
    }
    int status = withdraw(self, watch, event, &handle);
    Py_DECREF(handle);
    return status;
}

/* Hangups and errors are for both, as selectors tells them. */
static int on_event(void *owner, uint32_t events)
{
    struct loop_watch *watch = owner;
    LoopObject *self = watch->loop;
    int fd = watch->fd;
    uint32_t slot = watch->slot;
    if ((events & ~(uint32_t)EPOLLOUT) && watch->reader != NULL && deliver(self, watch, EPOLLIN) < 0) {
        return -1;
    }
    watch = watch_of(self, fd);
    if (watch == NULL || watch->slot != slot) {
        return 0;
    }
    if ((events & ~(uint32_t)EPOLLIN) && watch->writer != NULL) {
        return deliver(self, watch, EPOLLOUT);
    }
    return 0;
}

int loop_collect_events(LoopObject *self)
{
    return td_poller_dispatch_only(&self->engine->poller, on_event);
}

static int grow_table(LoopObject *self, int fd)
{
    size_t count = self->watch_count ? self->watch_count : 64;
    while (count <= (size_t)fd) {
        count *= 2;
    }
    if (count != self->watch_count) {
        struct loop_watch **watches = PyMem_Realloc(self->watches, count * sizeof(*watches));
        if (watches == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memset(watches + self->watch_count, 0, (count - self->watch_count) * sizeof(*watches));
        self->watches = watches;
        self->watch_count = count;
    }
    return 0;
}

/* yielding: what belongs to another source of the engine is left to it, with FileExistsError. */
static struct loop_watch *register_file(LoopObject *self, int fd, PyObject *file, uint32_t events, bool yielding)
{
    struct loop_watch *watch = PyMem_Calloc(1, sizeof(*watch));
    if (watch == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *watch = (struct loop_watch){.loop = self, .fd = fd, .events = events};
    struct td_poller *poller = &self->engine->poller;
    /* The kernel first: it knows which numbers are descriptors, so the table does not grow for others. */
    engine_release_socket(self->engine, fd);
    enum td_status status = td_poller_add_new(poller, fd, events, on_event, watch, &watch->slot);
    if (status == TD_SYS && errno == EEXIST) {
        if (yielding && engine_find(self->engine, NULL, fd) != NULL) {
            errno = EEXIST;
        }
        else {
            /* Left over from a descriptor that was duplicated and closed. */
            status = td_poller_add(poller, fd, events, on_event, watch, &watch->slot);
        }
    }
    if (status != TD_OK) {
        if (status == TD_NOMEM) {
            PyErr_NoMemory();
        }
        else {
            PyErr_SetFromErrno(PyExc_OSError);
        }
        free_watch(watch);
        return NULL;
    }
    if (grow_table(self, fd) < 0) {
        td_poller_remove(poller, fd, watch->slot);
        free_watch(watch);
        return NULL;
    }
    watch->file = PyLong_Check(file) ? NULL : Py_NewRef(file);
    self->watches[fd] = watch;
    return watch;
}

/* Cancels and drops a handle that was replaced or removed. Steals the reference; NULL is allowed. */
static int retire(LoopObject *self, PyObject *handle)
{
    int status = handle ? handle_cancel(self->state, handle) : 0;
    Py_XDECREF(handle);
    return status;
}

/* _add_reader() and _add_writer(): the new Handle. */
static PyObject *add(LoopObject *self, PyObject *const *args, Py_ssize_t count, uint32_t event, bool yielding)
{
    if (count < 2) {
        PyErr_Format(PyExc_TypeError, "%s takes a file, a callback and its arguments",
                     event == EPOLLIN ? "add_reader()" : "add_writer()");
        return NULL;
    }
    if (loop_check_closed(self) < 0) {
        return NULL;
    }
    const struct handle_call call = {.callback = args[1], .args = args + 2, .count = count - 2};
    PyObject *handle = handle_make(self->state, (PyObject *)self, &call, self->debug);
    if (handle == NULL) {
        return NULL;
    }
    handle_track(self->state, handle);
    int fd;
    struct loop_watch *watch = find(self, args[0], &fd);
    if (fd < 0 || loop_check_closed(self) < 0) {
        goto failed;
    }
    if (watch == NULL) {
        watch = register_file(self, fd, args[0], event, yielding);
        if (watch == NULL) {
            goto failed;
        }
    }
    /* Also when it has these events: the descriptor may have been closed and opened again. */
    else if (td_poller_modify(&self->engine->poller, watch->fd, watch->events | event, watch->slot) != TD_OK) {
        PyErr_SetFromErrno(PyExc_OSError);
        unregister(self, watch);
        free_watch(watch);
        goto failed;
    }
    watch->events |= event;
    PyObject **place = place_of(watch, event);
    PyObject *replaced = *place;
    *place = Py_NewRef(handle);
    if (retire(self, replaced) < 0) {
        goto failed;
    }
    return handle;

failed:
    Py_DECREF(handle);
    return NULL;
}

/* _remove_reader() and _remove_writer(): was there one? */
static PyObject *remove_one(LoopObject *self, PyObject *file, uint32_t event)
{
    if (self->closed) {
        Py_RETURN_FALSE;
    }
    int fd;
    struct loop_watch *watch = find(self, file, &fd);
    if (fd < 0) {
        return NULL;
    }
    if (watch == NULL) {
        Py_RETURN_FALSE;
    }
    PyObject *handle = NULL;
    if ((watch->events & event) && withdraw(self, watch, event, &handle) < 0) {
        Py_XDECREF(handle);
        return NULL;
    }
    bool found = handle != NULL;
    return retire(self, handle) < 0 ? NULL : Py_NewRef(found ? Py_True : Py_False);
}

/* Is there surely no transport of this descriptor? asyncio has them in a WeakValueDictionary, whose `data` is a dict by number.
 */
static bool has_no_transport(LoopObject *self, int fd)
{
    PyObject *number = PyLong_FromLong(fd);
    PyObject *transports = number ? PyObject_GetAttr((PyObject *)self, NAME(self->state, _transports)) : NULL;
    PyObject *data = NULL;
    bool none = false;
    if (transports != NULL && (PyObject *)Py_TYPE(transports) == BOUND(self->state, WeakValueDictionary)) {
        data = PyObject_GetAttr(transports, NAME(self->state, data));
        none = data != NULL && PyDict_CheckExact(data) && PyDict_Contains(data, number) == 0;
    }
    Py_XDECREF(data);
    Py_XDECREF(transports);
    Py_XDECREF(number);
    /* Whatever is wrong with it, asyncio's method says so. */
    PyErr_Clear();
    return none;
}

static int ensure_no_transport(LoopObject *self, PyObject *file)
{
    int fd;
    if (number_of(self, file, &fd) < 0) {
        return -1;
    }
    if (fd < 0 || has_no_transport(self, fd)) {
        return 0;
    }
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, _ensure_fd_no_transport), file);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *call_overridden(LoopObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count)
{
    PyObject *method = PyObject_GetAttr((PyObject *)self, name);
    PyObject *result = method ? PyObject_Vectorcall(method, args, (size_t)count, NULL) : NULL;
    Py_XDECREF(method);
    return result;
}

static PyObject *add_public(LoopObject *self, PyObject *const *args, Py_ssize_t count, uint32_t event)
{
    if (count >= 2 && ensure_no_transport(self, args[0]) < 0) {
        return NULL;
    }
    const bool reads = event == EPOLLIN;
    PyObject *handle;
    if (loop_changes(self, reads ? LOOP_HOOK(_add_reader) : LOOP_HOOK(_add_writer))) {
        handle = call_overridden(self, reads ? NAME(self->state, _add_reader) : NAME(self->state, _add_writer), args, count);
    }
    else {
        handle = add(self, args, count, event, true);
    }
    Py_XDECREF(handle);
    return handle ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(add_reader_doc, "add_reader($self, fd, callback, /, *args)\n--\n\nCall callback(*args) whenever fd, a descriptor or "
                             "an object with fileno(), can be read from. FileExistsError if it belongs to a server; see "
                             "asyncio's loop.add_reader().");

static PyObject *method_add_reader(LoopObject *self, PyObject *const *args, Py_ssize_t count)
{
    return add_public(self, args, count, EPOLLIN);
}

PyDoc_STRVAR(add_writer_doc, "add_writer($self, fd, callback, /, *args)\n--\n\nCall callback(*args) whenever fd, a descriptor or "
                             "an object with fileno(), can be written to. FileExistsError if it belongs to a server; see "
                             "asyncio's loop.add_writer().");

static PyObject *method_add_writer(LoopObject *self, PyObject *const *args, Py_ssize_t count)
{
    return add_public(self, args, count, EPOLLOUT);
}

static PyObject *remove_public(LoopObject *self, PyObject *file, uint32_t event)
{
    if (ensure_no_transport(self, file) < 0) {
        return NULL;
    }
    const bool reads = event == EPOLLIN;
    if (loop_changes(self, reads ? LOOP_HOOK(_remove_reader) : LOOP_HOOK(_remove_writer))) {
        return call_overridden(self, reads ? NAME(self->state, _remove_reader) : NAME(self->state, _remove_writer), &file, 1);
    }
    return remove_one(self, file, event);
}

PyDoc_STRVAR(remove_reader_doc, "remove_reader($self, fd, /)\n--\n\nStop watching for input. False if nobody did.");

static PyObject *method_remove_reader(LoopObject *self, PyObject *file)
{
    return remove_public(self, file, EPOLLIN);
}

PyDoc_STRVAR(remove_writer_doc, "remove_writer($self, fd, /)\n--\n\nStop watching for output. False if nobody did.");

static PyObject *method_remove_writer(LoopObject *self, PyObject *file)
{
    return remove_public(self, file, EPOLLOUT);
}

PyDoc_STRVAR(private_add_doc, "Like the public method, for transports: returns the Handle, and takes a descriptor over.");
PyDoc_STRVAR(private_remove_doc, "Like the public method, for transports.");

static PyObject *method_add_reader_private(LoopObject *self, PyObject *const *args, Py_ssize_t count)
{
    return add(self, args, count, EPOLLIN, false);
}

static PyObject *method_add_writer_private(LoopObject *self, PyObject *const *args, Py_ssize_t count)
{
    return add(self, args, count, EPOLLOUT, false);
}

static PyObject *method_remove_reader_private(LoopObject *self, PyObject *file)
{
    return remove_one(self, file, EPOLLIN);
}

static PyObject *method_remove_writer_private(LoopObject *self, PyObject *file)
{
    return remove_one(self, file, EPOLLOUT);
}

PyDoc_STRVAR(watched_doc,
             "_watched($self, /)\n--\n\nThe descriptors with readers and writers: a list of tuples (fd, the object that "
             "stands for it or None, the reader or None, the writer or None).");

static PyObject *method_watched(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < self->watch_count; i++) {
        const struct loop_watch *watch = self->watches[i];
        if (watch == NULL || watch->events == 0) {
            continue;
        }
        /* References of its own: a tuple that is made may start the collector, and a finalizer remove the watch. */
        PyObject *entry =
            Py_BuildValue("(iNNN)", watch->fd, Py_NewRef(watch->file ? watch->file : Py_None),
                          Py_NewRef(watch->reader ? watch->reader : Py_None), Py_NewRef(watch->writer ? watch->writer : Py_None));
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    return list;
}

void loop_drop_watches(LoopObject *self)
{
    for (size_t i = 0; i < self->watch_count; i++) {
        struct loop_watch *watch = self->watches[i];
        if (watch != NULL) {
            /* The set goes as a whole. After a fork it is the parent's as well, which must keep its descriptors. */
            td_poller_forget(&self->engine->poller, watch->slot);
            self->watches[i] = NULL;
            free_watch(watch);
        }
    }
}

int loop_traverse_watches(LoopObject *self, visitproc visit, void *arg)
{
    for (size_t i = 0; i < self->watch_count; i++) {
        if (self->watches[i] != NULL) {
            Py_VISIT(self->watches[i]->reader);
            Py_VISIT(self->watches[i]->writer);
            Py_VISIT(self->watches[i]->file);
        }
    }
    return 0;
}

#define FASTCALL(function) ((PyCFunction)(void (*)(void))(function))

PyMethodDef loop_io_methods[] = {
    {"add_reader", FASTCALL(method_add_reader), METH_FASTCALL, add_reader_doc},
    {"add_writer", FASTCALL(method_add_writer), METH_FASTCALL, add_writer_doc},
    {"remove_reader", (PyCFunction)method_remove_reader, METH_O, remove_reader_doc},
    {"remove_writer", (PyCFunction)method_remove_writer, METH_O, remove_writer_doc},
    {"_add_reader", FASTCALL(method_add_reader_private), METH_FASTCALL, private_add_doc},
    {"_add_writer", FASTCALL(method_add_writer_private), METH_FASTCALL, private_add_doc},
    {"_remove_reader", (PyCFunction)method_remove_reader_private, METH_O, private_remove_doc},
    {"_remove_writer", (PyCFunction)method_remove_writer_private, METH_O, private_remove_doc},
    {"_watched", (PyCFunction)method_watched, METH_NOARGS, watched_doc},
    {NULL, NULL, 0, NULL},
};
