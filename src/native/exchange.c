/* See exchange.h. */
#include "exchange.h"

#include "convert.h"
#include "errors.h"
#include "guard.h"
#include "headers.h"
#include "request.h"

#include "core/http_response.h"
#include "core/http_rules.h"

ExchangeObject *exchange_new(ServerConnectionObject *connection, uint32_t sequence, struct td_head *head)
{
    struct native_state *state = connection->state;
    PyTypeObject *type = (PyTypeObject *)BOUND(state, HTTP1Connection);
    ExchangeObject *self = (ExchangeObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->connection = (ServerConnectionObject *)Py_NewRef((PyObject *)connection);
    self->sequence = sequence;
    exchange_set_head(self, head);
    return self;
}

void exchange_set_head(ExchangeObject *self, struct td_head *head)
{
    if (head != NULL && self->head == NULL) {
        td_head_retain(head);
        self->head = head;
    }
}

ExchangeObject *exchange_current(ServerConnectionObject *connection)
{
    if (connection->exchange == NULL) {
        connection->exchange = exchange_new(connection, connection->sequence, connection->head);
    }
    return connection->exchange;
}

bool exchange_is_plain(ServerConnectionObject *connection)
{
    struct native_state *state = connection->state;
    uint64_t mask = guard_type_mask(state, GUARD_EXCHANGE, (PyTypeObject *)BOUND(state, HTTP1Connection));
    if (connection->exchange != NULL) {
        mask |= guard_dict_mask(state, GUARD_EXCHANGE, connection->exchange->dict);
    }
    return mask == 0;
}

/* Is it the exchange that the connection is in? */
static bool is_current(ExchangeObject *self)
{
    return !self->detached && self->connection->sequence == self->sequence;
}

/* May it still write? */
static bool is_open(ExchangeObject *self)
{
    return is_current(self) && self->connection->phase <= CONN_ANSWER;
}

/* -- methods -- */

/* The argument of a method that takes just one, by position or by name. Borrowed; NULL with TypeError. */
static PyObject *sole_argument(const char *method, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (count + named == 1 && (named == 0 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), name) == 0)) {
        return args[0];
    }
    PyErr_Format(PyExc_TypeError, "%s() takes just one argument, '%s'", method, name);
    return NULL;
}

static PyObject *closed_future(ExchangeObject *self)
{
    PyObject *future = PyObject_CallNoArgs(BOUND(self->state, Future));
    if (future != NULL && conn_fail_future(self->state, future) < 0) {
        Py_CLEAR(future);
    }
    return future;
}

PyDoc_STRVAR(write_headers_doc,
             "write_headers($self, start_line, headers, chunk=None)\n--\n\nWrite the head of the answer; see Tornado.");

static PyObject *exchange_write_headers_method(ExchangeObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"start_line", "headers", "chunk", NULL};
    PyObject *start_line, *headers, *chunk = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:write_headers", keywords, &start_line, &headers, &chunk)) {
        return NULL;
    }
    if (!PyObject_TypeCheck(start_line, (PyTypeObject *)BOUND(self->state, ResponseStartLine))) {
        PyErr_SetNone(PyExc_AssertionError);
        return NULL;
    }
    long code = PyLong_AsLong(PyTuple_GET_ITEM(start_line, 1));
    if (code == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_XSETREF(self->response_start_line, Py_NewRef(start_line));
    if (!is_open(self)) {
        /* As in Tornado, headers that can't be sent are an error all the same. */
        bool closed = is_current(self) && self->connection->phase == CONN_CLOSED;
        if (closed && exchange_write_headers(self->connection, code, PyTuple_GET_ITEM(start_line, 2), headers, NULL) < 0) {
            return NULL;
        }
        return closed_future(self);
    }
    int truth = PyObject_IsTrue(chunk);
    if (truth < 0) {
        return NULL;
    }
    PyObject *bytes = truth ? PyBytes_FromObject(chunk) : NULL;
    if (truth && bytes == NULL) {
        return NULL;
    }
    int status = exchange_write_headers(self->connection, code, PyTuple_GET_ITEM(start_line, 2), headers, bytes);
    Py_XDECREF(bytes);
    if (status < 0) {
        return NULL;
    }
    conn_flush(self->connection);
    return conn_write_future(self->connection);
}

