/* See stream.h: what the loop tells a stream. The descriptor is registered once, edge-triggered in both directions; io_state says
 * what Tornado would listen for, and readiness that was reported while nobody listened is kept in more_in and more_out. */
#include "stream.h"

#include "errors.h"

#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

void stream_log(StreamObject *self, PyObject *method, const char *message, PyObject *args, PyObject *exception)
{
    PyObject *result = NULL;
    if (args != NULL) {
        result =
            PyObject_CallFunction(BOUND(self->state, stream_log), "OsOO", method, message, args, exception ? exception : Py_None);
        Py_DECREF(args);
    }
    if (result == NULL) {
        errors_unraisable(self->state, (PyObject *)self);
    }
    Py_XDECREF(result);
}

bool stream_reading(StreamObject *self)
{
    return self->handshake_reading || stream_is_set(self->read_future);
}

bool stream_writing(StreamObject *self)
{
    return self->handshake_writing || stream_has_output(self);
}

void stream_settle(StreamObject *self)
{
    if (self->source.fd < 0 || self->general) {
        return;
    }
    if (((self->io_state & STREAM_READ) && self->more_in) ||
        ((self->io_state & STREAM_WRITE) && self->more_out && (self->connecting || stream_writing(self)))) {
        engine_schedule(self->engine, &self->source);
    }
}

static int register_descriptor(StreamObject *self)
{
    int fd = stream_fd(self);
    if (engine_watch(self->engine, &self->source, fd, WATCHED) < 0) {
        if (PyErr_ExceptionMatches(PyExc_FileExistsError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "fd %d added twice", fd);
        }
        return -1;
    }
    /* What is ready already is reported first. */
    self->more_in = false;
    self->more_out = false;
    self->ended = false;
    return 0;
}

int stream_listen(StreamObject *self, int events)
{
    if (self->closed) {
        return 0;
    }
    int fast = stream_enter(self);
    if (fast <= 0) {
        PyObject *number = fast == 0 ? PyLong_FromLong(events) : NULL;
        PyObject *none = number ? PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, _add_io_state), number) : NULL;
        Py_XDECREF(number);
        Py_XDECREF(none);
        return none ? 0 : -1;
    }
    if (self->source.fd < 0 && register_descriptor(self) < 0) {
        return -1;
    }
    self->io_state |= STREAM_ERROR | events;
    stream_settle(self);
    return 0;
}

int stream_listen_for_close(StreamObject *self)
{
    if (self->general) {
        PyObject *none = PyObject_CallMethod((PyObject *)self, "_maybe_add_error_listener", NULL);
        Py_XDECREF(none);
        return none ? 0 : -1;
    }
    if ((self->io_state == 0 || self->io_state == STREAM_ERROR) && !self->closed && stream_available(self) == 0 &&
        stream_is_set(self->close_callback)) {
        return stream_listen(self, STREAM_READ);
    }
    if ((self->io_state & STREAM_READ) && self->more_in && !stream_reading(self)) {
        /* Level-triggered, it would be told again. */
        if (self->kind == STREAM_TLS && stream_tls_is_drained(self)) {
            self->more_in = false;
        }
        stream_settle(self);
    }
    return 0;
}

static int handle_connect(StreamObject *self)
{
    PyObject *none = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, _handle_connect));
    Py_XDECREF(none);
    return none ? 0 : -1;
}

static int handle_write(StreamObject *self)
{
    return self->kind == STREAM_TLS && self->ssl_accepting ? stream_tls_handshake(self) : stream_flush(self);
}

/* The middle of _handle_events. 0 or -1. */
static int handle(StreamObject *self, int events)
{
    if (self->connecting && handle_connect(self) < 0) {
        return -1;
    }
    if ((events & STREAM_READ) && !self->closed && !self->general && stream_on_readable(self) < 0) {
        return -1;
    }
    if ((events & STREAM_WRITE) && !self->closed && !self->general && handle_write(self) < 0) {
        return -1;
    }
    if (self->closed || self->general) {
        return 0;
    }
    int listened = STREAM_ERROR | (stream_reading(self) ? STREAM_READ : 0) | (stream_writing(self) ? STREAM_WRITE : 0);
    if (listened == STREAM_ERROR && stream_available(self) == 0) {
        listened |= STREAM_READ;
        if (self->kind == STREAM_TLS && self->more_in && !self->ssl_accepting && stream_tls_is_drained(self)) {
            self->more_in = false;
        }
    }
    if (self->io_state != 0) {
        self->io_state = listened;
    }
    stream_settle(self);
    return 0;
}

