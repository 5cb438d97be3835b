/* See handler.h: set_status, set_header, write, flush, finish. */
#include "handler.h"

#include <time.h>

#include "access_log.h"
#include "application.h"
#include "convert.h"
#include "errors.h"
#include "exchange.h"
#include "guard.h"
#include "headers.h"
#include "json_text.h"
#include "request.h"

#include "core/http_response.h"

/* Hooks that Tornado's own finish() calls and this one decides itself. */
#define FINISH_HOOKS                                                                                                             \
    (HOOK(compute_etag) | HOOK(set_etag_header) | HOOK(check_etag_header) | HOOK(set_status) | HOOK(set_header) |                \
     HOOK(clear_header) | HOOK(_should_not_send_content) | HOOK(_clear_representation_headers) | HOOK(_convert_header_value))

/* function(self, *args). Steals function, which may be NULL. */
static PyObject *call_with_self(HandlerObject *self, PyObject *function, PyObject *const *args, Py_ssize_t count,
                                PyObject *kwnames)
{
    if (function == NULL) {
        return NULL;
    }
    PyObject *stack[8] = {(PyObject *)self};
    Py_ssize_t total = count + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject *result = NULL;
    if (total > 7) {
        PyErr_SetString(PyExc_TypeError, "too many arguments");
    }
    else {
        for (Py_ssize_t i = 0; i < total; i++) {
            stack[i + 1] = args[i];
        }
        result = PyObject_Vectorcall(function, stack, (size_t)count + 1, kwnames);
    }
    Py_DECREF(function);
    return result;
}

/* The method of Tornado's class, for what the fast path does not do. */
PyObject *handler_call_tornado(HandlerObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    return call_with_self(self, PyObject_GetAttr(BOUND(self->state, tornado_RequestHandler), name), args, count, kwnames);
}

/* Has somebody replaced Tornado's method of that name? Then it is theirs that has to run. */
#define IS_PATCHED(self, name) (guard_type_mask((self)->state, GUARD_HANDLER, Py_TYPE(self)) & HOOK_BEHIND(name))

/* -- status and headers -- */

void handler_set_status(HandlerObject *self, long code)
{
    self->status_code = code;
    Py_CLEAR(self->reason);
}

static PyObject *method_set_status(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count != 1 || kwnames != NULL || !PyLong_CheckExact(args[0]) || IS_PATCHED(self, set_status)) {
        return handler_call_tornado(self, NAME(self->state, set_status), args, count, kwnames);
    }
    long code = PyLong_AsLong(args[0]);
    if (code == -1 && PyErr_Occurred()) {
        return NULL;
    }
    handler_set_status(self, code);
    Py_RETURN_NONE;
}

static PyObject *method_get_status(HandlerObject *self, PyObject *Py_UNUSED(ignored))
{
    if (IS_PATCHED(self, get_status)) {
        return handler_call_tornado(self, NAME(self->state, get_status), NULL, 0, NULL);
    }
    return PyLong_FromLong(self->status_code);
}

/* RequestHandler._convert_header_value for str, bytes and int; anything else is Tornado's. New reference or NULL. */
static PyObject *convert_value(HandlerObject *self, PyObject *value)
{
    PyObject *text;
    if (PyUnicode_CheckExact(value)) {
        text = Py_NewRef(value);
    }
    else if (PyBytes_CheckExact(value)) {
        text = convert_latin1(convert_bytes_span(value));
    }
    else if (PyLong_Check(value)) {
        return PyObject_Str(value);
    }
    else {
        return handler_call_tornado(self, NAME(self->state, _convert_header_value), &value, 1, NULL);
    }
    struct td_span span;
    bool safe = text != NULL && convert_latin1_span(text, &span);
    for (size_t i = 0; safe && i < span.len; i++) {
        unsigned char c = (unsigned char)span.data[i];
        safe = (c >= 0x20 && c != 0x7f) || c == '\t';
    }
    if (!safe && text != NULL) {
        PyErr_Format(PyExc_ValueError, "Unsafe header value %R", text);
        Py_CLEAR(text);
    }
    return text;
}

