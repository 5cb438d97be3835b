/* See stream.h: the type, its life, and the way from the fast path to the general one. */
#include "stream.h"

#include "guard.h"

#define DEFAULT_BUFFER_SIZE 104857600
#define DEFAULT_CHUNK_SIZE 65536
#define MAX_ARGS 16

/* -- is it plain? -- */

static const enum guard_set guard_sets[STREAM_KIND_COUNT] = {
    [STREAM_SOCKET] = GUARD_IOSTREAM,
    [STREAM_TLS] = GUARD_SSL_IOSTREAM,
    [STREAM_PIPE] = GUARD_PIPE_IOSTREAM,
};

static bool hides_attributes(StreamObject *self)
{
    PyObject *name;
    return self->kind != STREAM_BASE && guard_hides(self->state, guard_sets[self->kind], Py_TYPE(self), &name);
}

static bool hooks_are_plain(StreamObject *self)
{
    if (self->kind == STREAM_BASE) {
        return false;
    }
    enum guard_set set = guard_sets[self->kind];
    return (guard_type_mask(self->state, set, Py_TYPE(self)) | guard_dict_mask(self->state, set, self->dict)) == 0;
}

static bool socket_is_plain(struct native_state *state, PyObject *sock)
{
    PyTypeObject *type = (PyTypeObject *)BOUND(state, socket);
    return sock != NULL && Py_IS_TYPE(sock, type) && guard_type_mask(state, GUARD_SOCKET, type) == 0;
}

static bool file_is_plain(StreamObject *self)
{
    if (self->closed) {
        return true;
    }
    switch (self->kind) {
    case STREAM_SOCKET:
        return socket_is_plain(self->state, self->socket);
    case STREAM_TLS:
        return socket_is_plain(self->state, self->socket) || stream_tls_is_plain(self);
    case STREAM_PIPE:
        return self->file != NULL && Py_IS_TYPE(self->file, (PyTypeObject *)BOUND(self->state, FileIO));
    default:
        return false;
    }
}

/* 1 if the stream's loop has an engine, 0 if not, -1 with an exception. */
static int find_engine(StreamObject *self)
{
    PyObject *io_loop = Py_NewRef(self->io_loop ? self->io_loop : Py_None);
    PyObject *engine = PyObject_CallOneArg(BOUND(self->state, stream_engine), io_loop);
    Py_DECREF(io_loop);
    if (engine == NULL) {
        return -1;
    }
    if (!Py_IS_TYPE(engine, self->state->engine_type)) {
        Py_DECREF(engine);
        return 0;
    }
    Py_XSETREF(self->engine, (EngineObject *)engine);
    COUNTED(self->state, streams);
    return 1;
}

int stream_enter(StreamObject *self)
{
    if (self->general) {
        return 0;
    }
    int plain = hooks_are_plain(self) && file_is_plain(self);
    if (plain && self->engine == NULL && !self->closed) {
        plain = find_engine(self);
        if (plain < 0) {
            return -1;
        }
    }
    return plain ? 1 : stream_make_general(self, true);
}

int stream_fd(StreamObject *self)
{
    if (self->kind == STREAM_PIPE) {
        return self->pipe_fd;
    }
    if (!stream_is_set(self->socket)) {
        return -1;
    }
    PyObject *sock = Py_NewRef(self->socket);
    PyObject *number = PyObject_CallMethodNoArgs(sock, NAME(self->state, fileno));
    Py_DECREF(sock);
    long fd = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    return (int)fd;
}

/* -- to the general path -- */

static PyObject *make_write_futures(StreamObject *self)
{
    PyObject *deque = PyObject_CallNoArgs(BOUND(self->state, deque));
    for (size_t i = 0; deque != NULL && i < self->writes_len; i++) {
        const struct stream_write *write = &self->writes[self->writes_start + i];
        PyObject *pair = Py_BuildValue("(LN)", (long long)write->index, Py_NewRef(write->future));
        PyObject *result = pair ? PyObject_CallMethodOneArg(deque, NAME(self->state, append), pair) : NULL;
        Py_XDECREF(pair);
        if (result == NULL) {
            Py_CLEAR(deque);
        }
        Py_XDECREF(result);
    }
    return deque;
}

static void drop_writes(StreamObject *self)
{
    struct stream_write *writes = self->writes;
    size_t start = self->writes_start;
    size_t len = self->writes_len;
    self->writes = NULL;
    self->writes_start = self->writes_len = self->writes_capacity = 0;
    for (size_t i = 0; i < len; i++) {
        Py_DECREF(writes[start + i].future);
    }
    PyMem_Free(writes);
}

