/* See connection.h: from a parsed head to whoever takes the request. */
#include "connection_delegate.h"

#include "application.h"
#include "convert.h"
#include "errors.h"
#include "exchange.h"
#include "handler.h"
#include "headers.h"
#include "request.h"

#include "core/clock.h"
#include "core/http_rules.h"

static void note_head(ServerConnectionObject *self)
{
    const struct td_head *head = self->head;
    self->version_1_1 = head->version_minor == 1;
    self->head_method = td_span_is(td_head_method(head), "HEAD");
    self->echo_keep_alive = head->version_minor == 0 && td_rules_wants_keep_alive(head);
    self->expects_continue = td_rules_expects_continue(head);
    self->max_body_size = self->server->max_body_size;
    self->body_timeout = self->server->body_timeout;
    self->deadline = TD_NEVER;
}

static bool is_gzip(const struct td_head *head)
{
    const struct td_field *field = td_head_find(head, "content-encoding");
    return field != NULL && td_span_is_nocase(td_field_value(head, field), "gzip");
}

static bool has_proxy_fields(const struct td_head *head)
{
    return td_head_find(head, "x-forwarded-for") != NULL || td_head_find(head, "x-real-ip") != NULL ||
           td_head_find(head, "x-scheme") != NULL || td_head_find(head, "x-forwarded-proto") != NULL;
}

/* xheaders: the request takes what Tornado's context makes of the proxy's fields. */
static int apply_xheaders(ServerConnectionObject *self, RequestObject *request)
{
    struct native_state *state = self->state;
    PyObject *context = Py_XNewRef(conn_context(self));
    PyObject *headers = request_slot(request, REQUEST_headers);
    PyObject *result = context && headers ? PyObject_CallMethodOneArg(context, NAME(state, _apply_xheaders), headers) : NULL;
    PyObject *remote_ip = NULL;
    PyObject *protocol = NULL;
    if (result != NULL) {
        self->xheaders_applied = true;
        remote_ip = PyObject_GetAttr(context, NAME(state, remote_ip));
        protocol = remote_ip ? PyObject_GetAttr(context, NAME(state, protocol)) : NULL;
    }
    Py_XDECREF(result);
    Py_XDECREF(context);
    if (protocol == NULL) {
        Py_XDECREF(remote_ip);
        return -1;
    }
    Py_XSETREF(request->slots[REQUEST_remote_ip], remote_ip);
    Py_XSETREF(request->slots[REQUEST_protocol], protocol);
    return 0;
}

void conn_unapply_xheaders(ServerConnectionObject *self)
{
    if (!self->xheaders_applied) {
        return;
    }
    self->xheaders_applied = false;
    PyObject *exception = errors_take();
    PyObject *result = PyObject_CallMethodNoArgs(self->context, NAME(self->state, _unapply_xheaders));
    if (result == NULL) {
        errors_unraisable(self->state, self->context);
    }
    Py_XDECREF(result);
    errors_give(exception);
}