/* self._headers[name] = text. normal: the name is in Http-Header-Case. */
static int put_header(HandlerObject *self, PyObject *name, PyObject *text, bool normal)
{
    PyObject *headers = handler_headers(self);
    if (headers == NULL) {
        return -1;
    }
    if (!headers_is_plain(self->state, headers)) {
        return PyObject_SetItem(headers, name, text);
    }
    PyObject *normal_name = normal ? Py_NewRef(name) : headers_normalize(self->state, name);
    int status = normal_name ? headers_set_normal((HeadersObject *)headers, normal_name, text) : -1;
    Py_XDECREF(normal_name);
    return status;
}

static PyObject *method_set_header(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count != 2 || kwnames != NULL || !PyUnicode_CheckExact(args[0]) || IS_PATCHED(self, set_header) ||
        (handler_mask(self) & HOOK(_convert_header_value))) {
        return handler_call_tornado(self, NAME(self->state, set_header), args, count, kwnames);
    }
    PyObject *text = convert_value(self, args[1]);
    int status = text ? put_header(self, args[0], text, false) : -1;
    Py_XDECREF(text);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* -- the body -- */

static int append_chunk(HandlerObject *self, PyObject *bytes)
{
    if (self->buffer == NULL && PyBytes_CheckExact(bytes)) {
        self->buffer = Py_NewRef(bytes);
        return 0;
    }
    PyObject *list = handler_buffer_list(self);
    return list ? PyList_Append(list, bytes) : -1;
}

/* escape.utf8(text). Steals text, which may be NULL. New reference or NULL. */
static PyObject *encode_text(struct native_state *state, PyObject *text)
{
    if (text == NULL || PyBytes_CheckExact(text)) {
        return text;
    }
    PyObject *result = PyUnicode_Check(text) ? PyUnicode_AsUTF8String(text)
                                             : PyObject_CallMethodOneArg(BOUND(state, escape), NAME(state, utf8), text);
    Py_DECREF(text);
    return result;
}