PyDoc_STRVAR(write_doc, "write($self, chunk, callback=None)\n--\n\nWrite a piece of the answer's body; raw bytes before "
                        "write_headers(). callback() is called when it is sent.");

/* write(chunk, callback), as before Tornado 6. */
static PyObject *write_with_callback(ExchangeObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *function = BOUND(self->state, write_with_callback);
    PyObject *few[3] = {(PyObject *)self, args[0], args[1]};
    return PyObject_Vectorcall(function, few, (size_t)count + 1, kwnames);
}

static PyObject *exchange_write_method(ExchangeObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0) == 2) {
        return write_with_callback(self, args, count, kwnames);
    }
    PyObject *chunk = sole_argument("write", "chunk", args, count, kwnames);
    if (chunk == NULL) {
        return NULL;
    }
    if (!is_open(self)) {
        /* A flush() behind the end of an answer sends nothing, which succeeds as long as the connection is open. */
        bool nothing = PyBytes_Check(chunk) && PyBytes_GET_SIZE(chunk) == 0;
        return nothing && !self->detached && self->connection->phase < CONN_LINGER ? conn_write_future(self->connection)
                                                                                   : closed_future(self);
    }
    PyObject *bytes = PyBytes_FromObject(chunk);
    if (bytes == NULL) {
        return NULL;
    }
    int status = conn_put_chunk(self->connection, bytes);
    Py_DECREF(bytes);
    if (status < 0) {
        return NULL;
    }
    conn_flush(self->connection);
    return conn_write_future(self->connection);
}

PyDoc_STRVAR(finish_doc, "finish($self)\n--\n\nEnd the answer.");

