/* See stream.h: the attributes of a stream, under Tornado's names. */
#include "stream.h"

#define MEMBER(name, field, type)                                                                                                \
    {                                                                                                                            \
        name, type, offsetof(StreamObject, field), 0, NULL                                                                       \
    }

PyMemberDef stream_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(StreamObject, weakrefs), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(StreamObject, dict), READONLY, NULL},
    MEMBER("_fio", file, T_OBJECT),
    MEMBER("max_write_buffer_size", max_write_buffer_size, T_OBJECT),
    MEMBER("error", error, T_OBJECT),
    MEMBER("_closed", closed, T_BOOL),
    MEMBER("_connecting", connecting, T_BOOL),
    MEMBER("_read_future", read_future, T_OBJECT),
    MEMBER("_read_delimiter", read_delimiter, T_OBJECT),
    MEMBER("_read_regex", read_regex, T_OBJECT),
    MEMBER("_read_partial", read_partial, T_BOOL),
    MEMBER("_read_until_close", read_until_close, T_BOOL),
    MEMBER("_close_callback", close_callback, T_OBJECT),
    MEMBER("_connect_future", connect_future, T_OBJECT),
    MEMBER("_ssl_connect_future", ssl_connect_future, T_OBJECT),
    MEMBER("_total_write_index", total_write_index, T_LONGLONG),
    MEMBER("_total_write_done_index", total_write_done_index, T_LONGLONG),
    MEMBER("_ssl_options", ssl_options, T_OBJECT),
    MEMBER("_server_hostname", server_hostname, T_OBJECT),
    MEMBER("_ssl_accepting", ssl_accepting, T_BOOL),
    MEMBER("_handshake_reading", handshake_reading, T_BOOL),
    MEMBER("_handshake_writing", handshake_writing, T_BOOL),
    {NULL, 0, 0, 0, NULL},
};

static int no_deletion(PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "can't delete an attribute of a stream");
        return -1;
    }
    return 0;
}

/* -- numbers -- */

#define NUMBER(self, closure) ((long long *)(void *)((char *)(self) + (size_t)(closure)))
#define NUMBER_OF(field) ((void *)offsetof(StreamObject, field))

static PyObject *get_number(StreamObject *self, void *closure)
{
    long long number = *NUMBER(self, closure);
    return number == STREAM_NONE ? Py_NewRef(Py_None) : PyLong_FromLongLong(number);
}

static int set_number(StreamObject *self, PyObject *value, void *closure)
{
    if (no_deletion(value) < 0) {
        return -1;
    }
    long long number = STREAM_NONE;
    if (value != Py_None && stream_to_size(value, &number) < 0) {
        return -1;
    }
    *NUMBER(self, closure) = number;
    return 0;
}

/* -- what only Tornado's methods work on -- */

static PyObject *get_read_buffer(StreamObject *self, void *Py_UNUSED(closure))
{
    if (stream_make_general(self, true) < 0) {
        return NULL;
    }
    if (self->read_buffer == NULL) {
        self->read_buffer = PyByteArray_FromStringAndSize(NULL, 0);
    }
    return Py_XNewRef(self->read_buffer);
}

static PyObject *get_write_futures(StreamObject *self, void *Py_UNUSED(closure))
{
    if (stream_make_general(self, true) < 0) {
        return NULL;
    }
    if (self->write_futures == NULL) {
        return Py_XNewRef(native_fill(&self->write_futures, PyObject_CallNoArgs(BOUND(self->state, deque))));
    }
    return Py_XNewRef(self->write_futures);
}

#define OBJECT(self, closure) ((PyObject **)(void *)((char *)(self) + (size_t)(closure)))

static int set_general_object(StreamObject *self, PyObject *value, void *closure)
{
    if (no_deletion(value) < 0 || stream_make_general(self, true) < 0) {
        return -1;
    }
    Py_XSETREF(*OBJECT(self, closure), Py_NewRef(value));
    return 0;
}

static PyObject *get_after_user_buffer(StreamObject *self, void *Py_UNUSED(closure))
{
    if (stream_make_general(self, true) < 0) {
        return NULL;
    }
    return Py_NewRef(self->after_user_buffer ? self->after_user_buffer : Py_None);
}

static PyObject *get_read_buffer_size(StreamObject *self, void *Py_UNUSED(closure))
{
    return self->general ? PyLong_FromLongLong(self->read_buffer_size) : PyLong_FromSize_t(stream_available(self));
}

static int set_read_buffer_size(StreamObject *self, PyObject *value, void *closure)
{
    return stream_make_general(self, true) < 0 ? -1 : set_number(self, value, closure);
}

