/* See request.h: the object and its attributes. */
#include "request.h"

#include "convert.h"
#include "exchange.h"
#include "headers.h"

#include "core/clock.h"
#include "core/http_rules.h"

RequestObject *request_new(ServerConnectionObject *connection)
{
    struct native_state *state = connection->state;
    PyTypeObject *type = (PyTypeObject *)BOUND(state, HTTPServerRequest);
    RequestObject *self = (RequestObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    td_head_retain(connection->head);
    self->head = connection->head;
    self->transport = (ServerConnectionObject *)Py_NewRef((PyObject *)connection);
    self->sequence = connection->sequence;
    self->started = td_clock_wall();
    return self;
}

bool request_is_live(RequestObject *self)
{
    const ServerConnectionObject *transport = self->transport;
    if (transport == NULL || transport->sequence != self->sequence || transport->phase > CONN_ANSWER) {
        return false;
    }
    /* Python may have put another connection object in its place. */
    PyObject *connection = self->slots[REQUEST_connection];
    return connection == NULL || connection == (PyObject *)transport->exchange;
}

static PyObject *intern_latin1(struct td_span span)
{
    PyObject *text = convert_latin1(span);
    if (text != NULL) {
        PyUnicode_InternInPlace(&text);
    }
    return text;
}

static PyObject *version_text(const struct td_head *head)
{
    char version[] = "HTTP/1.x";
    version[7] = (char)('0' + head->version_minor);
    return intern_latin1(td_span_of(version, 8));
}

PyObject *request_start_line(struct native_state *state, const struct td_head *head)
{
    PyObject *method = intern_latin1(td_head_method(head));
    PyObject *target = convert_latin1(td_head_target(head));
    PyObject *version = version_text(head);
    PyObject *result = NULL;
    if (method != NULL && target != NULL && version != NULL) {
        result = PyObject_CallFunctionObjArgs(BOUND(state, RequestStartLine), method, target, version, NULL);
    }
    Py_XDECREF(method);
    Py_XDECREF(target);
    Py_XDECREF(version);
    return result;
}

static bool is_form(struct td_span content_type)
{
    static const char url_encoded[] = "application/x-www-form-urlencoded";
    static const char multipart[] = "multipart/form-data";
    return (content_type.len >= sizeof(url_encoded) - 1 &&
            memcmp(content_type.data, url_encoded, sizeof(url_encoded) - 1) == 0) ||
           (content_type.len >= sizeof(multipart) - 1 && memcmp(content_type.data, multipart, sizeof(multipart) - 1) == 0);
}

bool request_may_be_form(RequestObject *self)
{
    PyObject *headers = self->slots[REQUEST_headers];
    if (headers == NULL) {
        const struct td_field *field = td_head_find(self->head, "content-type");
        return field != NULL && is_form(td_field_value(self->head, field));
    }
    /* Python has looked at the headers and may have changed them. */
    struct td_span span;
    PyObject *value = headers_is_plain(self->state, headers)
                          ? headers_get_normal((HeadersObject *)headers, TEXT(self->state, content_type))
                          : Py_None;
    if (value == NULL) {
        PyErr_Clear();
        return false;
    }
    return !convert_latin1_span(value, &span) || is_form(span);
}

/* Is the request's _parse_body Tornado's own, and what it works on as it came? */
static bool has_plain_parser(RequestObject *self)
{
    PyObject *name = NAME(self->state, _parse_body);
    return self->deleted == 0 && self->slots[REQUEST_body_arguments] == NULL &&
           _PyType_Lookup(Py_TYPE(self), name) == BOUND(self->state, parse_body) &&
           (self->dict == NULL || PyDict_GetItemWithError(self->dict, name) == NULL) &&
           (self->slots[REQUEST_body] == NULL || request_has_plain_body_parser(self->state));
}

int request_parse_body(RequestObject *self)
{
    if (has_plain_parser(self)) {
        int status = request_may_be_form(self) ? request_parse_form(self) : 1;
        if (status != 0) {
            return status < 0 ? -1 : 0;
        }
    }
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, _parse_body));
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

bool request_may_be_conditional(RequestObject *self)
{
    PyObject *headers = self->slots[REQUEST_headers];
    if (headers == NULL) {
        return td_head_find(self->head, "if-none-match") != NULL;
    }
    return !headers_is_plain(self->state, headers) ||
           headers_contains_normal((HeadersObject *)headers, TEXT(self->state, if_none_match)) != 0;
}

bool request_path_span(RequestObject *self, struct td_span *path)
{
    if (self->slots[REQUEST_path] == NULL && self->head != NULL && self->deleted == 0) {
        *path = td_span_of(self->head->text + self->head->target, self->head->path_len);
        return true;
    }
    PyObject *text = request_slot(self, REQUEST_path);
    return text != NULL && convert_latin1_span(text, path);
}

bool request_method_span(RequestObject *self, struct td_span *method)
{
    if (self->slots[REQUEST_method] == NULL && self->head != NULL && self->deleted == 0) {
        *method = td_head_method(self->head);
        return true;
    }
    PyObject *text = request_slot(self, REQUEST_method);
    return text != NULL && convert_latin1_span(text, method);
}

static PyObject *make_host(RequestObject *self)
{
    struct td_span host;
    struct td_verdict why;
    if (td_rules_host(self->head, &host, &why) != TD_OK) {
        PyErr_SetString(PyExc_AttributeError, "host");
        return NULL;
    }
    return convert_latin1(host);
}

