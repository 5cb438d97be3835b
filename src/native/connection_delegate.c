/* See connection_delegate.h. */
#include "connection_delegate.h"

#include "errors.h"
#include "exchange.h"
#include "headers.h"
#include "request.h"

#include "core/clock.h"
#include "core/http_rules.h"

/* -- calls in the exchange's context -- */

/* The Task that Tornado serves a connection in is the current one for delegates, and agents tell connections apart by it. Here
 * it only waits for the connection's end, and is there where the program has hooks that such an agent may stand behind. 0 or -1.
 */
static int start_task(ServerConnectionObject *self)
{
    if (self->run_task != NULL) {
        return 0;
    }
    return native_fill(&self->run_task, PyObject_CallNoArgs(BOUND(self->state, delegate_task))) == NULL ? -1 : 0;
}

void conn_end_task(ServerConnectionObject *self)
{
    PyObject *task = self->run_task;
    self->run_task = NULL;
    if (task != NULL) {
        PyObject *result = PyObject_CallMethod(task, "cancel", NULL);
        if (result == NULL) {
            PyErr_Clear(); /* the loop is closed: nobody waits for the task */
        }
        Py_XDECREF(result);
        Py_DECREF(task);
    }
}

/* object.method(*args) with the connection's task, if it has one, as the current one. New reference or NULL. */
static PyObject *call_in_task(ServerConnectionObject *self, PyObject *method, PyObject **args, size_t count)
{
    PyObject *task = Py_XNewRef(self->run_task);
    if (task == NULL) {
        return PyObject_VectorcallMethod(method, args, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    PyObject *previous = PyObject_CallOneArg(BOUND(self->state, enter_task), task);
    PyObject *result = NULL;
    if (previous != NULL) {
        result = PyObject_VectorcallMethod(method, args, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        PyObject *exception = errors_take();
        PyObject *left = PyObject_CallFunctionObjArgs(BOUND(self->state, leave_task), task, previous, NULL);
        if (left == NULL) {
            errors_unraisable(self->state, task);
        }
        Py_XDECREF(left);
        errors_give(exception);
    }
    Py_XDECREF(previous);
    Py_DECREF(task);
    return result;
}

/* delegate.method(*args) in the exchange's context. New reference or NULL. */
static PyObject *call_in_context(ServerConnectionObject *self, PyObject *object, PyObject *method, PyObject *first,
                                 PyObject *second)
{
    PyObject *context = Py_NewRef(self->run_context);
    PyObject *args[] = {object, first, second};
    size_t count = first == NULL ? 1 : second == NULL ? 2 : 3;
    PyObject *result = NULL;
    Py_INCREF(object);
    if (PyContext_Enter(context) == 0) {
        result = call_in_task(self, method, args, count);
        PyObject *exception = errors_take();
        if (PyContext_Exit(context) < 0) {
            errors_unraisable(self->state, context);
        }
        errors_give(exception);
    }
    Py_DECREF(object);
    Py_DECREF(context);
    return result;
}

static int new_context(ServerConnectionObject *self)
{
    if (self->server == NULL) {
        return 0;
    }
    PyObject *context = PyContext_Copy(self->server->context);
    if (context == NULL) {
        return -1;
    }
    Py_XSETREF(self->run_context, context);
    return 0;
}

/* With decompress_request, Tornado's own delegate stands between. Steals delegate. */
static int set_delegate(ServerConnectionObject *self, PyObject *delegate)
{
    if (delegate != NULL && self->phase == CONN_CLOSED) {
        /* Whoever made it has closed or detached the connection. */
        Py_DECREF(delegate);
        return 0;
    }
    if (delegate != NULL && self->server->decompress) {
        PyObject *wrapped =
            PyObject_CallFunction(BOUND(self->state, gzip_delegate), "OnK", delegate, (Py_ssize_t)self->server->chunk_size,
                                  (unsigned long long)self->server->max_body_size);
        Py_DECREF(delegate);
        delegate = wrapped;
    }
    if (delegate == NULL) {
        return -1;
    }
    Py_XSETREF(self->delegate, delegate);
    return 0;
}

int conn_start_delegate(ServerConnectionObject *self)
{
    ExchangeObject *exchange = exchange_current(self);
    if (exchange == NULL || new_context(self) < 0 || start_task(self) < 0) {
        return -1;
    }
    return set_delegate(self, call_in_context(self, (PyObject *)self->server, NAME(self->state, start_request), (PyObject *)self,
                                              (PyObject *)exchange));
}

int conn_take_route_delegate(ServerConnectionObject *self, ApplicationObject *application, struct route *route)
{
    PyObject *delegate = Py_XNewRef(route->delegate);
    if (new_context(self) < 0) {
        Py_XDECREF(delegate);
        return -1;
    }
    if (delegate == NULL) {
        PyObject *none = Py_None;
        PyObject *args[] = {(PyObject *)application,
                            (PyObject *)self->request,
                            route->handler_class,
                            route->handler_kwargs ? route->handler_kwargs : none,
                            route->path_args ? route->path_args : none,
                            route->path_kwargs ? route->path_kwargs : none};
        delegate =
            PyObject_VectorcallMethod(NAME(self->state, get_handler_delegate), args, 6 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    return set_delegate(self, delegate);
}

/* -- waiting -- */

/* Waits for what a delegate's method returned, which runs in that context. 1: it was done already, go on; 0: paused; -1 with its
 * exception. Steals result. */
static int wait_for(ServerConnectionObject *self, PyObject *result, PyObject *context)
{
    if (result == NULL) {
        return -1;
    }
    if (result == Py_None) {
        Py_DECREF(result);
        return 1;
    }
    PyObject *future = PyObject_CallFunctionObjArgs(BOUND(self->state, run_delegate), result, (PyObject *)self, context, NULL);
    Py_DECREF(result);
    if (future == NULL) {
        return -1;
    }
    if (future == Py_None) {
        Py_DECREF(future);
        self->paused = true;
        return 0;
    }
    PyObject *value = PyObject_CallMethodNoArgs(future, NAME(self->state, result));
    Py_DECREF(future);
    Py_XDECREF(value);
    return value == NULL ? -1 : 1;
}

static PyObject *message_headers(ServerConnectionObject *self)
{
    if (self->request != NULL) {
        return Py_XNewRef(request_slot(self->request, REQUEST_headers));
    }
    ExchangeObject *exchange = exchange_current(self);
    return exchange ? PyObject_GetAttrString((PyObject *)exchange, "_request_headers") : NULL;
}

/* The answer came before the body, which nobody will read. As Tornado, which goes on to it, tells what is wrong with its framing.
 */
static void note_bad_framing(ServerConnectionObject *self)
{
    enum td_framing framing;
    uint64_t length;
    struct td_verdict why;
    if (self->head != NULL && td_rules_framing(self->head, self->max_body_size, &framing, &length, &why) != TD_OK) {
        conn_log_fault(self, &why);
    }
}

/* headers_received has returned: on to the body. */
static int headers_done(ServerConnectionObject *self)
{
    self->headers_pending = false;
    if (self->phase == CONN_LINGER) {
        note_bad_framing(self);
    }
    if (self->phase != CONN_HEAD) {
        return 0;
    }
    if (conn_send_continue(self) < 0) {
        return -1;
    }
    if (self->phase != CONN_HEAD) {
        return 0;
    }
    PyObject *headers = message_headers(self);
    if (headers == NULL) {
        return -1;
    }
    int status = conn_begin_body(self, headers);
    Py_DECREF(headers);
    return status;
}

int conn_delegate_headers(ServerConnectionObject *self)
{
    PyObject *start_line = request_start_line(self->state, self->head);
    PyObject *headers = start_line ? message_headers(self) : NULL;
    int status = -1;
    COUNTED(self->state, delegated);
    if (headers != NULL) {
        self->in_delegate = true;
        self->headers_pending = true;
        PyObject *context = Py_NewRef(self->run_context);
        status = wait_for(self, call_in_context(self, self->delegate, NAME(self->state, headers_received), start_line, headers),
                          context);
        Py_DECREF(context);
        if (status == 1) {
            status = headers_done(self);
        }
    }
    Py_XDECREF(start_line);
    Py_XDECREF(headers);
    return status;
}

int conn_resumed(ServerConnectionObject *self, PyObject *future)
{
    PyObject *value = PyObject_CallMethodNoArgs(future, NAME(self->state, result));
    if (self->phase == CONN_CLOSED || !self->paused) {
        if (value == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(value);
        return 0;
    }
    int status = 0;
    Py_INCREF(self);
    self->paused = false;
    if (value == NULL || (self->headers_pending && headers_done(self) < 0)) {
        status = conn_request_failed(self);
    }
    Py_XDECREF(value);
    if (status == 0) {
        status = conn_pump(self);
    }
    Py_DECREF(self);
    return status;
}

/* -- the body -- */

/* Moves body bytes from input to out, up to limit in all: small chunks are put together, since a client's chunking must not
 * decide how often Python is called. TD_OK: the limit is reached; else as td_body_next. */
static enum td_status gather(ServerConnectionObject *self, struct td_span input, size_t *consumed, char *out, size_t limit,
                             size_t *gathered, struct td_verdict *why)
{
    while (*gathered < limit) {
        size_t offered = input.len - *consumed < limit - *gathered ? input.len - *consumed : limit - *gathered;
        size_t count = 0;
        struct td_span piece;
        enum td_status status = td_body_next(&self->body, input.data + *consumed, offered, &count, &piece, why);
        *consumed += count;
        if (status == TD_OK) {
            memcpy(out + *gathered, piece.data, piece.len);
            *gathered += piece.len;
        }
        else if (status != TD_PARTIAL || *consumed == input.len) {
            return status;
        }
    }
    return TD_OK;
}

/* The next piece for data_received: bytes of at most chunk_size. *ended: the body is complete behind it. NULL without an
 * exception: *stop is set, because there is no input, the message was refused, or the client has gone. */
static PyObject *next_piece(ServerConnectionObject *self, bool *ended, bool *stop)
{
    struct td_span input = td_span_of("", 0);
    bool in_scratch = false;
    *ended = false;
    *stop = true;
    if (self->body.framing != TD_FRAMING_NONE && !conn_next_input(self, &input, &in_scratch)) {
        return NULL;
    }
    size_t limit = self->server->chunk_size;
    if (self->body.framing == TD_FRAMING_LENGTH && self->ahead > 0 && self->ahead < limit) {
        limit = self->ahead; /* Tornado does not receive more before it has passed this on */
    }
    size_t gathered = 0;
    enum td_status status;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(input.len < limit ? input.len : limit));
    for (;;) {
        size_t consumed = 0;
        struct td_verdict why;
        if (bytes == NULL) {
            *stop = false;
            return NULL;
        }
        status = gather(self, input, &consumed, PyBytes_AS_STRING(bytes), limit, &gathered, &why);
        if (status != TD_OK && status != TD_PARTIAL && status != TD_EOF) {
            Py_DECREF(bytes);
            conn_refuse(self, &why);
            return NULL;
        }
        if (!conn_settle_input(self, input, in_scratch, consumed)) {
            Py_DECREF(bytes);
            return NULL;
        }
        conn_count_ahead(self, consumed);
        /* Tornado passes chunks on that are less than chunk_size only when it would have to wait for more. */
        if (status != TD_PARTIAL || self->body.framing != TD_FRAMING_CHUNKED || !conn_more_input(self, &input, &in_scratch)) {
            break;
        }
        size_t room = gathered + input.len < limit ? gathered + input.len : limit;
        (void)_PyBytes_Resize(&bytes, (Py_ssize_t)room); /* sets bytes to NULL on failure */
    }
    if (self->phase == CONN_CLOSED) {
        Py_DECREF(bytes);
        return NULL;
    }
    /* The end of a body with a length needs no more input. */
    *ended = status == TD_EOF || (self->body.framing == TD_FRAMING_LENGTH && self->body.remaining == 0);
    *stop = false;
    (void)_PyBytes_Resize(&bytes, (Py_ssize_t)gathered);
    return bytes;
}

static int finish_message(ServerConnectionObject *self)
{
    self->read_finished = true;
    self->deadline = TD_NEVER;
    self->phase = CONN_ANSWER;
    if (self->write_finished) {
        return 0;
    }
    PyObject *result = call_in_context(self, self->delegate, NAME(self->state, finish), NULL, NULL);
    if (result == NULL) {
        /* The refusal, if it is one, names the client that the proxy tells of. */
        return -1;
    }
    Py_DECREF(result);
    conn_unapply_xheaders(self);
    self->in_delegate = false;
    return 0;
}

int conn_delegate_body(ServerConnectionObject *self)
{
    bool ended, stop;
    int status = 0;
    PyObject *piece = NULL;
    if (!self->body_ended) {
        piece = next_piece(self, &ended, &stop);
        if (stop) {
            return self->phase == CONN_BODY ? 0 : 1;
        }
        if (piece == NULL) {
            return conn_request_failed(self) < 0 ? -1 : 1;
        }
        self->body_ended = ended;
    }
    if (piece != NULL && PyBytes_GET_SIZE(piece) > 0 && !self->write_finished) {
        PyObject *context = Py_NewRef(self->run_context);
        status = wait_for(self, call_in_context(self, self->delegate, NAME(self->state, data_received), piece, NULL), context);
        Py_DECREF(context);
    }
    Py_XDECREF(piece);
    if (status >= 0 && self->phase == CONN_BODY && self->body_ended && !self->paused) {
        self->body_ended = false;
        status = finish_message(self);
    }
    if (status < 0 && conn_request_failed(self) < 0) {
        return -1;
    }
    return 1;
}

void conn_tell_delegate_object(ServerConnectionObject *self, PyObject *delegate)
{
    PyObject *result = call_in_context(self, delegate, NAME(self->state, on_connection_close), NULL, NULL);
    if (result == NULL) {
        /* Tornado lets this one through to the server's loop. */
        bool input = PyErr_ExceptionMatches(BOUND(self->state, HTTPInputError));
        PyObject *logger = input ? BOUND(self->state, gen_log) : BOUND(self->state, app_log);
        if (errors_log_uncaught(self->state, logger, "Uncaught exception") < 0) {
            errors_unraisable(self->state, delegate);
        }
    }
    Py_XDECREF(result);
}

void conn_tell_delegate(ServerConnectionObject *self)
{
    if (self->in_delegate && self->delegate != NULL) {
        self->in_delegate = false;
        conn_tell_delegate_object(self, self->delegate);
    }
}
