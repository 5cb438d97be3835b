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

/* -- the answer's head -- */

/* A header's name or value as latin-1 bytes. str without a copy; bytes are taken as UTF-8 text, as native_str does. */
static PyObject *latin1_bytes(PyObject *text)
{
    if (PyBytes_Check(text)) {
        PyObject *decoded = PyUnicode_FromEncodedObject(text, "utf-8", NULL);
        PyObject *encoded = decoded ? PyUnicode_AsLatin1String(decoded) : NULL;
        Py_XDECREF(decoded);
        return encoded;
    }
    return PyUnicode_AsLatin1String(text);
}

static bool has_line_end(struct td_span span)
{
    return memchr(span.data, '\r', span.len) != NULL || memchr(span.data, '\n', span.len) != NULL;
}

static int raise_line_end(PyObject *name, PyObject *value)
{
    PyObject *line = PyUnicode_FromFormat("%S: %S", name, value);
    PyObject *bytes = line ? PyUnicode_AsLatin1String(line) : NULL;
    if (bytes != NULL) {
        PyErr_Format(PyExc_ValueError, "Illegal characters (CR or LF) in header: %R", bytes);
    }
    Py_XDECREF(line);
    Py_XDECREF(bytes);
    return -1;
}

/* The pending error of encoding a part becomes that of the whole line, which is what Tornado encodes. */
static void raise_not_latin1(PyObject *name, PyObject *value)
{
    PyErr_Clear();
    PyObject *line = PyUnicode_FromFormat("%S: %S", name, value);
    PyObject *bytes = line ? PyUnicode_AsLatin1String(line) : NULL;
    Py_XDECREF(bytes);
    Py_XDECREF(line);
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "header is not latin-1");
    }
}

/* Writes a line, or only checks it: a bad line must leave nothing behind. */
static int head_line(ServerConnectionObject *connection, PyObject *name, PyObject *value, bool write)
{
    struct td_span spans[2];
    PyObject *objects[2] = {name, value};
    PyObject *held[2] = {NULL, NULL};
    int status = -1;
    for (int i = 0; i < 2; i++) {
        if (!convert_latin1_span(objects[i], &spans[i])) {
            held[i] = latin1_bytes(objects[i]);
            if (held[i] == NULL) {
                if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
                    raise_not_latin1(name, value);
                }
                goto done;
            }
            spans[i] = convert_bytes_span(held[i]);
        }
    }
    if (!write) {
        status = has_line_end(spans[0]) || has_line_end(spans[1]) ? raise_line_end(name, value) : 0;
    }
    else if (td_response_field(&connection->out, spans[0], spans[1]) == TD_OK) {
        status = 0;
    }
    else {
        PyErr_NoMemory();
    }
done:
    Py_XDECREF(held[0]);
    Py_XDECREF(held[1]);
    return status;
}

static int head_lines_of(ServerConnectionObject *connection, PyObject *name, PyObject *value, bool write)
{
    if (!PyList_CheckExact(value)) {
        return head_line(connection, name, value, write);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++) {
        if (head_line(connection, name, PyList_GET_ITEM(value, i), write) < 0) {
            return -1;
        }
    }
    return 0;
}