static int write_json(HandlerObject *self, PyObject *dict)
{
    struct native_state *state = self->state;
    PyObject *text = json_text_of(state, dict);
    if (text == NULL && !PyErr_Occurred()) {
        text = PyObject_CallMethodOneArg(BOUND(state, escape), NAME(state, json_encode), dict);
    }
    if (text == NULL) {
        return -1;
    }
    int status;
    if (handler_mask(self) & (HOOK(set_header) | HOOK(_convert_header_value))) {
        PyObject *args[] = {(PyObject *)self, TEXT(state, content_type), TEXT(state, json)};
        PyObject *result = PyObject_VectorcallMethod(NAME(state, set_header), args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        status = result == NULL ? -1 : 0;
        Py_XDECREF(result);
    }
    else {
        status = put_header(self, TEXT(state, content_type), TEXT(state, json), true);
    }
    if (status < 0) {
        Py_DECREF(text);
        return -1;
    }
    PyObject *bytes = encode_text(state, text);
    status = bytes ? append_chunk(self, bytes) : -1;
    Py_XDECREF(bytes);
    return status;
}

int handler_write(HandlerObject *self, PyObject *chunk)
{
    if (self->finished) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot write() after finish()");
        return -1;
    }
    if (PyUnicode_Check(chunk)) {
        PyObject *bytes = PyUnicode_AsUTF8String(chunk);
        int status = bytes ? append_chunk(self, bytes) : -1;
        Py_XDECREF(bytes);
        return status;
    }
    if (PyBytes_CheckExact(chunk)) {
        return append_chunk(self, chunk);
    }
    if (PyDict_Check(chunk)) {
        return write_json(self, chunk);
    }
    PyObject *result = handler_call_tornado(self, NAME(self->state, write), &chunk, 1, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *method_write(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count != 1 || kwnames != NULL || IS_PATCHED(self, write)) {
        return handler_call_tornado(self, NAME(self->state, write), args, count, kwnames);
    }
    return handler_write(self, args[0]) < 0 ? NULL : Py_NewRef(Py_None);
}

/* Takes what was written: one bytes object, empty if nothing. New reference or NULL. */
static PyObject *take_buffer(HandlerObject *self)
{
    PyObject *buffer = self->buffer;
    self->buffer = NULL;
    if (buffer == NULL) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    if (PyBytes_CheckExact(buffer)) {
        return buffer;
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *joined = empty ? PyObject_CallMethod(empty, "join", "O", buffer) : NULL;
    Py_XDECREF(empty);
    Py_DECREF(buffer);
    return joined;
}

/* Bytes in the buffer, or -1 with an exception. */
static int64_t buffer_size(HandlerObject *self)
{
    if (self->buffer == NULL) {
        return 0;
    }
    if (PyBytes_CheckExact(self->buffer)) {
        return PyBytes_GET_SIZE(self->buffer);
    }
    int64_t size = 0;
    PyObject *list = Py_NewRef(self->buffer);
    for (Py_ssize_t i = 0; size >= 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *item = Py_NewRef(PyList_GET_ITEM(list, i));
        Py_ssize_t part = PyObject_Length(item);
        Py_DECREF(item);
        size = part < 0 ? -1 : size + part;
    }
    Py_DECREF(list);
    return size;
}

/* -- flush -- */

#define LITERAL(text) td_span_of(text, sizeof(text) - 1)

/* The head of an answer whose headers nobody touched: written without a header object. content_length < 0: not known. */
static int put_default_head(HandlerObject *self, ServerConnectionObject *connection, PyObject *chunk)
{
    struct native_state *state = self->state;
    struct td_outbuf *out = &connection->out;
    struct td_span reason, server, html;
    PyObject *text = handler_reason(self);
    if (text == NULL || !convert_latin1_span(text, &reason) || !convert_latin1_span(BOUND(state, server_version), &server) ||
        !convert_latin1_span(TEXT(state, html), &html)) {
        return -1;
    }
    conn_start_answer(connection, (int)self->status_code, self->content_length);
    self->closes = connection->version_1_1 && !connection->keep_alive;
    self->keeps = connection->echo_keep_alive;
    self->chunks = connection->chunking;
    if (connection->phase == CONN_CLOSED) {
        return 0;
    }
    if (conn_check_chunk(connection, chunk) < 0) {
        return -1;
    }
    const char *date = td_date_text(&connection->engine->date, (time_t)self->date);
    char number[24];
    struct td_line lines[7];
    size_t count = 0;
    lines[count++] = (struct td_line){LITERAL("Server"), server};
    lines[count++] = (struct td_line){LITERAL("Content-Type"), html};
    lines[count++] = (struct td_line){LITERAL("Date"), td_span_of(date, TD_DATE_LEN)};
    if (self->etag[0] != '\0') {
        lines[count++] = (struct td_line){LITERAL("Etag"), td_span_of(self->etag, strlen(self->etag))};
    }
    if (self->content_length >= 0) {
        char *end = td_format_decimal(number, (uint64_t)self->content_length);
        lines[count++] = (struct td_line){LITERAL("Content-Length"), td_span_of(number, (size_t)(end - number))};
    }
    if (self->closes || self->keeps) {
        lines[count++] = (struct td_line){LITERAL("Connection"), self->closes ? LITERAL("close") : LITERAL("Keep-Alive")};
    }
    if (connection->chunking) {
        lines[count++] = (struct td_line){LITERAL("Transfer-Encoding"), LITERAL("chunked")};
    }
    if (td_response_head(out, (int)self->status_code, reason, lines, count) != TD_OK) {
        conn_close_soon(connection);
        PyErr_NoMemory();
        return -1;
    }
    return conn_put_chunk(connection, chunk);
}

/* The request whose connection flush() may write to here, borrowed; or NULL: not with transforms, cookies to set, or hooks that
 * Tornado's calls. */
static RequestObject *flush_target(HandlerObject *self, uint64_t mask)
{
    PyObject *transforms = self->transforms.object;
    if (transforms != NULL ? !PyList_CheckExact(transforms) || PyList_GET_SIZE(transforms) > 0 : !self->transforms.unmade) {
        return NULL;
    }
    if ((mask & HOOK(add_header)) ||
        (self->dict != NULL && PyDict_GetItemWithError(self->dict, NAME(self->state, _new_cookie)) != NULL)) {
        return NULL;
    }
    return handler_connection(self) ? (RequestObject *)self->request : NULL;
}

/* RequestHandler.flush up to the sending. The caller holds the request. 0 or -1. */
static int put_output(HandlerObject *self, RequestObject *request)
{
    ServerConnectionObject *connection = request->transport;
    PyObject *chunk = take_buffer(self);
    if (chunk == NULL) {
        return -1;
    }
    if (!request_is_live(request)) {
        /* Joining the buffer ran code that ended the exchange: what comes now belongs nowhere. */
        Py_DECREF(chunk);
        return 0;
    }
    struct td_span method;
    bool head_method = request_method_span(request, &method) && td_span_is(method, "HEAD");
    if (head_method && PyBytes_GET_SIZE(chunk) > 0) {
        Py_SETREF(chunk, PyBytes_FromStringAndSize(NULL, 0));
    }
    int status = -1;
    if (chunk == NULL || PyErr_Occurred()) {
        Py_XDECREF(chunk);
        return -1;
    }
    if (self->headers_written) {
        status = head_method ? 0 : conn_put_chunk(connection, chunk);
    }
    else {
        self->headers_written = true;
        PyObject *reason = handler_reason(self);
        struct td_span span;
        if (reason == NULL) {
            status = -1;
        }
        else if (self->headers == NULL && PyUnicode_Check(reason) && PyUnicode_IS_ASCII(reason) &&
                 convert_latin1_span(reason, &span) && memchr(span.data, '\n', span.len) == NULL &&
                 memchr(span.data, '\r', span.len) == NULL) {
            status = put_default_head(self, connection, chunk);
        }
        else {
            PyObject *headers = handler_headers(self);
            if (headers != NULL) {
                Py_INCREF(headers);
                Py_INCREF(reason);
                status = exchange_write_headers(connection, self->status_code, reason, headers, chunk);
                Py_DECREF(headers);
                Py_DECREF(reason);
            }
        }
    }
    Py_DECREF(chunk);
    return status;
}

static PyObject *method_flush(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    RequestObject *request = IS_PATCHED(self, flush) ? NULL : flush_target(self, handler_mask(self));
    if (request == NULL || count > 1 || kwnames != NULL) {
        PyObject *transforms = self->transforms.object;
        if (transforms != NULL && PyList_CheckExact(transforms) && PyList_GET_SIZE(transforms) > 0) {
            return call_with_self(self, Py_NewRef(BOUND(self->state, flush_transformed)), args, count, kwnames);
        }
        return handler_call_tornado(self, NAME(self->state, flush), args, count, kwnames);
    }
    Py_INCREF(request);
    PyObject *future = NULL;
    if (put_output(self, request) == 0) {
        conn_flush(request->transport);
        future = conn_write_future(request->transport);
    }
    Py_DECREF(request);
    return future;
}

/* -- finish -- */

/* Bytes that SHA-1 takes in one block. CPython's own function has the least to do for that many; OpenSSL's takes a small part of
 * its time for more. */
#define SHA1_BLOCK_MAX 55

/* RequestHandler.compute_etag: the quoted SHA-1 of what was written. 0 or -1. */
static int compute_etag(HandlerObject *self, char etag[48])
{
    struct native_state *state = self->state;
    PyObject *buffer = Py_XNewRef(self->buffer);
    bool is_bytes = buffer != NULL && PyBytes_CheckExact(buffer);
    bool is_block = buffer == NULL || (is_bytes && PyBytes_GET_SIZE(buffer) <= SHA1_BLOCK_MAX);
    PyObject *sha1 = is_block ? BOUND(state, sha1_of_block) : BOUND(state, sha1);
    PyObject *hasher = is_bytes ? PyObject_CallOneArg(sha1, buffer) : PyObject_CallNoArgs(sha1);
    for (Py_ssize_t i = 0; hasher != NULL && buffer != NULL && !is_bytes && i < PyList_GET_SIZE(buffer); i++) {
        PyObject *part = Py_NewRef(PyList_GET_ITEM(buffer, i));
        PyObject *result = PyObject_CallMethodOneArg(hasher, NAME(state, update), part);
        Py_DECREF(part);
        if (result == NULL) {
            Py_CLEAR(hasher);
        }
        Py_XDECREF(result);
    }
    Py_XDECREF(buffer);
    PyObject *digest = hasher ? PyObject_CallMethodNoArgs(hasher, NAME(state, digest)) : NULL;
    Py_XDECREF(hasher);
    if (digest == NULL || !PyBytes_Check(digest) || PyBytes_GET_SIZE(digest) != 20) {
        Py_XDECREF(digest);
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "sha1 gave no digest");
        }
        return -1;
    }
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = (const unsigned char *)PyBytes_AS_STRING(digest);
    char *to = etag;
    *to++ = '"';
    for (int i = 0; i < 20; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    *to++ = '"';
    *to = '\0';
    Py_DECREF(digest);
    return 0;
}

/* `name` in self._headers, for headers that are an object. */
static int has_header(HandlerObject *self, PyObject *normal_name)
{
    PyObject *headers = handler_headers(self);
    if (headers == NULL) {
        return -1;
    }
    if (headers_is_plain(self->state, headers)) {
        return headers_contains_normal((HeadersObject *)headers, normal_name);
    }
    Py_INCREF(headers);
    int present = PySequence_Contains(headers, normal_name);
    Py_DECREF(headers);
    return present;
}

/* The name is in Http-Header-Case. */
static int put_latin1_header(HandlerObject *self, PyObject *name, const char *text, size_t len)
{
    PyObject *value = convert_latin1(td_span_of(text, len));
    int status = value ? put_header(self, name, value, true) : -1;
    Py_XDECREF(value);
    return status;
}

/* ETag, If-None-Match and 304 (RFC 9110 13.1.2), as Tornado's finish does. 0 or -1. */
static int settle_etag(HandlerObject *self, RequestObject *request)
{
    struct native_state *state = self->state;
    struct td_span method;
    if (!request_method_span(request, &method)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (self->status_code != 200 || !(td_span_is(method, "GET") || td_span_is(method, "HEAD"))) {
        return 0;
    }
    if (self->headers != NULL) {
        int present = has_header(self, TEXT(state, etag));
        if (present != 0) {
            return present < 0 ? -1 : 0;
        }
    }
    char etag[48];
    if (compute_etag(self, etag) < 0) {
        return -1;
    }
    bool conditional = request_may_be_conditional(request);
    if (self->headers == NULL && !conditional) {
        memcpy(self->etag, etag, sizeof(etag));
        return 0;
    }
    if (put_latin1_header(self, TEXT(state, etag), etag, strlen(etag)) < 0) {
        return -1;
    }
    if (!conditional) {
        return 0;
    }
    PyObject *result = handler_call_tornado(self, NAME(state, check_etag_header), NULL, 0, NULL);
    int matches = result ? PyObject_IsTrue(result) : -1;
    Py_XDECREF(result);
    if (matches > 0) {
        Py_CLEAR(self->buffer);
        handler_set_status(self, 304);
    }
    return matches < 0 ? -1 : 0;
}

static int clear_representation(HandlerObject *self)
{
    struct native_state *state = self->state;
    PyObject *names[] = {TEXT(state, content_encoding), TEXT(state, content_language), TEXT(state, content_type)};
    if (handler_headers(self) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int present = has_header(self, names[i]);
        if (present < 0 || (present && PyObject_DelItem(self->headers, names[i]) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int settle_length(HandlerObject *self)
{
    struct native_state *state = self->state;
    if (!td_response_has_body((int)self->status_code)) {
        /* An empty string that was written counts as well. */
        if (self->buffer != NULL && (!PyList_CheckExact(self->buffer) || PyList_GET_SIZE(self->buffer) > 0)) {
            PyErr_Format(PyExc_RuntimeError, "Cannot send body with status code HTTP%ld", self->status_code);
            return -1;
        }
        return clear_representation(self);
    }
    if (self->headers != NULL) {
        int present = has_header(self, TEXT(state, content_length));
        if (present != 0) {
            return present < 0 ? -1 : 0;
        }
    }
    int64_t size = buffer_size(self);
    if (size < 0) {
        return -1;
    }
    if (self->headers == NULL) {
        self->content_length = size;
        return 0;
    }
    char number[24];
    return put_latin1_header(self, TEXT(state, content_length), number,
                             (size_t)(td_format_decimal(number, (uint64_t)size) - number));
}

static int call_hook(HandlerObject *self, PyObject *name)
{
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, name);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* What finish() does once the output is on its way. */
static int after_output(HandlerObject *self, uint64_t mask)
{
    struct native_state *state = self->state;
    if ((mask & HOOK(_log) ? call_hook(self, NAME(state, _log)) : access_log_request(self, mask)) < 0) {
        return -1;
    }
    self->finished = true;
    /* Instance attributes may have been set meanwhile. */
    mask |= guard_dict_mask(state, GUARD_HANDLER, self->dict);
    if ((mask & HOOK(on_finish)) && call_hook(self, NAME(state, on_finish)) < 0) {
        return -1;
    }
    if (mask & HOOK(_break_cycles)) {
        return call_hook(self, NAME(state, _break_cycles));
    }
    Py_XSETREF(self->ui, Py_NewRef(Py_None));
    return 0;
}

/* flush(include_footers=True) and connection.finish(). The future of the flush, or None if it is not wanted. */
static PyObject *finish_output(HandlerObject *self, RequestObject *request, uint64_t mask, bool want_future)
{
    struct native_state *state = self->state;
    ServerConnectionObject *connection = request->transport;
    PyObject *future = NULL;
    if (request_is_live(request)) {
        Py_CLEAR(connection->close_callback);
        Py_CLEAR(connection->handler);
    }
    if (mask & HOOK(flush) || flush_target(self, mask) == NULL) {
        PyObject *args[] = {(PyObject *)self, Py_True};
        PyObject *kwnames = Py_BuildValue("(s)", "include_footers");
        if (kwnames != NULL) {
            /* A pristine answer's Etag and Content-Length are headers like others from here on. */
            future = handler_headers(self)
                         ? PyObject_VectorcallMethod(NAME(state, flush), args, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, kwnames)
                         : NULL;
            Py_DECREF(kwnames);
        }
        if (future == NULL) {
            return NULL;
        }
    }
    else if (put_output(self, request) < 0) {
        return NULL;
    }
    if (future == NULL) {
        /* Before the answer ends, because that may close the connection. */
        future = want_future ? conn_write_future(connection) : Py_NewRef(Py_None);
    }
    /* Hooks may have ended the exchange, and even begun the next one. */
    if (future != NULL && request_is_live(request) && conn_finish_answer(connection) < 0) {
        Py_CLEAR(future);
    }
    return future;
}

PyObject *handler_finish(HandlerObject *self, PyObject *chunk, bool want_future)
{
    struct native_state *state = self->state;
    uint64_t mask = handler_mask(self);
    if (self->finished || handler_connection(self) == NULL || (mask & FINISH_HOOKS)) {
        return handler_call_tornado(self, NAME(state, finish), &chunk, chunk ? 1 : 0, NULL);
    }
    /* Any call into Python may replace self.request: it is held here. */
    RequestObject *request = (RequestObject *)Py_NewRef(self->request);
    PyObject *future = NULL;
    if (chunk != NULL && chunk != Py_None) {
        int status;
        if (mask & HOOK(write)) {
            PyObject *result = PyObject_CallMethodOneArg((PyObject *)self, NAME(state, write), chunk);
            status = result == NULL ? -1 : 0;
            Py_XDECREF(result);
        }
        else {
            status = handler_write(self, chunk);
        }
        if (status < 0) {
            goto done;
        }
    }
    if (!self->headers_written && (settle_etag(self, request) < 0 || settle_length(self) < 0)) {
        goto done;
    }
    future = finish_output(self, request, mask, want_future);
    if (future != NULL && after_output(self, mask) < 0) {
        Py_CLEAR(future);
    }
done:
    Py_DECREF(request);
    return future;
}

static PyObject *method_finish(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count > 1 || kwnames != NULL || IS_PATCHED(self, finish)) {
        return handler_call_tornado(self, NAME(self->state, finish), args, count, kwnames);
    }
    return handler_finish(self, count ? args[0] : NULL, true);
}

static PyObject *method_clear(HandlerObject *self, PyObject *Py_UNUSED(ignored))
{
    if (IS_PATCHED(self, clear)) {
        return handler_call_tornado(self, NAME(self->state, clear), NULL, 0, NULL);
    }
    return handler_clear_response(self, handler_mask(self)) < 0 ? NULL : Py_NewRef(Py_None);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL | METH_KEYWORDS

PyMethodDef handler_output_methods[] = {
    {"clear", (PyCFunction)method_clear, METH_NOARGS, "clear($self)\n--\n\nReset all headers and content of this response."},
    {"set_status", FAST(method_set_status), "set_status($self, status_code, reason=None)\n--\n\nSet the status code."},
    {"get_status", (PyCFunction)method_get_status, METH_NOARGS, "get_status($self)\n--\n\nThe status code."},
    {"set_header", FAST(method_set_header), "set_header($self, name, value)\n--\n\nSet a response header."},
    {"write", FAST(method_write), "write($self, chunk)\n--\n\nAppend str, bytes or a dict (as JSON) to the output."},
    {"flush", FAST(method_flush), "flush($self, include_footers=False)\n--\n\nSend what was written; a Future for it."},
    {"finish", FAST(method_finish), "finish($self, chunk=None)\n--\n\nEnd the response; a Future for the flushed data."},
    {NULL, NULL, 0, NULL},
};
