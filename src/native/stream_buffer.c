/* See stream_buffer.h. */
#include "stream_buffer.h"

#include "core/alloc.h"

#define PEEK_MAX 65536 /* bytes copied for one look at the front */

StreamBufferObject *stream_buffer_new(struct native_state *state)
{
    PyTypeObject *type = state->stream_buffer_type;
    return (StreamBufferObject *)type->tp_alloc(type, 0);
}

static void release_bytes(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

static void release_view(void *owner)
{
    PyBuffer_Release(owner);
    td_free(owner);
}

static int put_view(StreamBufferObject *self, PyObject *data, size_t offset)
{
    Py_buffer *view = td_malloc(sizeof(*view));
    if (view == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(data, view, PyBUF_SIMPLE) < 0) {
        td_free(view);
        return -1;
    }
    size_t len = (size_t)view->len - offset;
    enum td_status status;
    if (len > TD_OUTBUF_COPY_MAX) {
        status = td_outbuf_append_held(&self->out, (const char *)view->buf + offset, len, view, release_view);
        if (status == TD_OK) {
            return 0;
        }
    }
    else {
        status = td_outbuf_append(&self->out, (const char *)view->buf + offset, len);
    }
    release_view(view);
    if (status != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

int stream_buffer_put(StreamBufferObject *self, PyObject *data, size_t offset)
{
    if (!PyBytes_CheckExact(data)) {
        return put_view(self, data, offset);
    }
    const char *bytes = PyBytes_AS_STRING(data) + offset;
    size_t len = (size_t)PyBytes_GET_SIZE(data) - offset;
    enum td_status status;
    if (len > TD_OUTBUF_COPY_MAX) {
        status = td_outbuf_append_held(&self->out, bytes, len, data, release_bytes);
        if (status == TD_OK) {
            Py_INCREF(data);
        }
    }
    else {
        status = td_outbuf_append(&self->out, bytes, len);
    }
    if (status != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* -- the type -- */

PyDoc_STRVAR(append_doc, "append($self, data, /)\n--\n\nAdd bytes to the end. Large pieces are held, not copied.");

static PyObject *stream_buffer_append(StreamBufferObject *self, PyObject *data)
{
    if (stream_buffer_put(self, data, 0) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(peek_doc, "peek($self, size, /)\n--\n\nA memoryview of at most size bytes (possibly fewer) at the front.");

static PyObject *stream_buffer_peek(StreamBufferObject *self, PyObject *arg)
{
    Py_ssize_t size = PyNumber_AsSsize_t(arg, NULL);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (size <= 0) {
        PyErr_SetNone(PyExc_AssertionError);
        return NULL;
    }
    struct iovec front = {.iov_base = NULL, .iov_len = 0};
    (void)td_outbuf_vector(&self->out, &front, 1);
    size_t len = front.iov_len < (size_t)size ? front.iov_len : (size_t)size;
    PyObject *bytes = PyBytes_FromStringAndSize(front.iov_base, (Py_ssize_t)(len < PEEK_MAX ? len : PEEK_MAX));
    if (bytes == NULL) {
        return NULL;
    }
    PyObject *view = PyMemoryView_FromObject(bytes);
    Py_DECREF(bytes);
    return view;
}

PyDoc_STRVAR(advance_doc, "advance($self, size, /)\n--\n\nDrop size bytes from the front.");

static PyObject *stream_buffer_advance(StreamBufferObject *self, PyObject *arg)
{
    Py_ssize_t size = PyNumber_AsSsize_t(arg, NULL);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (size <= 0 || (size_t)size > self->out.size) {
        PyErr_SetNone(PyExc_AssertionError);
        return NULL;
    }
    td_outbuf_advance(&self->out, (size_t)size);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(clear_doc, "clear($self)\n--\n\nDrop everything.");

static PyObject *stream_buffer_clear(StreamBufferObject *self, PyObject *Py_UNUSED(ignored))
{
    td_outbuf_clear(&self->out);
    Py_RETURN_NONE;
}

static Py_ssize_t stream_buffer_length(StreamBufferObject *self)
{
    return (Py_ssize_t)self->out.size;
}

static PyObject *stream_buffer_create(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":StreamBuffer", keywords)) {
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

static void stream_buffer_dealloc(StreamBufferObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    td_outbuf_clear(&self->out);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef stream_buffer_methods[] = {
    {"append", (PyCFunction)stream_buffer_append, METH_O, append_doc},
    {"peek", (PyCFunction)stream_buffer_peek, METH_O, peek_doc},
    {"advance", (PyCFunction)stream_buffer_advance, METH_O, advance_doc},
    {"clear", (PyCFunction)stream_buffer_clear, METH_NOARGS, clear_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(stream_buffer_doc, "StreamBuffer()\n--\n\nOutput of a stream that was not sent yet: Tornado's _StreamBuffer.");

static PyType_Slot stream_buffer_slots[] = {
    {Py_tp_new, stream_buffer_create},    {Py_tp_dealloc, stream_buffer_dealloc}, {Py_tp_methods, stream_buffer_methods},
    {Py_sq_length, stream_buffer_length}, {Py_tp_doc, (void *)stream_buffer_doc}, {0, NULL},
};

static PyType_Spec stream_buffer_spec = {
    .name = "tornadoc._native.StreamBuffer",
    .basicsize = sizeof(StreamBufferObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = stream_buffer_slots,
};

int stream_buffer_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &stream_buffer_spec, &state->stream_buffer_type);
}
