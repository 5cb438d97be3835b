/* See transport.h: a transport's life, and the type. */
#include "transport.h"

#include <sys/socket.h>

#include "errors.h"

static bool is_none(const PyObject *object)
{
    return object == NULL || object == Py_None;
}

/* -- the descriptor -- */

int transport_watch(TransportObject *self)
{
    if (self->source.fd >= 0) {
        return 0;
    }
    if (self->engine == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the transport was not opened");
        return -1;
    }
    uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    if (!self->lazy_output || self->out.size > 0) {
        events |= EPOLLOUT;
        self->output_armed = true;
    }
    return engine_watch(self->engine, &self->source, self->fd, events);
}

void transport_unwatch(TransportObject *self)
{
    if (self->engine != NULL) {
        engine_unwatch(self->engine, &self->source);
    }
    self->output_armed = false;
}

static int on_event(PyObject *owner, uint32_t events)
{
    TransportObject *self = (TransportObject *)owner;
    int status = 0;
    Py_INCREF(self);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        self->readable = true;
        self->peer_ended |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        status = transport_read(self);
    }
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) && self->out.size > 0) {
        if (status == 0) {
            status = transport_write_ready(self);
        }
        else {
            /* An exception is on its way out of the loop; the edge must not be lost. */
            engine_schedule(self->engine, &self->source);
        }
    }
    Py_DECREF(self);
    return status;
}

static int on_turn(PyObject *owner)
{
    TransportObject *self = (TransportObject *)owner;
    int status = transport_read(self);
    return status == 0 ? transport_write_ready(self) : status;
}

/* The loop is closed, and transports stay open as in asyncio: their owner closes them, or is warned of them. */
static void on_close(PyObject *owner)
{
    TransportObject *self = (TransportObject *)owner;
    self->reading = false;
    transport_unwatch(self);
}

const struct engine_kind transport_engine_kind = {.on_event = on_event, .on_turn = on_turn, .on_close = on_close};

/* -- calling Python -- */