static int head_lines_plain(ServerConnectionObject *connection, HeadersObject *headers, bool write)
{
    PyObject *map = headers_map(headers);
    if (map == NULL) {
        return -1;
    }
    Py_ssize_t position = 0;
    PyObject *name, *value;
    while (PyDict_Next(map, &position, &name, &value)) {
        if (head_lines_of(connection, name, value, write) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The pairs of any other headers object, as a list. */
static PyObject *all_pairs(PyObject *headers)
{
    PyObject *iterator = PyObject_CallMethod(headers, "get_all", NULL);
    PyObject *pairs = iterator ? PySequence_List(iterator) : NULL;
    Py_XDECREF(iterator);
    return pairs;
}

static int head_lines_pairs(ServerConnectionObject *connection, PyObject *pairs, bool write)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PySequence_Fast(PyList_GET_ITEM(pairs, i), "get_all() must give pairs");
        if (pair == NULL) {
            return -1;
        }
        int status = -1;
        if (PySequence_Fast_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_ValueError, "get_all() must give pairs");
        }
        else {
            status = head_line(connection, PySequence_Fast_GET_ITEM(pair, 0), PySequence_Fast_GET_ITEM(pair, 1), write);
        }
        Py_DECREF(pair);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

static int set_item(PyObject *headers, const char *name, const char *value)
{
    PyObject *key = PyUnicode_InternFromString(name);
    PyObject *item = PyUnicode_FromString(value);
    int status = key != NULL && item != NULL ? PyObject_SetItem(headers, key, item) : -1;
    Py_XDECREF(key);
    Py_XDECREF(item);
    return status;
}

/* The Content-Length that the headers declare: -1 without one, -2 with an exception. */
static int64_t declared_length(PyObject *headers)
{
    PyObject *name = PyUnicode_InternFromString("Content-Length");
    PyObject *value = NULL;
    int64_t length = -2;
    int found = name ? PySequence_Contains(headers, name) : -1;
    if (found == 0) {
        length = -1;
    }
    else if (found > 0 && (value = PyObject_GetItem(headers, name)) != NULL) {
        struct td_span span;
        bool digits = convert_latin1_span(value, &span) && span.len > 0;
        for (size_t i = 0; digits && i < span.len; i++) {
            digits = span.data[i] >= '0' && span.data[i] <= '9';
        }
        PyObject *number = digits ? PyLong_FromUnicodeObject(value, 10) : NULL;
        if (number != NULL) {
            length = PyLong_AsLongLong(number);
            if (length == -1 && PyErr_Occurred()) {
                length = -2;
            }
            Py_DECREF(number);
        }
        else if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "not an integer: %R", value);
        }
    }
    Py_XDECREF(name);
    Py_XDECREF(value);
    return length;
}

/* For answers without a body, where the value means nothing: 0 if there is one, else as above. */
static int64_t declared(PyObject *headers)
{
    PyObject *name = PyUnicode_InternFromString("Content-Length");
    int found = name ? PySequence_Contains(headers, name) : -1;
    Py_XDECREF(name);
    return found < 0 ? -2 : found - 1;
}

int exchange_write_headers(ServerConnectionObject *connection, long code, PyObject *reason, PyObject *headers, PyObject *chunk)
{
    struct native_state *state = connection->state;
    PyObject *pairs = NULL;
    PyObject *reason_bytes = NULL;
    int status = -1;
    int64_t length = connection->head_method || code == 304 ? declared(headers) : declared_length(headers);
    if (length == -2) {
        return -1;
    }
    conn_start_answer(connection, (int)code, length);
    if ((connection->version_1_1 && !connection->keep_alive && set_item(headers, "Connection", "close") < 0) ||
        (connection->echo_keep_alive && set_item(headers, "Connection", "Keep-Alive") < 0) ||
        (connection->chunking && set_item(headers, "Transfer-Encoding", "chunked") < 0)) {
        return -1;
    }
    struct td_span reason_span;
    if (!PyUnicode_Check(reason) || !PyUnicode_IS_ASCII(reason) || !convert_latin1_span(reason, &reason_span)) {
        /* Tornado sends the start line as UTF-8. */
        reason_bytes = PyUnicode_Check(reason) ? PyUnicode_AsUTF8String(reason) : PyObject_Bytes(reason);
        if (reason_bytes == NULL) {
            return -1;
        }
        reason_span = convert_bytes_span(reason_bytes);
    }
    if (has_line_end(reason_span)) {
        PyErr_Format(PyExc_ValueError, "Illegal characters (CR or LF) in header: %R", reason);
        goto done;
    }
    bool plain = headers_is_plain(state, headers);
    if (!plain) {
        pairs = all_pairs(headers);
        if (pairs == NULL) {
            goto done;
        }
    }
    if ((plain ? head_lines_plain(connection, (HeadersObject *)headers, false) : head_lines_pairs(connection, pairs, false)) < 0) {
        goto done;
    }
    if (connection->phase == CONN_CLOSED) {
        status = 0;
        goto done;
    }
    if (chunk != NULL && conn_check_chunk(connection, chunk) < 0) {
        goto done;
    }
    if (td_response_status_line(&connection->out, (int)code, reason_span) != TD_OK) {
        PyErr_NoMemory();
        goto done;
    }
    if ((plain ? head_lines_plain(connection, (HeadersObject *)headers, true) : head_lines_pairs(connection, pairs, true)) < 0) {
        goto done;
    }
    if (td_outbuf_append(&connection->out, "\r\n", 2) != TD_OK) {
        PyErr_NoMemory();
        goto done;
    }
    status = chunk != NULL ? conn_put_chunk(connection, chunk) : 0;
done:
    Py_XDECREF(pairs);
    Py_XDECREF(reason_bytes);
    return status;
}