static PyObject *make_host_name(RequestObject *self)
{
    PyObject *host = request_slot(self, REQUEST_host);
    return host ? PyObject_CallOneArg(BOUND(self->state, split_host), host) : NULL;
}

static PyObject *make_connection(RequestObject *self)
{
    ServerConnectionObject *transport = self->transport;
    /* A connection that is done with does not hold the object: nothing would break the cycle any more. */
    bool over = transport->phase == CONN_CLOSED && !transport->notify_closed;
    if (transport->sequence == self->sequence && !over) {
        return Py_XNewRef((PyObject *)exchange_current(transport));
    }
    return (PyObject *)exchange_new(transport, self->sequence, self->head);
}

static PyObject *make_slot(RequestObject *self, enum request_slot slot)
{
    const struct td_head *head = self->head;
    switch (slot) {
    case REQUEST_method:
        return intern_latin1(td_head_method(head));
    case REQUEST_uri:
        return convert_latin1(td_head_target(head));
    case REQUEST_version:
        return version_text(head);
    case REQUEST_headers:
        return headers_from_head(self->state, self->head);
    case REQUEST_body:
        return PyBytes_FromStringAndSize(NULL, 0);
    case REQUEST_remote_ip:
        return Py_XNewRef(conn_remote_ip(self->transport));
    case REQUEST_protocol:
        return conn_protocol(self->transport);
    case REQUEST_host:
        return make_host(self);
    case REQUEST_host_name:
        return make_host_name(self);
    case REQUEST_files:
    case REQUEST_body_arguments:
        return PyDict_New();
    case REQUEST_connection:
        return make_connection(self);
    case REQUEST_server_connection:
        return Py_NewRef((PyObject *)self->transport);
    case REQUEST_start_time:
        return PyFloat_FromDouble(self->started);
    case REQUEST_finish_time:
        Py_RETURN_NONE;
    case REQUEST_path:
        return convert_latin1(td_span_of(head->text + head->target, head->path_len));
    case REQUEST_query:
        return convert_latin1(request_query_span(head));
    case REQUEST_arguments:
    case REQUEST_query_arguments:
        return request_make_arguments(self, slot);
    case REQUEST_SLOT_COUNT:
        break;
    }
    PyErr_SetString(PyExc_SystemError, "no such request attribute");
    return NULL;
}

static const char *const slot_names[] = {
#define X(field, attribute) attribute,
    REQUEST_SLOTS(X)
#undef X
};

PyObject *request_slot(RequestObject *self, enum request_slot slot)
{
    if (self->slots[slot] == NULL) {
        if (self->head == NULL || (self->deleted & (UINT32_C(1) << slot))) {
            PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'", Py_TYPE(self)->tp_name, slot_names[slot]);
            return NULL;
        }
        PyObject *value = make_slot(self, slot);
        if (value == NULL) {
            return NULL;
        }
        /* Making it may have run Python code that set it. */
        if (self->slots[slot] != NULL) {
            Py_DECREF(value);
        }
        else {
            self->slots[slot] = value;
        }
    }
    return self->slots[slot];
}

static PyObject *get_slot(RequestObject *self, void *closure)
{
    return Py_XNewRef(request_slot(self, (enum request_slot)(intptr_t)closure));
}

static int set_slot(RequestObject *self, PyObject *value, void *closure)
{
    enum request_slot slot = (enum request_slot)(intptr_t)closure;
    uint32_t bit = UINT32_C(1) << slot;
    if (value == NULL && self->slots[slot] == NULL && (self->head == NULL || (self->deleted & bit))) {
        PyErr_SetString(PyExc_AttributeError, slot_names[slot]);
        return -1;
    }
    self->deleted = value ? self->deleted & ~bit : self->deleted | bit;
    Py_XSETREF(self->slots[slot], Py_XNewRef(value));
    return 0;
}

static PyObject *request_new_object(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    RequestObject *self = state ? (RequestObject *)type->tp_alloc(type, 0) : NULL;
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

static int request_traverse(RequestObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->transport);
    for (int i = 0; i < REQUEST_SLOT_COUNT; i++) {
        Py_VISIT(self->slots[i]);
    }
    Py_VISIT(self->dict);
    return 0;
}

static int request_clear(RequestObject *self)
{
    for (int i = 0; i < REQUEST_SLOT_COUNT; i++) {
        Py_CLEAR(self->slots[i]);
    }
    Py_CLEAR(self->dict);
    return 0;
}

static void request_dealloc(RequestObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)request_clear(self);
    td_head_release(self->head);
    Py_XDECREF(self->transport);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef request_getset[] = {
#define X(field, attribute) {attribute, (getter)get_slot, (setter)set_slot, NULL, (void *)(intptr_t)REQUEST_##field},
    REQUEST_SLOTS(X)
#undef X
        {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef request_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(RequestObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(RequestObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(request_doc, "The native half of tornadoc.httputil.HTTPServerRequest.");

static PyType_Slot request_slots[] = {
    {Py_tp_new, request_new_object},    {Py_tp_dealloc, request_dealloc},
    {Py_tp_traverse, request_traverse}, {Py_tp_clear, request_clear},
    {Py_tp_getset, request_getset},     {Py_tp_members, request_members},
    {Py_tp_doc, (void *)request_doc},   {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "tornadoc._native.HTTPServerRequest",
    .basicsize = sizeof(RequestObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = request_slots,
};

int request_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &request_spec, &state->request_type);
}