static int relisten_on_loop(StreamObject *self)
{
    PyObject *stream = (PyObject *)self;
    PyObject *fd = PyObject_CallMethodNoArgs(stream, NAME(self->state, fileno));
    PyObject *handler = fd ? PyObject_GetAttr(stream, NAME(self->state, _handle_events)) : NULL;
    PyObject *result = NULL;
    if (handler != NULL) {
        PyObject *io_loop = Py_NewRef(self->io_loop ? self->io_loop : Py_None);
        result = PyObject_CallMethod(io_loop, "add_handler", "OOi", fd, handler, self->io_state);
        Py_DECREF(io_loop);
    }
    Py_XDECREF(handler);
    Py_XDECREF(fd);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

int stream_make_general(StreamObject *self, bool relisten)
{
    if (self->general) {
        return 0;
    }
    PyObject *input;
    PyObject *after = NULL;
    if (self->direct != NULL && stream_spill(self) < 0) {
        return -1;
    }
    PyObject *bytes = PyByteArray_FromStringAndSize(self->in.len ? td_inbuf_data(&self->in) : NULL, (Py_ssize_t)self->in.len);
    PyObject *futures = bytes ? make_write_futures(self) : NULL;
    if (futures == NULL) {
        Py_XDECREF(bytes);
        return -1;
    }
    self->general = true;
    self->read_buffer_size = (long long)stream_available(self);
    self->user_read_buffer = self->user_buffer != NULL;
    if (self->user_buffer != NULL) {
        input = self->user_buffer;
        self->user_buffer = NULL;
        after = bytes;
    }
    else {
        input = bytes;
    }
    self->filled = 0;
    td_inbuf_clear(&self->in);
    drop_writes(self);
    Py_XSETREF(self->read_buffer, input);
    Py_XSETREF(self->after_user_buffer, after);
    Py_XSETREF(self->write_futures, futures);
    if (self->source.fd >= 0) {
        Py_INCREF(self);
        engine_unwatch(self->engine, &self->source);
        int status = relisten && self->io_state ? relisten_on_loop(self) : 0;
        Py_DECREF(self);
        return status;
    }
    return 0;
}

PyObject *stream_call_tornado(StreamObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const enum native_bound behind[STREAM_KIND_COUNT] = {
        [STREAM_BASE] = BOUND_tornado_BaseIOStream,
        [STREAM_SOCKET] = BOUND_tornado_IOStream,
        [STREAM_TLS] = BOUND_tornado_SSLIOStream,
        [STREAM_PIPE] = BOUND_tornado_PipeIOStream,
    };
    PyObject *method = PyObject_GetAttr(self->state->bound[behind[self->kind]], name);
    if (method == NULL) {
        return NULL;
    }
    Py_ssize_t total = count + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject *all[MAX_ARGS + 1];
    PyObject *result = NULL;
    if (total > MAX_ARGS) {
        PyErr_Format(PyExc_TypeError, "%U() got too many arguments", name);
    }
    else {
        all[0] = (PyObject *)self;
        for (Py_ssize_t i = 0; i < total; i++) {
            all[i + 1] = args[i];
        }
        result = PyObject_Vectorcall(method, all, (size_t)count + 1, kwnames);
    }
    Py_DECREF(method);
    return result;
}

StreamBufferObject *stream_make_output(StreamObject *self)
{
    if (!stream_is_set(self->write_buffer)) {
        StreamBufferObject *buffer = stream_buffer_new(self->state);
        if (buffer == NULL) {
            return NULL;
        }
        Py_XSETREF(self->write_buffer, (PyObject *)buffer);
    }
    return (StreamBufferObject *)self->write_buffer;
}

/* -- the type -- */

int stream_to_size(PyObject *value, long long *size)
{
    if (PyFloat_Check(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        *size = number >= 9.2e18 ? LLONG_MAX : number <= 0 ? 0 : (long long)number;
        return 0;
    }
    PyObject *index = PyNumber_Index(value);
    if (index == NULL) {
        return -1;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    *size = overflow > 0 ? LLONG_MAX : overflow < 0 || number == STREAM_NONE ? LLONG_MIN + 1 : number;
    return 0;
}

/* `value or otherwise` */
static int size_or(PyObject *value, long long otherwise, long long *size)
{
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    *size = otherwise;
    return truth ? stream_to_size(value, size) : 0;
}

static enum stream_kind kind_of(StreamObject *self)
{
    struct native_state *state = self->state;
    if (PyObject_TypeCheck((PyObject *)self, (PyTypeObject *)BOUND(state, SSLIOStream))) {
        return STREAM_TLS;
    }
    if (PyObject_TypeCheck((PyObject *)self, (PyTypeObject *)BOUND(state, IOStream))) {
        return STREAM_SOCKET;
    }
    if (PyObject_TypeCheck((PyObject *)self, (PyTypeObject *)BOUND(state, PipeIOStream))) {
        return STREAM_PIPE;
    }
    return STREAM_BASE;
}

static PyObject *stream_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    StreamObject *self = state ? (StreamObject *)type->tp_alloc(type, 0) : NULL;
    if (self != NULL) {
        self->state = state;
        self->pipe_fd = -1;
        self->read_bytes = STREAM_NONE;
        self->read_max_bytes = STREAM_NONE;
        self->max_buffer_size = DEFAULT_BUFFER_SIZE;
        self->read_chunk_size = DEFAULT_CHUNK_SIZE;
        engine_source_init(&self->source, &stream_engine_kind, (PyObject *)self);
    }
    return (PyObject *)self;
}

static int stream_init(StreamObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"max_buffer_size", "read_chunk_size", "max_write_buffer_size", "io_loop", NULL};
    PyObject *values[4] = {Py_None, Py_None, Py_None, Py_None};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOOO:BaseIOStream", keywords, &values[0], &values[1], &values[2],
                                     &values[3])) {
        return -1;
    }
    if (values[0] != Py_None && !PyNumber_Check(values[0])) {
        /* Until Tornado 5, the loop came first. */
        PyObject *io_loop = values[0];
        values[0] = values[1];
        values[1] = values[2];
        values[2] = values[3];
        values[3] = io_loop;
    }
    if (size_or(values[0], DEFAULT_BUFFER_SIZE, &self->max_buffer_size) < 0 ||
        size_or(values[1], DEFAULT_CHUNK_SIZE, &self->read_chunk_size) < 0) {
        return -1;
    }
    if (self->read_chunk_size > self->max_buffer_size / 2) {
        self->read_chunk_size = self->max_buffer_size / 2;
    }
    self->kind = kind_of(self);
    if (hides_attributes(self)) {
        /* Tornado's methods serve it, over the attributes that its class has in Python. */
        self->general = true;
        PyObject *result = PyObject_CallMethod(BOUND(self->state, tornado_BaseIOStream), "__init__", "OOOO", (PyObject *)self,
                                               values[0], values[1], values[2]);
        Py_XDECREF(result);
        return result == NULL         ? -1
               : values[3] == Py_None ? 0
                                      : PyObject_SetAttr((PyObject *)self, NAME(self->state, io_loop), values[3]);
    }
    PyObject *io_loop =
        values[3] != Py_None ? Py_NewRef(values[3]) : PyObject_CallMethod(BOUND(self->state, IOLoop), "current", NULL);
    if (io_loop == NULL) {
        return -1;
    }
    Py_XSETREF(self->io_loop, io_loop);
    Py_XSETREF(self->max_write_buffer_size, Py_NewRef(values[2]));
    return 0;
}