int transport_run(TransportObject *self, PyObject *context, int (*step)(TransportObject *self))
{
    Py_INCREF(self);
    PyObject *entered = Py_XNewRef(context);
    if (entered != NULL && PyContext_Enter(entered) < 0) {
        /* The loop runs inside of a callback of this transport. */
        PyErr_Clear();
        Py_SETREF(entered, PyContext_Copy(context));
        if (entered == NULL || PyContext_Enter(entered) < 0) {
            PyErr_Clear();
            Py_CLEAR(entered);
        }
    }
    int status = step(self);
    PyObject *exception = status < 0 ? errors_take() : NULL;
    if (entered != NULL && PyContext_Exit(entered) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(entered);
    if (status < 0) {
        errors_give(exception);
        status = errors_report(self->state, "Exception in callback of a socket transport");
    }
    Py_DECREF(self);
    return status;
}

int transport_fatal(TransportObject *self, const char *message)
{
    if (errors_is_exit()) {
        return -1;
    }
    PyObject *exception = errors_take();
    PyObject *type, *value, *traceback;
    /* As if within the except block, for who logs with exc_info. */
    PyErr_GetExcInfo(&type, &value, &traceback);
    PyErr_SetExcInfo(Py_NewRef((PyObject *)Py_TYPE(exception)), Py_NewRef(exception), PyException_GetTraceback(exception));
    PyObject *text = PyUnicode_FromString(message);
    PyObject *result = NULL;
    if (text != NULL) {
        PyObject *args[] = {(PyObject *)self, exception, text};
        result = PyObject_VectorcallMethod(NAME(self->state, _fatal_error), args, 3, NULL);
        Py_DECREF(text);
    }
    PyErr_SetExcInfo(type, value, traceback);
    Py_DECREF(exception);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

int transport_debug(TransportObject *self, const char *text)
{
    if (is_none(self->loop)) {
        return 0;
    }
    PyObject *debug = PyObject_CallMethodNoArgs(self->loop, NAME(self->state, get_debug));
    int truth = debug ? PyObject_IsTrue(debug) : -1;
    Py_XDECREF(debug);
    if (truth <= 0) {
        return truth;
    }
    PyObject *result = PyObject_CallFunction(BOUND(self->state, log_transport), "Os", (PyObject *)self, text);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* -- closing -- */

int transport_lose(TransportObject *self, PyObject *exception)
{
    self->conn_lost++;
    transport_unwatch(self);
    PyObject *method = PyObject_GetAttr((PyObject *)self, NAME(self->state, _call_connection_lost));
    if (method == NULL) {
        return -1;
    }
    PyObject *args[] = {self->loop ? self->loop : Py_None, method, exception};
    PyObject *result = PyObject_VectorcallMethod(NAME(self->state, call_soon), args, 3, NULL);
    Py_DECREF(method);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

PyDoc_STRVAR(close_doc,
             "close($self)\n--\n\nClose once what was written is sent; then the protocol's connection_lost(None) is called.");

static PyObject *method_close(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!self->closing) {
        self->closing = 1;
        self->reading = false;
        if (self->out.size == 0 && transport_lose(self, Py_None) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *method_force_close(TransportObject *self, PyObject *exception)
{
    if (self->conn_lost == 0) {
        td_outbuf_clear(&self->out);
        self->closing = 1;
        self->reading = false;
        if (transport_lose(self, exception) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

/* -- the rest of the methods -- */

PyDoc_STRVAR(open_doc, "_open($self, engine, loop, sock, fd, protocol, extra, server, /)\n--\n\n"
                       "Take a connected, non-blocking socket. The descriptor is not watched before reading starts.");

static int open_socket(TransportObject *self, EngineObject *engine, PyObject *loop, PyObject *sock, int fd)
{
    if (self->engine != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the transport is open already");
        return -1;
    }
    int family = AF_UNSPEC;
    socklen_t len = sizeof(family);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    /* A unix socket tells of room whenever the peer has read something, wanted or not. */
    self->lazy_output = family == AF_UNIX;
    self->engine = (EngineObject *)Py_NewRef((PyObject *)engine);
    Py_XSETREF(self->loop, Py_NewRef(loop));
    Py_XSETREF(self->sock, Py_NewRef(sock));
    self->fd = fd;
    self->conn_lost = 0;
    self->closing = 0;
    return 0;
}

static PyObject *method_set_protocol(TransportObject *self, PyObject *protocol)
{
    int buffered = PyObject_IsInstance(protocol, BOUND(self->state, BufferedProtocol));
    if (buffered < 0) {
        return NULL;
    }
    self->buffered = buffered != 0;
    self->protocol_connected = 1;
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    Py_RETURN_NONE;
}

static PyObject *method_open(TransportObject *self, PyObject *args)
{
    PyObject *engine, *loop, *sock, *protocol, *extra, *server;
    int fd;
    if (!PyArg_ParseTuple(args, "O!OOiOO!O:_open", self->state->engine_type, &engine, &loop, &sock, &fd, &protocol, &PyDict_Type,
                          &extra, &server) ||
        open_socket(self, (EngineObject *)engine, loop, sock, fd) < 0) {
        return NULL;
    }
    Py_XSETREF(self->extra, Py_NewRef(extra));
    Py_XSETREF(self->server, Py_NewRef(server));
    /* Overridable, as in asyncio. */
    return PyObject_CallMethodOneArg((PyObject *)self, NAME(self->state, set_protocol), protocol);
}

static PyObject *method_get_protocol(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->protocol ? self->protocol : Py_None);
}

static PyObject *method_is_closing(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->closing);
}

static PyObject *method_is_reading(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(!self->closing && !self->paused);
}

static PyObject *method_get_write_buffer_size(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t(self->out.size);
}

static PyObject *method_polling(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("(OO)", self->reading ? Py_True : Py_False, self->out.size > 0 ? Py_True : Py_False);
}

static PyObject *method_watch(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    if (self->conn_lost == 0 && transport_watch(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *method_unwatch(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    transport_unwatch(self);
    Py_RETURN_NONE;
}

static PyObject *method_add_reader(TransportObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
    if (transport_start_reading(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *method_read_ready(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    self->readable = true;
    if (transport_read(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- attributes -- */

static PyObject *get_buffer(TransportObject *self, void *Py_UNUSED(closure))
{
    PyObject *copy = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)self->out.size);
    if (copy == NULL) {
        return NULL;
    }
    char *p = PyByteArray_AS_STRING(copy);
    for (const struct td_outseg *segment = self->out.first; segment != NULL; segment = segment->next) {
        memcpy(p, segment->data, segment->len);
        p += segment->len;
    }
    return copy;
}

static PyObject *get_high_water(TransportObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->high_water);
}

/* Any number will do; sizes are compared with the whole part of it. */
static int set_high_water(TransportObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "can't delete _high_water");
        return -1;
    }
    PyObject *whole = PyNumber_Long(value);
    if (whole == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        /* float("inf") */
        PyErr_Clear();
        self->high = UINT64_MAX;
    }
    else {
        unsigned long long high = PyLong_AsUnsignedLongLong(whole);
        Py_DECREF(whole);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            high = UINT64_MAX;
        }
        self->high = high;
    }
    Py_SETREF(self->high_water, Py_NewRef(value));
    return 0;
}

static PyMethodDef methods[] = {
    {"_open", (PyCFunction)method_open, METH_VARARGS, open_doc},
    {"write", (PyCFunction)transport_write, METH_O,
     "write($self, data, /)\n--\n\nSend as soon as possible; what can change later is copied."},
    {"writelines", (PyCFunction)transport_writelines, METH_O,
     "writelines($self, list_of_data, /)\n--\n\nSend bytes-like objects in one go."},
    {"write_eof", (PyCFunction)transport_write_eof, METH_NOARGS,
     "write_eof($self)\n--\n\nHalf-close once what was written is sent."},
    {"close", (PyCFunction)method_close, METH_NOARGS, close_doc},
    {"_force_close", (PyCFunction)method_force_close, METH_O,
     "_force_close($self, exc, /)\n--\n\nDrop what was written; connection_lost(exc) is called soon."},
    {"set_protocol", (PyCFunction)method_set_protocol, METH_O, "set_protocol($self, protocol, /)\n--\n\nReplace the protocol."},
    {"get_protocol", (PyCFunction)method_get_protocol, METH_NOARGS, "get_protocol($self)\n--\n\nThe current protocol."},
    {"is_closing", (PyCFunction)method_is_closing, METH_NOARGS, "is_closing($self)\n--\n\nWas it closed, or is it about to be?"},
    {"is_reading", (PyCFunction)method_is_reading, METH_NOARGS, "is_reading($self)\n--\n\nDoes the protocol get input?"},
    {"pause_reading", (PyCFunction)transport_pause_reading, METH_NOARGS,
     "pause_reading($self)\n--\n\nGive no more input to the protocol."},
    {"resume_reading", (PyCFunction)transport_resume_reading, METH_NOARGS,
     "resume_reading($self)\n--\n\nGive input to the protocol again."},
    {"get_write_buffer_size", (PyCFunction)method_get_write_buffer_size, METH_NOARGS,
     "get_write_buffer_size($self)\n--\n\nBytes written that are not sent."},
    {"_add_reader", (PyCFunction)(void (*)(void))method_add_reader, METH_FASTCALL,
     "_add_reader($self, *ignored)\n--\n\nStart reading, in the current context."},
    {"_read_ready", (PyCFunction)method_read_ready, METH_NOARGS, "_read_ready($self)\n--\n\nLook for input."},
    {"_polling", (PyCFunction)method_polling, METH_NOARGS,
     "_polling($self)\n--\n\nWhether it waits for (input, room for output)."},
    {"_watch", (PyCFunction)method_watch, METH_NOARGS, "_watch($self)\n--\n\nHave the engine watch the descriptor again."},
    {"_unwatch", (PyCFunction)method_unwatch, METH_NOARGS, "_unwatch($self)\n--\n\nLeave the descriptor to others."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"_loop", T_OBJECT, offsetof(TransportObject, loop), 0, NULL},
    {"_extra", T_OBJECT, offsetof(TransportObject, extra), 0, NULL},
    {"_sock", T_OBJECT, offsetof(TransportObject, sock), 0, NULL},
    {"_protocol", T_OBJECT, offsetof(TransportObject, protocol), 0, NULL},
    {"_server", T_OBJECT, offsetof(TransportObject, server), 0, NULL},
    {"_empty_waiter", T_OBJECT, offsetof(TransportObject, empty_waiter), 0, NULL},
    {"_low_water", T_OBJECT, offsetof(TransportObject, low_water), 0, NULL},
    {"_sock_fd", T_INT, offsetof(TransportObject, fd), READONLY, NULL},
    {"_conn_lost", T_INT, offsetof(TransportObject, conn_lost), READONLY, NULL},
    {"_closing", T_BOOL, offsetof(TransportObject, closing), READONLY, NULL},
    {"_eof", T_BOOL, offsetof(TransportObject, eof), READONLY, NULL},
    {"_paused", T_BOOL, offsetof(TransportObject, paused), READONLY, NULL},
    {"_protocol_paused", T_BOOL, offsetof(TransportObject, protocol_paused), 0, NULL},
    {"_protocol_connected", T_BOOL, offsetof(TransportObject, protocol_connected), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"_buffer", (getter)get_buffer, NULL, "A copy of what is not sent yet.", NULL},
    {"_high_water", (getter)get_high_water, (setter)set_high_water, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *transport_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    if (state == NULL) {
        return NULL;
    }
    TransportObject *self = (TransportObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    engine_source_init(&self->source, &transport_engine_kind, (PyObject *)self);
    /* Closed until _open(). */
    self->fd = -1;
    self->conn_lost = 1;
    self->closing = 1;
    self->high = UINT64_MAX;
    self->high_water = Py_NewRef(Py_None);
    return (PyObject *)self;
}

static int transport_traverse(TransportObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < TRANSPORT_BASE_SLOTS; i++) {
        Py_VISIT(self->base_slots[i]);
    }
    Py_VISIT(self->engine);
    Py_VISIT(self->loop);
    Py_VISIT(self->sock);
    Py_VISIT(self->protocol);
    Py_VISIT(self->server);
    Py_VISIT(self->extra);
    Py_VISIT(self->empty_waiter);
    Py_VISIT(self->high_water);
    Py_VISIT(self->low_water);
    Py_VISIT(self->read_context);
    Py_VISIT(self->write_context);
    return 0;
}

static int transport_clear(TransportObject *self)
{
    /* The socket object may outlive this, but nobody is left to read from it. */
    self->reading = false;
    self->closing = 1;
    self->conn_lost++;
    transport_unwatch(self);
    td_outbuf_clear(&self->out);
    for (int i = 0; i < TRANSPORT_BASE_SLOTS; i++) {
        Py_CLEAR(self->base_slots[i]);
    }
    Py_CLEAR(self->loop);
    Py_CLEAR(self->sock);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->server);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->empty_waiter);
    Py_SETREF(self->high_water, Py_NewRef(Py_None));
    Py_CLEAR(self->low_water);
    Py_CLEAR(self->read_context);
    Py_CLEAR(self->write_context);
    return 0;
}

static void transport_dealloc(TransportObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)transport_clear(self);
    Py_CLEAR(self->high_water);
    Py_CLEAR(self->engine);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(transport_doc, "A connected stream socket of an event loop; tornadoc._transports.SocketTransport completes it.");

static PyType_Slot transport_slots[] = {
    {Py_tp_new, transport_new},     {Py_tp_dealloc, transport_dealloc}, {Py_tp_traverse, transport_traverse},
    {Py_tp_clear, transport_clear}, {Py_tp_methods, methods},           {Py_tp_members, members},
    {Py_tp_getset, getset},         {Py_tp_doc, (void *)transport_doc}, {0, NULL},
};

static PyType_Spec transport_spec = {
    .name = "tornadoc._native.SocketTransport",
    .basicsize = sizeof(TransportObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = transport_slots,
};

/* asyncio.transports._FlowControlMixin, whose __slots__ must find their place in base_slots. New reference or NULL. */
static PyObject *flow_control_mixin(void)
{
    PyObject *module = PyImport_ImportModule("asyncio.transports");
    PyObject *base = module ? PyObject_GetAttrString(module, "_FlowControlMixin") : NULL;
    Py_XDECREF(module);
    if (base == NULL) {
        return NULL;
    }
    const PyTypeObject *type = (PyTypeObject *)base;
    if (!PyType_Check(base) || type->tp_basicsize > (Py_ssize_t)offsetof(TransportObject, state) || type->tp_itemsize != 0 ||
        type->tp_dictoffset != 0 || type->tp_weaklistoffset != 0) {
        PyErr_SetString(PyExc_ImportError, "asyncio's transports are not laid out as expected");
        Py_CLEAR(base);
    }
    return base;
}

int transport_setup_types(PyObject *module, struct native_state *state)
{
    PyObject *base = flow_control_mixin();
    PyObject *bases = base ? PyTuple_Pack(1, base) : NULL;
    Py_XDECREF(base);
    if (bases == NULL) {
        return -1;
    }
    state->transport_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &transport_spec, bases);
    Py_DECREF(bases);
    return state->transport_type ? PyModule_AddType(module, state->transport_type) : -1;
}