static PyObject *exchange_finish_method(ExchangeObject *self, PyObject *Py_UNUSED(ignored))
{
    if (is_open(self) && conn_finish_answer(self->connection) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(close_doc, "close($self)\n--\n\nClose the connection at once.");

static PyObject *exchange_close_method(ExchangeObject *self, PyObject *Py_UNUSED(ignored))
{
    if (is_current(self)) {
        Py_CLEAR(self->connection->close_callback);
        conn_close_soon(self->connection);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(detach_doc, "detach($self)\n--\n\nTake the stream away from HTTP: returns an IOStream with the unread input in it.");

static PyObject *exchange_detach_method(ExchangeObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!is_current(self)) {
        PyErr_SetString(PyExc_RuntimeError, "the connection has gone on to another request");
        return NULL;
    }
    PyObject *stream = conn_detach(self->connection);
    if (stream != NULL) {
        self->detached = true;
    }
    return stream;
}

PyDoc_STRVAR(set_close_callback_doc,
             "set_close_callback($self, callback)\n--\n\nHave callback() called if the client goes away now.");

static PyObject *exchange_set_close_callback(ExchangeObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *callback = sole_argument("set_close_callback", "callback", args, count, kwnames);
    if (callback == NULL) {
        return NULL;
    }
    if (is_current(self)) {
        ServerConnectionObject *connection = self->connection;
        PyObject *wrap = self->state->stack_wrap;
        PyObject *wrapped = callback == Py_None ? NULL : wrap == NULL ? Py_NewRef(callback) : PyObject_CallOneArg(wrap, callback);
        if (callback != Py_None && wrapped == NULL) {
            return NULL;
        }
        Py_CLEAR(connection->handler);
        Py_XSETREF(connection->close_callback, wrapped);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_max_body_size_doc, "set_max_body_size($self, max_body_size)\n--\n\nLimit the body of this request, in bytes.");

static PyObject *exchange_set_max_body_size(ExchangeObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *value = sole_argument("set_max_body_size", "max_body_size", args, count, kwnames);
    if (value == NULL) {
        return NULL;
    }
    int overflow;
    long long size = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (is_current(self)) {
        self->connection->max_body_size = overflow > 0 ? UINT64_MAX : size < 0 ? 0 : (uint64_t)size;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_body_timeout_doc, "set_body_timeout($self, timeout)\n--\n\nLimit the time for this request's body, in seconds.");

static PyObject *exchange_set_body_timeout(ExchangeObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *value = sole_argument("set_body_timeout", "timeout", args, count, kwnames);
    if (value == NULL) {
        return NULL;
    }
    double timeout = value == Py_None ? -1.0 : PyFloat_AsDouble(value);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (is_current(self)) {
        self->connection->body_timeout = timeout;
    }
    Py_RETURN_NONE;
}

static PyMethodDef exchange_methods[] = {
    {"write_headers", (PyCFunction)(void (*)(void))exchange_write_headers_method, METH_VARARGS | METH_KEYWORDS,
     write_headers_doc},
    {"write", (PyCFunction)(void (*)(void))exchange_write_method, METH_FASTCALL | METH_KEYWORDS, write_doc},
    {"finish", (PyCFunction)exchange_finish_method, METH_NOARGS, finish_doc},
    {"close", (PyCFunction)exchange_close_method, METH_NOARGS, close_doc},
    {"detach", (PyCFunction)exchange_detach_method, METH_NOARGS, detach_doc},
    {"set_close_callback", (PyCFunction)(void (*)(void))exchange_set_close_callback, METH_FASTCALL | METH_KEYWORDS,
     set_close_callback_doc},
    {"set_max_body_size", (PyCFunction)(void (*)(void))exchange_set_max_body_size, METH_FASTCALL | METH_KEYWORDS,
     set_max_body_size_doc},
    {"set_body_timeout", (PyCFunction)(void (*)(void))exchange_set_body_timeout, METH_FASTCALL | METH_KEYWORDS,
     set_body_timeout_doc},
    {NULL, NULL, 0, NULL},
};

/* -- attributes -- */

static PyObject *get_stream(ExchangeObject *self, void *Py_UNUSED(closure))
{
    if (self->detached) {
        Py_RETURN_NONE;
    }
    return Py_XNewRef(conn_stream(self->connection));
}

static PyObject *get_context(ExchangeObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(conn_context(self->connection));
}

static PyObject *get_params(ExchangeObject *self, void *Py_UNUSED(closure))
{
    return PyObject_GetAttrString((PyObject *)self->connection, "params");
}

static PyObject *get_is_client(ExchangeObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_FALSE;
}

static PyObject *get_no_keep_alive(ExchangeObject *self, void *Py_UNUSED(closure))
{
    if (self->no_keep_alive != NULL) {
        return Py_NewRef(self->no_keep_alive);
    }
    return PyBool_FromLong(self->connection->server != NULL && self->connection->server->no_keep_alive);
}

static PyObject *get_max_body_size(ExchangeObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(self->connection->max_body_size);
}

static PyObject *get_body_timeout(ExchangeObject *self, void *Py_UNUSED(closure))
{
    double timeout = self->connection->body_timeout;
    return timeout < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(timeout);
}

/* Assigned, the limits are what their methods set. */
static int set_by_method(ExchangeObject *self, PyObject *value, void *method)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "the attribute can't be deleted");
        return -1;
    }
    if (value == Py_None) {
        return 0;
    }
    PyObject *result = PyObject_CallMethod((PyObject *)self, method, "O", value);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int set_no_keep_alive(ExchangeObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(self->no_keep_alive, Py_XNewRef(value));
    return 0;
}

static PyObject *get_request_start_line(ExchangeObject *self, void *Py_UNUSED(closure))
{
    if (self->request_start_line == NULL) {
        if (self->head == NULL) {
            Py_RETURN_NONE;
        }
        return Py_XNewRef(native_fill(&self->request_start_line, request_start_line(self->state, self->head)));
    }
    return Py_XNewRef(self->request_start_line);
}

static int set_request_start_line(ExchangeObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(self->request_start_line, Py_XNewRef(value));
    return 0;
}

static PyObject *get_request_headers(ExchangeObject *self, void *Py_UNUSED(closure))
{
    if (self->request_headers == NULL) {
        if (self->head == NULL) {
            Py_RETURN_NONE;
        }
        return Py_XNewRef(native_fill(&self->request_headers, headers_from_head(self->state, self->head)));
    }
    return Py_XNewRef(self->request_headers);
}

static int set_request_headers(ExchangeObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(self->request_headers, Py_XNewRef(value));
    return 0;
}

static PyObject *get_response_start_line(ExchangeObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->response_start_line ? self->response_start_line : Py_None);
}

static PyObject *get_disconnect(ExchangeObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(!is_current(self) || !self->connection->keep_alive);
}

static int set_disconnect(ExchangeObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = value ? PyObject_IsTrue(value) : 0;
    if (truth >= 0 && is_current(self)) {
        self->connection->keep_alive = !truth;
    }
    return truth < 0 ? -1 : 0;
}

static PyObject *get_flag(ExchangeObject *self, void *closure)
{
    const ServerConnectionObject *connection = self->connection;
    bool value = !is_current(self);
    if (!value) {
        switch (*(const char *)closure) {
        case 'w':
            value = connection->write_finished;
            break;
        case 'r':
            value = connection->read_finished;
            break;
        default:
            value = connection->chunking;
        }
    }
    return PyBool_FromLong(value);
}

static PyGetSetDef exchange_getset[] = {
    {"stream", (getter)get_stream, NULL, "A stand-in for the IOStream; None once detached.", NULL},
    {"context", (getter)get_context, NULL, "The connection's _HTTPRequestContext.", NULL},
    {"params", (getter)get_params, NULL, "The server's HTTP1ConnectionParameters.", NULL},
    {"is_client", (getter)get_is_client, NULL, "False.", NULL},
    {"no_keep_alive", (getter)get_no_keep_alive, (setter)set_no_keep_alive, "The server's setting.", NULL},
    {"_max_body_size", (getter)get_max_body_size, (setter)set_by_method, NULL, "set_max_body_size"},
    {"_body_timeout", (getter)get_body_timeout, (setter)set_by_method, NULL, "set_body_timeout"},
    {"_request_start_line", (getter)get_request_start_line, (setter)set_request_start_line, NULL, NULL},
    {"_request_headers", (getter)get_request_headers, (setter)set_request_headers, NULL, NULL},
    {"_response_start_line", (getter)get_response_start_line, NULL, NULL, NULL},
    {"_disconnect_on_finish", (getter)get_disconnect, (setter)set_disconnect, "Will the connection be closed?", NULL},
    {"_write_finished", (getter)get_flag, NULL, NULL, "w"},
    {"_read_finished", (getter)get_flag, NULL, NULL, "r"},
    {"_chunking_output", (getter)get_flag, NULL, NULL, "c"},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef exchange_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(ExchangeObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ExchangeObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int exchange_traverse(ExchangeObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->connection);
    Py_VISIT(self->request_start_line);
    Py_VISIT(self->request_headers);
    Py_VISIT(self->response_start_line);
    Py_VISIT(self->no_keep_alive);
    Py_VISIT(self->dict);
    return 0;
}

/* The connection stays: methods look at it, and its own clear breaks the cycle. */
static int exchange_clear(ExchangeObject *self)
{
    Py_CLEAR(self->request_start_line);
    Py_CLEAR(self->request_headers);
    Py_CLEAR(self->response_start_line);
    Py_CLEAR(self->no_keep_alive);
    Py_CLEAR(self->dict);
    return 0;
}

static void exchange_dealloc(ExchangeObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)exchange_clear(self);
    td_head_release(self->head);
    Py_XDECREF(self->connection);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(exchange_doc, "The native half of a request's HTTP1Connection; made when request.connection is looked at.");

static PyType_Slot exchange_slots[] = {
    {Py_tp_new, native_no_new},        {Py_tp_dealloc, exchange_dealloc}, {Py_tp_traverse, exchange_traverse},
    {Py_tp_clear, exchange_clear},     {Py_tp_methods, exchange_methods}, {Py_tp_getset, exchange_getset},
    {Py_tp_members, exchange_members}, {Py_tp_doc, (void *)exchange_doc}, {0, NULL},
};

static PyType_Spec exchange_spec = {
    .name = "tornadoc._native.HTTP1Connection",
    .basicsize = sizeof(ExchangeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = exchange_slots,
};

int exchange_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &exchange_spec, &state->exchange_type);
}