/* HTTPConnection's promise to a client that waits with its body (RFC 9110 10.1.1). */
int conn_send_continue(ServerConnectionObject *self)
{
    static const char answer[] = "HTTP/1.1 100 (Continue)\r\n\r\n";
    if (!self->expects_continue || self->write_finished || self->phase == CONN_CLOSED) {
        return 0;
    }
    if (td_outbuf_append(&self->out, answer, sizeof(answer) - 1) != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    conn_flush(self);
    return 0;
}

/* Is there more than one Content-Length, in one line or several? */
static bool repeats_length(const struct td_head *head)
{
    const struct td_field *field = td_head_find(head, "content-length");
    if (field == NULL) {
        return false;
    }
    struct td_span value = td_field_value(head, field);
    return memchr(value.data, ',', value.len) != NULL || td_head_find_next(head, field, "content-length") != NULL;
}

/* As _read_body, which leaves one value of a repeated Content-Length. */
static int normalize_length(ServerConnectionObject *self, PyObject *headers)
{
    struct td_span value = td_field_value(self->head, td_head_find(self->head, "content-length"));
    const char *comma = memchr(value.data, ',', value.len);
    PyObject *name = PyUnicode_InternFromString("Content-Length");
    PyObject *length = convert_latin1(td_span_of(value.data, comma ? (size_t)(comma - value.data) : value.len));
    int status = name != NULL && length != NULL ? PyObject_SetItem(headers, name, length) : -1;
    Py_XDECREF(name);
    Py_XDECREF(length);
    return status;
}

int conn_begin_body(ServerConnectionObject *self, PyObject *headers)
{
    enum td_framing framing;
    uint64_t length = 0;
    struct td_verdict why;
    if (td_rules_framing(self->head, self->max_body_size, &framing, &length, &why) != TD_OK) {
        conn_refuse(self, &why);
        return 0;
    }
    if (framing == TD_FRAMING_LENGTH && headers != NULL && repeats_length(self->head) && normalize_length(self, headers) < 0) {
        return -1;
    }
    if (self->phase == CONN_CLOSED) {
        return 0;
    }
    if (framing == TD_FRAMING_LENGTH && length == 0) {
        /* Complete without any input to wait for. */
        framing = TD_FRAMING_NONE;
    }
    td_body_start(&self->body, framing, length, self->max_body_size);
    self->body_len = 0;
    self->phase = CONN_BODY;
    if (framing != TD_FRAMING_NONE && self->body_timeout >= 0) {
        if (conn_set_deadline(self, td_clock_after(engine_now(self->engine), self->body_timeout)) < 0) {
            return -1;
        }
        self->body_timer = true;
    }
    return 0;
}

/* The request has its place to go to: on to its body. */
static int begin_native_body(ServerConnectionObject *self, RequestObject *request)
{
    if (conn_send_continue(self) < 0) {
        return -1;
    }
    if (self->phase == CONN_CLOSED) {
        return 0;
    }
    PyObject *headers = NULL;
    if (repeats_length(self->head) && (headers = request_slot(request, REQUEST_headers)) == NULL) {
        return -1;
    }
    return conn_begin_body(self, headers);
}

/* A routed request goes to its handler class, or to a delegate. Takes from the route what it keeps. */
static int take_route(ServerConnectionObject *self, ApplicationObject *application, RequestObject *request, struct route *route)
{
    bool streams = route->handler_class != NULL && handler_streams_body(self->state, route->handler_class);
    if (route->delegate != NULL || streams || (self->server->decompress && is_gzip(self->head))) {
        if (conn_take_route_delegate(self, application, route) < 0) {
            return -1;
        }
        return self->phase == CONN_CLOSED ? 0 : conn_delegate_headers(self);
    }
    self->application = (ApplicationObject *)Py_NewRef((PyObject *)application);
    self->handler_class = Py_XNewRef(route->handler_class);
    self->handler_kwargs = Py_XNewRef(route->handler_kwargs);
    self->path_args = Py_XNewRef(route->path_args);
    self->path_kwargs = Py_XNewRef(route->path_kwargs);
    return begin_native_body(self, request);
}

/* The proxy's fields, and what HTTPServerRequest refuses: in this order, so that a refusal names the client that the proxy tells
 * of. 0, with phase still CONN_HEAD if the request is good, or -1. */
static int prepare_request(ServerConnectionObject *self, RequestObject *request)
{
    if (self->server->xheaders && has_proxy_fields(self->head) && apply_xheaders(self, request) < 0) {
        return -1;
    }
    struct td_span host;
    struct td_verdict why;
    if (self->phase == CONN_HEAD && td_rules_host(self->head, &host, &why) != TD_OK) {
        conn_refuse(self, &why);
        return 0;
    }
    if (self->phase != CONN_HEAD || request_query_span(self->head).len == 0) {
        return 0;
    }
    return request_check_query(request);
}

/* The fast path's headers_received: request object and route. An exception is Tornado's: HTTPInputError refuses the message. */
static int begin_native(ServerConnectionObject *self, ApplicationObject *application)
{
    struct route route = {0};
    RequestObject *request = request_new(self);
    if (request == NULL) {
        return -1;
    }
    /* Held here as well: matchers and routers of the application's own may close the connection. */
    self->request = (RequestObject *)Py_NewRef((PyObject *)request);
    int status = prepare_request(self, request);
    if (status == 0 && self->phase == CONN_HEAD) {
        status = application_find(application, request, &route);
    }
    if (status == 0 && self->phase == CONN_HEAD) {
        status = take_route(self, application, request, &route);
    }
    route_clear(&route);
    Py_DECREF(request);
    return status;
}

/* The same for the server's function. */
static int begin_function(ServerConnectionObject *self, PyObject *function)
{
    RequestObject *request = request_new(self);
    if (request == NULL) {
        return -1;
    }
    self->request = (RequestObject *)Py_NewRef((PyObject *)request);
    self->handler_class = Py_NewRef(function);
    int status = prepare_request(self, request);
    if (status == 0 && self->phase == CONN_HEAD) {
        status = begin_native_body(self, request);
    }
    Py_DECREF(request);
    return status;
}

/* A complete head: who takes the request? */
int conn_begin_request(ServerConnectionObject *self)
{
    struct td_verdict why;
    note_head(self);
    if (self->server->no_keep_alive) {
        /* Then it is not looked at, and a coding that nobody knows is only found after headers_received. */
        self->keep_alive = false;
    }
    else if (td_rules_keep_alive(self->head, &self->keep_alive, &why) != TD_OK) {
        conn_refuse(self, &why);
        return 0;
    }
    ApplicationObject *application = self->delegate == NULL ? server_application(self->server) : NULL;
    if (application == NULL && (self->delegate != NULL || server_function(self->server) == NULL)) {
        if (self->delegate == NULL && conn_start_delegate(self) < 0) {
            return -1;
        }
        return self->phase == CONN_CLOSED ? 0 : conn_delegate_headers(self);
    }
    if (application == NULL) {
        return begin_function(self, server_function(self->server));
    }
    Py_INCREF(application);
    int status = begin_native(self, application);
    Py_DECREF(application);
    return status;
}

/* request._parse_body() and function(request), in the request's context. 0 or -1. */
static int call_function(RequestObject *request, PyObject *function, PyObject *context)
{
    int status = PyContext_Enter(context);
    if (status == 0) {
        status = request_parse_body(request);
        PyObject *result = status == 0 ? PyObject_CallOneArg(function, (PyObject *)request) : NULL;
        status = result == NULL ? -1 : 0;
        Py_XDECREF(result);
        PyObject *exception = errors_take();
        if (PyContext_Exit(context) < 0) {
            errors_unraisable(request->state, context);
        }
        errors_give(exception);
    }
    return status;
}

int conn_call_function(ServerConnectionObject *self)
{
    /* Held here: the function may close the connection. */
    RequestObject *request = (RequestObject *)Py_NewRef((PyObject *)self->request);
    PyObject *function = Py_NewRef(self->handler_class);
    PyObject *context = PyContext_Copy(self->server->context);
    int status = context ? call_function(request, function, context) : -1;
    Py_XDECREF(context);
    Py_DECREF(function);
    Py_DECREF(request);
    return status < 0 ? conn_request_failed(self) : 0;
}