static int stream_traverse(StreamObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    Py_VISIT(self->io_loop);
    Py_VISIT(self->socket);
    Py_VISIT(self->file);
    Py_VISIT(self->engine);
    Py_VISIT(self->max_write_buffer_size);
    Py_VISIT(self->user_buffer);
    Py_VISIT(self->read_buffer);
    Py_VISIT(self->after_user_buffer);
    Py_VISIT(self->read_future);
    Py_VISIT(self->read_delimiter);
    Py_VISIT(self->read_regex);
    Py_VISIT(self->write_buffer);
    for (size_t i = 0; i < self->writes_len; i++) {
        Py_VISIT(self->writes[self->writes_start + i].future);
    }
    Py_VISIT(self->write_futures);
    Py_VISIT(self->close_callback);
    Py_VISIT(self->connect_future);
    Py_VISIT(self->ssl_connect_future);
    Py_VISIT(self->error);
    Py_VISIT(self->ssl_options);
    Py_VISIT(self->server_hostname);
    return 0;
}

static int stream_clear(StreamObject *self)
{
    if (self->source.fd >= 0) {
        engine_unwatch(self->engine, &self->source);
    }
    Py_CLEAR(self->dict);
    Py_CLEAR(self->io_loop);
    Py_CLEAR(self->socket);
    Py_CLEAR(self->file);
    Py_CLEAR(self->max_write_buffer_size);
    Py_CLEAR(self->user_buffer);
    Py_CLEAR(self->direct);
    Py_CLEAR(self->read_buffer);
    Py_CLEAR(self->after_user_buffer);
    Py_CLEAR(self->read_future);
    Py_CLEAR(self->read_delimiter);
    Py_CLEAR(self->read_regex);
    Py_CLEAR(self->write_buffer);
    drop_writes(self);
    Py_CLEAR(self->write_futures);
    Py_CLEAR(self->close_callback);
    Py_CLEAR(self->connect_future);
    Py_CLEAR(self->ssl_connect_future);
    Py_CLEAR(self->error);
    Py_CLEAR(self->ssl_options);
    Py_CLEAR(self->server_hostname);
    return 0;
}

