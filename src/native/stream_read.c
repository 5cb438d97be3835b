/* See stream.h: read_until and its relatives. */
#include "stream.h"

#include <string.h>

#include "errors.h"

/* -- the frame of a read -- */

/* _start_read: the future, borrowed from self->read_future; NULL with an exception. */
static PyObject *start_read(StreamObject *self)
{
    if (stream_is_set(self->read_future)) {
        if (self->closed) {
            stream_raise_closed(self);
        }
        else {
            PyErr_SetString(PyExc_AssertionError, "Already reading");
        }
        return NULL;
    }
    PyObject *future = engine_make_future(self->state, self->engine);
    if (future == NULL) {
        return NULL;
    }
    self->searched = 0;
    Py_XSETREF(self->read_future, future);
    return future;
}

/* Has an unsatisfiable read left its delimiter behind? Tornado's read_bytes() and read_into() still look for it. */
static bool has_delimiter_left(const StreamObject *self)
{
    return self->closed && (stream_is_set(self->read_delimiter) || stream_is_set(self->read_regex));
}

/* A read fails at once: nobody will look at the future, whose exception must not be reported as lost. */
static void silence(StreamObject *self, PyObject *future)
{
    PyObject *error = errors_take();
    PyObject *ignored =
        PyObject_CallMethodOneArg(future, NAME(self->state, add_done_callback), BOUND(self->state, stream_silence));
    if (ignored == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(ignored);
    errors_give(error);
}

/* _try_inline_read. 0 or -1. */
static int read_inline(StreamObject *self)
{
    size_t size = 0;
    int found = stream_find(self, &size);
    if (found == 0) {
        if (self->closed) {
            stream_raise_closed(self);
            return -1;
        }
        if (self->source.fd >= 0 && !self->more_in && self->kind == STREAM_SOCKET && (self->io_state & STREAM_READ)) {
            /* The socket is empty, and will tell when it isn't. */
            return 0;
        }
        PyObject *waiting = self->read_future;
        found = stream_receive(self, true, &size);
        if (found == 0 && self->read_future != waiting) {
            return 0; /* completed on the way */
        }
    }
    if (found != 0) {
        return found < 0 ? -1 : stream_complete(self, size);
    }
    return self->closed ? 0 : stream_listen(self, STREAM_READ);
}

/* The rest of every read method: tries, and gives the future back. `bounded`: by UnsatisfiableReadError. */
static PyObject *attempt(StreamObject *self, PyObject *future, bool bounded)
{
    Py_INCREF(self);
    Py_INCREF(future);
    if (read_inline(self) < 0) {
        if (bounded && PyErr_ExceptionMatches(BOUND(self->state, UnsatisfiableReadError))) {
            PyObject *error = errors_take();
            stream_log(self, NAME(self->state, info), "Unsatisfiable read, closing connection: %s", Py_BuildValue("(O)", error),
                       NULL);
            int status = stream_close(self, error);
            Py_DECREF(error);
            if (status < 0) {
                Py_CLEAR(future);
            }
        }
        else {
            silence(self, future);
            Py_CLEAR(future);
        }
    }
    Py_DECREF(self);
    return future;
}

/* -- the methods -- */

/* What read_until() and read_until_regex() begin with. */
struct search {
    PyObject *target;  /* borrowed from the caller's arguments */
    long long limit;   /* STREAM_NONE or max_bytes */
    PyObject *instead; /* owned: what a more general stream gave; NULL with an exception */
};

/* The future of a read that has begun, a new reference; or NULL, and search->instead is what the method returns. */
static PyObject *start_search(StreamObject *self, PyObject *name, const char *const *names, bool bytes_only,
                              PyObject *const *args, Py_ssize_t count, PyObject *kwnames, struct search *search)
{
    PyObject *values[2];
    search->limit = STREAM_NONE;
    search->instead = NULL;
    if (!stream_take_arguments(names, 2, args, count, kwnames, values)) {
        search->instead = stream_call_legacy(self, name, args, count, kwnames);
        return NULL;
    }
    search->target = values[0];
    bool odd = bytes_only && !PyBytes_CheckExact(values[0]);
    if (stream_is_set(values[1]) && !odd) {
        odd = !PyLong_CheckExact(values[1]);
        if (!odd && stream_to_size(values[1], &search->limit) < 0) {
            return NULL;
        }
    }
    int fast = stream_enter(self);
    if (fast == 1 && (odd || self->user_buffer != NULL)) {
        fast = stream_make_general(self, true);
    }
    if (fast <= 0) {
        search->instead = fast < 0 ? NULL : stream_call_tornado(self, name, args, count, kwnames);
        return NULL;
    }
    return Py_XNewRef(start_read(self));
}

PyDoc_STRVAR(read_until_doc, "read_until($self, delimiter, max_bytes=None)\n--\n\nRead up to and with a delimiter.");

static PyObject *stream_read_until(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"delimiter", "max_bytes"};
    struct search search;
    PyObject *future = start_search(self, NAME(self->state, read_until), names, true, args, count, kwnames, &search);
    if (future == NULL) {
        return search.instead;
    }
    Py_XSETREF(self->read_delimiter, Py_NewRef(search.target));
    self->read_max_bytes = search.limit;
    PyObject *result = attempt(self, future, true);
    Py_DECREF(future);
    return result;
}

PyDoc_STRVAR(read_until_regex_doc, "read_until_regex($self, regex, max_bytes=None)\n--\n\nRead up to and with a match.");

