/* See stream.h: close(), and what becomes of those who wait. */
#include "stream.h"

#include "errors.h"

int stream_is_connreset(StreamObject *self, PyObject *error)
{
    PyObject *answer = PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, _is_connreset), error);
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

static PyObject *closed_error(StreamObject *self)
{
    PyObject *real = Py_NewRef(self->error ? self->error : Py_None);
    PyObject *error = PyObject_CallOneArg(BOUND(self->state, StreamClosedError), real);
    Py_DECREF(real);
    return error;
}

void stream_raise_closed(StreamObject *self)
{
    PyObject *error = closed_error(self);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
}

/* Fails a future unless it is done, and has its exception count as seen. 0 or -1. */
static int fail_future(StreamObject *self, PyObject *future, PyObject *error)
{
    struct native_state *state = self->state;
    PyObject *done = PyObject_CallMethodNoArgs(future, NAME(state, done));
    int truth = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    if (truth < 0) {
        return -1;
    }
    if (!truth) {
        PyObject *made = error ? Py_NewRef(error) : closed_error(self);
        PyObject *none = made ? PyObject_CallMethodOneArg(future, NAME(state, set_exception), made) : NULL;
        Py_XDECREF(made);
        Py_XDECREF(none);
        if (none == NULL) {
            return -1;
        }
    }
    PyObject *exception = PyObject_CallMethodNoArgs(future, NAME(state, exception));
    if (exception == NULL && PyErr_ExceptionMatches(BOUND(state, CancelledError))) {
        PyErr_Clear();
        return 0;
    }
    Py_XDECREF(exception);
    return exception ? 0 : -1;
}

/* Fails a future that a field holds, if it holds one. 0 or -1. */
static int fail_field(StreamObject *self, PyObject **field, PyObject *error)
{
    PyObject *future = *field;
    *field = NULL;
    int status = stream_is_set(future) ? fail_future(self, future, error) : 0;
    Py_XDECREF(future);
    return status;
}

/* _signal_closed. 0 or -1. */
static int signal_closed(StreamObject *self)
{
    if (fail_field(self, &self->read_future, NULL) < 0) {
        return -1;
    }
    while (self->writes_len > 0) {
        PyObject *future = self->writes[self->writes_start].future;
        self->writes_len--;
        self->writes_start = self->writes_len ? self->writes_start + 1 : 0;
        int status = fail_future(self, future, NULL);
        Py_DECREF(future);
        if (status < 0) {
            return -1;
        }
    }
    PyObject *error = Py_XNewRef(stream_is_set(self->error) ? self->error : NULL);
    int status = fail_field(self, &self->connect_future, NULL);
    if (status == 0 && stream_is_set(self->ssl_connect_future)) {
        if (error == NULL) {
            error = PyObject_CallNoArgs(BOUND(self->state, StreamClosedError));
        }
        status = error ? fail_field(self, &self->ssl_connect_future, error) : -1;
    }
    Py_XDECREF(error);
    if (status == 0 && stream_is_set(self->close_callback)) {
        PyObject *callback = self->close_callback;
        self->close_callback = NULL;
        PyObject *io_loop = Py_NewRef(self->io_loop ? self->io_loop : Py_None);
        PyObject *none = PyObject_CallMethodOneArg(io_loop, NAME(self->state, add_callback), callback);
        Py_DECREF(io_loop);
        Py_DECREF(callback);
        Py_XDECREF(none);
        status = none ? 0 : -1;
    }
    PyObject *buffer = self->write_buffer;
    self->write_buffer = Py_NewRef(Py_None);
    if (buffer != NULL && Py_IS_TYPE(buffer, self->state->stream_buffer_type)) {
        td_outbuf_clear(&((StreamBufferObject *)buffer)->out);
    }
    Py_XDECREF(buffer);
    return status;
}

/* close_fd. 0 or -1. */
static int close_descriptor(StreamObject *self)
{
    PyObject **field = self->kind == STREAM_PIPE ? &self->file : &self->socket;
    PyObject *file = Py_NewRef(*field ? *field : Py_None);
    PyObject *none = PyObject_CallMethodNoArgs(file, NAME(self->state, close));
    if (none != NULL && self->kind != STREAM_PIPE) {
        Py_XSETREF(self->socket, Py_NewRef(Py_None));
    }
    Py_DECREF(file);
    Py_XDECREF(none);
    return none ? 0 : -1;
}

/* Reads that what has come can still satisfy. 0 or -1. */
static int complete_last_read(StreamObject *self)
{
    if (self->read_until_close) {
        self->read_until_close = false;
        int quiet = 1;
        if (stream_is_set(self->error)) {
            PyObject *error = Py_NewRef(self->error);
            quiet = stream_is_connreset(self, error);
            Py_DECREF(error);
        }
        if (quiet <= 0) {
            return quiet;
        }
        return stream_finish_read(self, stream_available(self));
    }
    if (stream_is_set(self->read_future)) {
        size_t size = 0;
        int found = stream_find(self, &size);
        if (found < 0 && PyErr_ExceptionMatches(BOUND(self->state, UnsatisfiableReadError))) {
            PyErr_Clear();
            return 0;
        }
        return found > 0 ? stream_complete(self, size) : found;
    }
    return 0;
}