static PyObject *get_user_read_buffer(StreamObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->general ? self->user_read_buffer : self->user_buffer != NULL);
}

static int set_user_read_buffer(StreamObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = no_deletion(value) < 0 ? -1 : PyObject_IsTrue(value);
    if (truth < 0 || stream_make_general(self, true) < 0) {
        return -1;
    }
    self->user_read_buffer = (char)truth;
    return 0;
}

static PyObject *get_write_buffer(StreamObject *self, void *Py_UNUSED(closure))
{
    if (self->write_buffer == NULL && !self->closed && stream_make_output(self) == NULL) {
        return NULL;
    }
    return Py_NewRef(self->write_buffer ? self->write_buffer : Py_None);
}

/* -- what it works on -- */

static PyObject *get_object(StreamObject *self, void *closure)
{
    PyObject *value = *OBJECT(self, closure);
    return Py_NewRef(value ? value : Py_None);
}

static int set_io_loop(StreamObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (no_deletion(value) < 0) {
        return -1;
    }
    if (self->io_loop != NULL && value != self->io_loop && stream_make_general(self, false) < 0) {
        return -1;
    }
    Py_XSETREF(self->io_loop, Py_NewRef(value));
    return 0;
}

static int set_socket(StreamObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (no_deletion(value) < 0) {
        return -1;
    }
    /* Another socket over the registered descriptor stays registered; without one, somebody takes the socket away. */
    bool listening = !self->general && self->source.fd >= 0;
    if (listening && value == Py_None && stream_make_general(self, false) < 0) {
        return -1;
    }
    Py_XSETREF(self->socket, Py_NewRef(value));
    return listening && value != Py_None ? stream_make_general(self, true) : 0;
}

static PyObject *get_state(StreamObject *self, void *Py_UNUSED(closure))
{
    return self->io_state ? PyLong_FromLong(self->io_state) : Py_NewRef(Py_None);
}

static int set_state(StreamObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (no_deletion(value) < 0) {
        return -1;
    }
    long events = value == Py_None ? 0 : PyLong_AsLong(value);
    /* Who assigns this looks after the loop's table of handlers, too. */
    if ((events == -1 && PyErr_Occurred()) || stream_make_general(self, false) < 0) {
        return -1;
    }
    self->io_state = (int)events;
    return 0;
}

static PyObject *get_fd(StreamObject *self, void *Py_UNUSED(closure))
{
    if (self->pipe_fd < 0) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute 'fd'", Py_TYPE(self)->tp_name);
        return NULL;
    }
    return PyLong_FromLong(self->pipe_fd);
}

static int set_fd(StreamObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    long fd = no_deletion(value) < 0 ? -1 : PyLong_AsLong(value);
    if (fd == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (self->pipe_fd >= 0 && stream_make_general(self, true) < 0) {
        return -1;
    }
    self->pipe_fd = (int)fd;
    return 0;
}

#define ATTRIBUTE(name, get, set, closure)                                                                                       \
    {                                                                                                                            \
        name, (getter)(get), (setter)(set), NULL, closure                                                                        \
    }

PyGetSetDef stream_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    ATTRIBUTE("io_loop", get_object, set_io_loop, NUMBER_OF(io_loop)),
    ATTRIBUTE("socket", get_object, set_socket, NUMBER_OF(socket)),
    ATTRIBUTE("fd", get_fd, set_fd, NULL),
    ATTRIBUTE("_state", get_state, set_state, NULL),
    ATTRIBUTE("max_buffer_size", get_number, set_number, NUMBER_OF(max_buffer_size)),
    ATTRIBUTE("read_chunk_size", get_number, set_number, NUMBER_OF(read_chunk_size)),
    ATTRIBUTE("_read_bytes", get_number, set_number, NUMBER_OF(read_bytes)),
    ATTRIBUTE("_read_max_bytes", get_number, set_number, NUMBER_OF(read_max_bytes)),
    ATTRIBUTE("_read_buffer", get_read_buffer, set_general_object, NUMBER_OF(read_buffer)),
    ATTRIBUTE("_read_buffer_size", get_read_buffer_size, set_read_buffer_size, NUMBER_OF(read_buffer_size)),
    ATTRIBUTE("_user_read_buffer", get_user_read_buffer, set_user_read_buffer, NULL),
    ATTRIBUTE("_after_user_read_buffer", get_after_user_buffer, set_general_object, NUMBER_OF(after_user_buffer)),
    ATTRIBUTE("_write_buffer", get_write_buffer, set_general_object, NUMBER_OF(write_buffer)),
    ATTRIBUTE("_write_futures", get_write_futures, set_general_object, NUMBER_OF(write_futures)),
    {NULL, NULL, NULL, NULL, NULL},
};