/* -- methods -- */

static PyObject *closed_future(ExchangeObject *self)
{
    PyObject *future = PyObject_CallNoArgs(BOUND(self->state, Future));
    PyObject *error = future ? PyObject_CallNoArgs(BOUND(self->state, StreamClosedError)) : NULL;
    PyObject *result = error ? PyObject_CallMethodOneArg(future, NAME(self->state, set_exception), error) : NULL;
    if (result != NULL) {
        Py_SETREF(result, PyObject_CallMethodNoArgs(future, NAME(self->state, exception)));
    }
    Py_XDECREF(error);
    if (result == NULL) {
        Py_CLEAR(future);
    }
    Py_XDECREF(result);
    return future;
}

PyDoc_STRVAR(write_headers_doc, "write_headers(start_line, headers, chunk=None)\n--\n\nWrite the head of the answer; see Tornado.");

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

PyDoc_STRVAR(write_doc, "write(chunk)\n--\n\nWrite a piece of the answer's body; raw bytes before write_headers().");

static PyObject *exchange_write_method(ExchangeObject *self, PyObject *chunk)
{
    if (!is_open(self)) {
        return closed_future(self);
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

PyDoc_STRVAR(finish_doc, "finish()\n--\n\nEnd the answer.");

static PyObject *exchange_finish_method(ExchangeObject *self, PyObject *Py_UNUSED(ignored))
{
    if (is_open(self) && conn_finish_answer(self->connection) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(close_doc, "close()\n--\n\nClose the connection at once.");

static PyObject *exchange_close_method(ExchangeObject *self, PyObject *Py_UNUSED(ignored))
{
    if (is_current(self)) {
        Py_CLEAR(self->connection->close_callback);
        conn_close_soon(self->connection);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(detach_doc, "detach()\n--\n\nTake the stream away from HTTP: returns an IOStream with the unread input in it.");

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

PyDoc_STRVAR(set_close_callback_doc, "set_close_callback(callback)\n--\n\nHave callback() called if the client goes away now.");

static PyObject *exchange_set_close_callback(ExchangeObject *self, PyObject *callback)
{
    if (is_current(self)) {
        ServerConnectionObject *connection = self->connection;
        Py_CLEAR(connection->handler);
        Py_XSETREF(connection->close_callback, callback == Py_None ? NULL : Py_NewRef(callback));
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_max_body_size_doc, "set_max_body_size(max_body_size)\n--\n\nLimit the body of this request, in bytes.");

static PyObject *exchange_set_max_body_size(ExchangeObject *self, PyObject *value)
{
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

PyDoc_STRVAR(set_body_timeout_doc, "set_body_timeout(timeout)\n--\n\nLimit the time for this request's body, in seconds.");

static PyObject *exchange_set_body_timeout(ExchangeObject *self, PyObject *value)
{
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
    {"write_headers", (PyCFunction)(void (*)(void))exchange_write_headers_method, METH_VARARGS | METH_KEYWORDS, write_headers_doc},
    {"write", (PyCFunction)exchange_write_method, METH_O, write_doc},
    {"finish", (PyCFunction)exchange_finish_method, METH_NOARGS, finish_doc},
    {"close", (PyCFunction)exchange_close_method, METH_NOARGS, close_doc},
    {"detach", (PyCFunction)exchange_detach_method, METH_NOARGS, detach_doc},
    {"set_close_callback", (PyCFunction)exchange_set_close_callback, METH_O, set_close_callback_doc},
    {"set_max_body_size", (PyCFunction)exchange_set_max_body_size, METH_O, set_max_body_size_doc},
    {"set_body_timeout", (PyCFunction)exchange_set_body_timeout, METH_O, set_body_timeout_doc},
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
        self->request_start_line = request_start_line(self->state, self->head);
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
        self->request_headers = headers_from_head(self->state, self->head);
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
    {Py_tp_dealloc, exchange_dealloc}, {Py_tp_traverse, exchange_traverse}, {Py_tp_clear, exchange_clear},
    {Py_tp_methods, exchange_methods}, {Py_tp_getset, exchange_getset},     {Py_tp_members, exchange_members},
    {Py_tp_doc, (void *)exchange_doc}, {0, NULL},
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