static int close_fast(StreamObject *self, PyObject *error)
{
    if (!self->closed) {
        if (error != NULL) {
            Py_XSETREF(self->error, Py_NewRef(error));
        }
        if (complete_last_read(self) < 0) {
            return -1;
        }
        if (self->direct != NULL && stream_spill(self) < 0) {
            return -1;
        }
        if (self->source.fd >= 0) {
            engine_unwatch(self->engine, &self->source);
        }
        self->io_state = 0;
        if (close_descriptor(self) < 0) {
            return -1;
        }
        self->closed = true;
    }
    return signal_closed(self);
}

int stream_close(StreamObject *self, PyObject *error)
{
    Py_INCREF(self);
    int status = stream_enter(self);
    if (status == 1) {
        status = close_fast(self, error);
    }
    else if (status == 0) {
        PyObject *argument = error ? error : Py_False;
        PyObject *none = PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, close), argument);
        Py_XDECREF(none);
        status = none ? 0 : -1;
    }
    Py_DECREF(self);
    return status;
}

/* What close(exc_info) means: *error (new reference, NULL for none). 0 or -1. */
static int take_error(StreamObject *self, PyObject *exc_info, PyObject **error)
{
    *error = NULL;
    int truth = PyObject_IsTrue(exc_info);
    if (truth <= 0) {
        return truth;
    }
    if (PyExceptionInstance_Check(exc_info)) {
        *error = Py_NewRef(exc_info);
        return 0;
    }
    PyObject *info = PyTuple_Check(exc_info) ? Py_NewRef(exc_info) : PyObject_CallNoArgs(BOUND(self->state, exc_info));
    PyObject *value = info ? PySequence_GetItem(info, 1) : NULL;
    Py_XDECREF(info);
    if (value == NULL) {
        return -1;
    }
    *error = value;
    return 0;
}

PyDoc_STRVAR(close_doc, "close($self, exc_info=False)\n--\n\nClose the stream; with true exc_info, because of that exception.");

static PyObject *stream_close_method(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    int fast = stream_enter(self);
    if (fast <= 0) {
        return fast < 0 ? NULL : stream_call_tornado(self, NAME(self->state, close), args, count, kwnames);
    }
    if (count + named > 1 || (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "exc_info") != 0)) {
        PyErr_SetString(PyExc_TypeError, "close() takes just one argument, 'exc_info'");
        return NULL;
    }
    PyObject *error = NULL;
    if (count + named == 1 && !self->closed && take_error(self, args[0], &error) < 0) {
        return NULL;
    }
    if (error == Py_None && PyTuple_Check(args[0])) {
        Py_XSETREF(self->error, Py_NewRef(Py_None));
    }
    if (error == Py_None) {
        Py_CLEAR(error);
    }
    Py_INCREF(self);
    int status = close_fast(self, error);
    Py_DECREF(self);
    Py_XDECREF(error);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(closed_doc, "closed($self)\n--\n\nIs the stream closed?");

static PyObject *stream_closed(StreamObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->closed);
}

PyDoc_STRVAR(set_close_callback_doc,
             "set_close_callback($self, callback)\n--\n\nHave callback() called when the stream is closed.");

static PyObject *stream_set_close_callback(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    int fast = stream_enter(self);
    if (fast < 0) {
        return NULL;
    }
    if (count != 1 || kwnames != NULL) {
        return stream_call_tornado(self, NAME(self->state, set_close_callback), args, count, kwnames);
    }
    PyObject *wrap = self->state->stack_wrap;
    PyObject *callback = wrap == NULL ? Py_NewRef(args[0]) : PyObject_CallOneArg(wrap, args[0]);
    if (callback == NULL) {
        return NULL;
    }
    if (fast == 0) {
        PyObject *result = stream_call_tornado(self, NAME(self->state, set_close_callback), &callback, 1, NULL);
        Py_DECREF(callback);
        return result;
    }
    Py_XSETREF(self->close_callback, callback);
    return stream_listen_for_close(self) < 0 ? NULL : Py_NewRef(Py_None);
}

PyMethodDef stream_close_methods[] = {
    {"close", (PyCFunction)(void (*)(void))stream_close_method, METH_FASTCALL | METH_KEYWORDS, close_doc},
    {"closed", (PyCFunction)stream_closed, METH_NOARGS, closed_doc},
    {"set_close_callback", (PyCFunction)(void (*)(void))stream_set_close_callback, METH_FASTCALL | METH_KEYWORDS,
     set_close_callback_doc},
    {NULL, NULL, 0, NULL},
};