/* _handle_events. 0, or -1 with an exception that Tornado would let out. */
static int handle_events(StreamObject *self, int events)
{
    struct native_state *state = self->state;
    if (handle(self, events) == 0) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    bool unsatisfiable = PyErr_ExceptionMatches(BOUND(state, UnsatisfiableReadError));
    PyObject *error = errors_take();
    if (unsatisfiable) {
        stream_log(self, NAME(state, info), "Unsatisfiable read, closing connection: %s", Py_BuildValue("(O)", error), NULL);
    }
    else {
        stream_log(self, NAME(state, error), "Uncaught exception, closing connection.", PyTuple_New(0), error);
    }
    int status = stream_close(self, error);
    if (status == 0 && !unsatisfiable) {
        errors_give(error);
        return -1;
    }
    Py_DECREF(error);
    return status;
}

/* Gives what is ready to whoever listens for it. */
static int dispatch(StreamObject *self)
{
    if (self->closed ||
        !(((self->io_state & STREAM_READ) && self->more_in) || ((self->io_state & STREAM_WRITE) && self->more_out))) {
        return 0;
    }
    if (self->turn == self->engine->runs) {
        /* Whoever has got something in this iteration may answer before the end behind it is seen. */
        engine_schedule(self->engine, &self->source);
        return 0;
    }
    self->turn = self->engine->runs;
    int status = 0;
    int fast = stream_enter(self);
    if (fast == 1 && (self->io_state & STREAM_READ) && self->more_in) {
        status = handle_events(self, STREAM_READ);
    }
    if (status == 0 && fast == 1 && !self->closed && !self->general && (self->io_state & STREAM_WRITE) && self->more_out) {
        status = handle_events(self, STREAM_WRITE);
    }
    if (status < 0 || fast < 0) {
        return errors_report(self->state, "Exception in callback of a stream");
    }
    return 0;
}

static int on_event(PyObject *owner, uint32_t events)
{
    StreamObject *self = (StreamObject *)owner;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        self->more_in = true;
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        self->more_out = true;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        self->ended = true;
    }
    Py_INCREF(owner);
    int status = dispatch(self);
    Py_DECREF(owner);
    return status;
}

static int on_turn(PyObject *owner)
{
    return dispatch((StreamObject *)owner);
}

/* IOLoop.close(all_fds=True) closes the file, and tells nobody; loop.close() just forgets the stream. */
static void on_close(PyObject *owner)
{
    StreamObject *self = (StreamObject *)owner;
    PyObject *file = self->kind == STREAM_PIPE ? self->file : self->socket;
    if (self->source.fd >= 0) {
        engine_unwatch(self->engine, &self->source);
        if (stream_is_set(file) && !self->engine->keep_files) {
            Py_INCREF(file);
            PyObject *none = PyObject_CallMethodNoArgs(file, NAME(self->state, close));
            if (none == NULL) {
                errors_unraisable(self->state, file);
            }
            Py_XDECREF(none);
            Py_DECREF(file);
        }
    }
}

const struct engine_kind stream_engine_kind = {.on_event = on_event, .on_turn = on_turn, .on_close = on_close};

/* -- methods -- */

PyDoc_STRVAR(add_io_state_doc, "_add_io_state($self, state, /)\n--\n\nListen for these events, too.");

static PyObject *stream_add_io_state(StreamObject *self, PyObject *arg)
{
    int fast = stream_enter(self);
    if (fast <= 0) {
        return fast < 0 ? NULL : stream_call_tornado(self, NAME(self->state, _add_io_state), &arg, 1, NULL);
    }
    long events = PyLong_AsLong(arg);
    if (events == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return stream_listen(self, (int)events) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(reading_doc, "reading($self)\n--\n\nIs a read pending?");

static PyObject *stream_reading_method(StreamObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(stream_reading(self));
}

PyDoc_STRVAR(writing_doc, "writing($self)\n--\n\nIs there output that was not sent yet?");

static PyObject *stream_writing_method(StreamObject *self, PyObject *Py_UNUSED(ignored))
{
    return self->general ? stream_call_tornado(self, NAME(self->state, writing), NULL, 0, NULL)
                         : PyBool_FromLong(stream_writing(self));
}

PyMethodDef stream_event_methods[] = {
    {"_add_io_state", (PyCFunction)stream_add_io_state, METH_O, add_io_state_doc},
    {"reading", (PyCFunction)stream_reading_method, METH_NOARGS, reading_doc},
    {"writing", (PyCFunction)stream_writing_method, METH_NOARGS, writing_doc},
    {NULL, NULL, 0, NULL},
};