static void stream_dealloc(StreamObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)stream_clear(self);
    Py_CLEAR(self->engine);
    td_inbuf_clear(&self->in);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(
    renew_doc,
    "_renew($self, unread, /)\n--\n\nBe on the fast path (again), with `unread` as input. For a stream that is open and idle, "
    "and on the general path not known to its loop.");

static PyObject *stream_renew(StreamObject *self, PyObject *unread)
{
    Py_buffer view;
    if (PyObject_GetBuffer(unread, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    enum td_status status = TD_OK;
    if (self->closed || (self->general && self->io_state) || stream_is_set(self->read_future)) {
        PyErr_SetString(PyExc_RuntimeError, "the stream is in use");
    }
    else {
        if (self->general) {
            self->kind = kind_of(self);
            self->general = false;
            Py_CLEAR(self->read_buffer);
            Py_CLEAR(self->after_user_buffer);
            Py_CLEAR(self->write_futures);
            Py_CLEAR(self->write_buffer);
            self->user_read_buffer = false;
        }
        status = td_inbuf_append(&self->in, view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    if (status != TD_OK) {
        return PyErr_NoMemory();
    }
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(general_doc, "_is_general($self)\n--\n\nAre Tornado's own methods in charge of this stream?");

static PyObject *stream_is_general(StreamObject *self, PyObject *Py_UNUSED(ignored))
{
    int fast = stream_enter(self);
    return fast < 0 ? NULL : PyBool_FromLong(!fast);
}

PyDoc_STRVAR(use_socket_doc,
             "_use_socket($self, socket, /)\n--\n\nGo on with another socket object over the same descriptor, which stays "
             "registered.");

static PyObject *stream_use_socket(StreamObject *self, PyObject *sock)
{
    Py_XSETREF(self->socket, Py_NewRef(sock));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(leave_loop_doc, "_leave_loop($self)\n--\n\nBe told of no events any more, because somebody else serves the socket.");

static PyObject *stream_leave_loop(StreamObject *self, PyObject *Py_UNUSED(ignored))
{
    if (stream_make_general(self, false) < 0) {
        return NULL;
    }
    self->io_state = 0;
    Py_RETURN_NONE;
}

static PyMethodDef stream_own_methods[] = {
    {"_leave_loop", (PyCFunction)stream_leave_loop, METH_NOARGS, leave_loop_doc},
    {"_renew", (PyCFunction)stream_renew, METH_O, renew_doc},
    {"_is_general", (PyCFunction)stream_is_general, METH_NOARGS, general_doc},
    {"_use_socket", (PyCFunction)stream_use_socket, METH_O, use_socket_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(stream_doc,
             "BaseIOStream(max_buffer_size=None, read_chunk_size=None, max_write_buffer_size=None, io_loop=None)\n--\n\n"
             "Reading and writing of a non-blocking file or socket; see tornado.iostream.");

static PyType_Slot stream_slots[] = {
    {Py_tp_new, stream_new},         {Py_tp_init, stream_init},
    {Py_tp_dealloc, stream_dealloc}, {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},     {Py_tp_methods, stream_own_methods},
    {Py_tp_getset, stream_getset},   {Py_tp_members, stream_members},
    {Py_tp_doc, (void *)stream_doc}, {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "tornadoc._native.BaseIOStream",
    .basicsize = sizeof(StreamObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = stream_slots,
};

/* The methods of the other files. */
static int add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (; methods->ml_name != NULL; methods++) {
        PyObject *method = PyDescr_NewMethod(type, methods);
        if (method == NULL || PyObject_SetAttrString((PyObject *)type, methods->ml_name, method) < 0) {
            Py_XDECREF(method);
            return -1;
        }
        Py_DECREF(method);
    }
    return 0;
}

int stream_setup_types(PyObject *module, struct native_state *state)
{
    if (native_add_type(module, &stream_spec, &state->stream_type) < 0) {
        return -1;
    }
    PyTypeObject *type = state->stream_type;
    if (add_methods(type, stream_read_methods) < 0 || add_methods(type, stream_write_methods) < 0 ||
        add_methods(type, stream_close_methods) < 0) {
        return -1;
    }
    return add_methods(type, stream_event_methods);
}