static PyObject *stream_read_until_regex(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"regex", "max_bytes"};
    struct search search;
    PyObject *future = start_search(self, NAME(self->state, read_until_regex), names, false, args, count, kwnames, &search);
    if (future == NULL) {
        return search.instead;
    }
    PyObject *result = NULL;
    /* May run code: that of a pattern with a __hash__ of its own. */
    PyObject *regex = PyObject_CallOneArg(BOUND(self->state, re_compile), search.target);
    if (regex != NULL) {
        Py_XSETREF(self->read_regex, regex);
        self->read_max_bytes = search.limit;
        result = attempt(self, future, true);
    }
    Py_DECREF(future);
    return result;
}

PyDoc_STRVAR(read_bytes_doc, "read_bytes($self, num_bytes, partial=False)\n--\n\nRead a number of bytes, or some of them.");

static PyObject *stream_read_bytes(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"num_bytes", "partial"};
    PyObject *values[2];
    PyObject *name = NAME(self->state, read_bytes);
    if (!stream_take_arguments(names, 2, args, count, kwnames, values)) {
        return stream_call_legacy(self, name, args, count, kwnames);
    }
    int partial = values[1] ? PyObject_IsTrue(values[1]) : 0;
    long long wanted = -1;
    if (partial < 0 || (PyLong_CheckExact(values[0]) && stream_to_size(values[0], &wanted) < 0)) {
        return NULL;
    }
    int fast = stream_enter(self);
    if (fast == 1 && (wanted < 0 || self->user_buffer != NULL || has_delimiter_left(self))) {
        fast = stream_make_general(self, true);
    }
    if (fast <= 0) {
        return fast < 0 ? NULL : stream_call_tornado(self, name, args, count, kwnames);
    }
    PyObject *future = start_read(self);
    if (future == NULL) {
        return NULL;
    }
    self->read_bytes = wanted;
    self->read_partial = (char)partial;
    return attempt(self, future, false);
}

/* Moves buffered input into the caller's buffer. 1; 0 if the buffer is no plain one. */
static int use_buffer(StreamObject *self, PyObject *buffer)
{
    Py_buffer view;
    /* Giving up the buffer of anything else may run code. */
    if (!PyByteArray_CheckExact(buffer) && !PyMemoryView_Check(buffer)) {
        return 0;
    }
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t len = PyObject_Size(buffer);
    if (len != view.len) {
        PyBuffer_Release(&view);
        PyErr_Clear();
        return 0;
    }
    size_t part = self->in.len < (size_t)len ? self->in.len : (size_t)len;
    if (part > 0) {
        memcpy(view.buf, td_inbuf_data(&self->in), part);
        td_inbuf_consume(&self->in, part);
    }
    PyBuffer_Release(&view);
    self->filled = part;
    self->read_bytes = len;
    Py_XSETREF(self->user_buffer, Py_NewRef(buffer));
    return 1;
}

PyDoc_STRVAR(read_into_doc, "read_into($self, buf, partial=False)\n--\n\nFill a buffer, or some of it.");

static PyObject *stream_read_into(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"buf", "partial"};
    PyObject *values[2];
    PyObject *name = NAME(self->state, read_into);
    if (!stream_take_arguments(names, 2, args, count, kwnames, values)) {
        return stream_call_legacy(self, name, args, count, kwnames);
    }
    int partial = values[1] ? PyObject_IsTrue(values[1]) : 0;
    if (partial < 0) {
        return NULL;
    }
    int fast = stream_enter(self);
    if (fast == 1 && (self->user_buffer != NULL || stream_is_set(self->read_future) || has_delimiter_left(self))) {
        fast = stream_make_general(self, true);
    }
    if (fast == 1 && (stream_spill(self) < 0 || (fast = use_buffer(self, values[0])) < 0)) {
        return NULL;
    }
    if (fast == 0 && stream_make_general(self, true) < 0) {
        return NULL;
    }
    if (fast <= 0) {
        return fast < 0 ? NULL : stream_call_tornado(self, name, args, count, kwnames);
    }
    PyObject *future = start_read(self);
    if (future == NULL) {
        return NULL;
    }
    self->read_partial = (char)partial;
    return attempt(self, future, false);
}

PyDoc_STRVAR(read_until_close_doc, "read_until_close($self)\n--\n\nRead everything until the stream is closed.");

static PyObject *stream_read_until_close(StreamObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *name = NAME(self->state, read_until_close);
    if (count > 0 || (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0)) {
        return stream_call_legacy(self, name, args, count, kwnames);
    }
    int fast = stream_enter(self);
    if (fast == 1 && self->user_buffer != NULL) {
        fast = stream_make_general(self, true);
    }
    if (fast <= 0) {
        return fast < 0 ? NULL : stream_call_tornado(self, name, args, count, kwnames);
    }
    PyObject *future = start_read(self);
    if (future == NULL) {
        return NULL;
    }
    if (self->closed) {
        Py_INCREF(future);
        if (stream_finish_read(self, stream_available(self)) < 0) {
            Py_CLEAR(future);
        }
        return future;
    }
    self->read_until_close = true;
    return attempt(self, future, false);
}

#define METHOD(name)                                                                                                             \
    {                                                                                                                            \
#name, (PyCFunction)(void (*)(void))stream_##name, METH_FASTCALL | METH_KEYWORDS, name##_doc                             \
    }

PyMethodDef stream_read_methods[] = {
    METHOD(read_until), METHOD(read_until_regex), METHOD(read_bytes),
    METHOD(read_into),  METHOD(read_until_close), {NULL, NULL, 0, NULL},
};
