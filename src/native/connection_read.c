/* See connection.h: input of the fast path, and the turn that drives a connection. */
#include "connection.h"

#include <errno.h>

#include "application.h"
#include "connection_delegate.h"
#include "convert.h"
#include "errors.h"
#include "exchange.h"
#include "handler.h"
#include "headers.h"
#include "request.h"

#include "core/clock.h"
#include "core/http_rules.h"
#include "core/sockio.h"

#define LINGER_BYTES (1 << 20)    /* discarded at most after an answer that closes */
#define TURN_BYTES (256 * 1024)   /* received from one connection before others have their turn */
#define TURN_EXCHANGE 1024        /* what one exchange counts for, so that pipelining has the same limit */
#define BREATHS 3                 /* iterations of the loop that lie between pipelined requests in Tornado */
#define BODY_FIRST_ROOM (1 << 20) /* bytes allocated on a mere Content-Length */

/* What a step of the turn leaves to do. */
enum step {
    STEP_MORE, /* go on */
    STEP_WAIT, /* nothing to do until something happens */
    STEP_EXIT  /* an exception is pending that must leave the loop */
};

/* -- input -- */

/* Receives once. TD_OK: scratch[0..*count); the edge is spent when the kernel gave less than was asked. */
static enum td_status receive_plain(ServerConnectionObject *self, size_t *count)
{
    enum td_status status = td_sock_recv(self->fd, self->engine->scratch, ENGINE_SCRATCH, count);
    if (status == TD_OK) {
        self->readable = *count == ENGINE_SCRATCH || self->peer_ended;
    }
    else {
        self->readable = false;
    }
    return status;
}

static inline enum td_status receive(ServerConnectionObject *self, size_t *count)
{
    return self->tls == NULL ? receive_plain(self, count) : conn_tls_receive(self, count);
}

bool conn_next_input(ServerConnectionObject *self, struct td_span *input, bool *in_scratch)
{
    if (self->in.len > 0 && !self->need_more) {
        *in_scratch = false;
        *input = td_span_of(td_inbuf_data(&self->in), self->in.len);
        return true;
    }
    if (self->readable && self->turn_bytes >= TURN_BYTES) {
        engine_schedule(self->engine, &self->source);
        return false;
    }
    return conn_more_input(self, input, in_scratch);
}

bool conn_more_input(ServerConnectionObject *self, struct td_span *input, bool *in_scratch)
{
    size_t count = 0;
    if (!self->readable) {
        return false;
    }
    enum td_status status = receive(self, &count);
    if (status == TD_AGAIN) {
        return false;
    }
    self->turn_bytes += count;
    if (status != TD_OK) {
        if (status == TD_SYS && !td_errno_is_connreset(errno)) {
            errors_log(self->state, BOUND(self->state, gen_log), NAME(self->state, warning), "error on read: %s",
                       Py_BuildValue("(N)", errors_os(errno)));
        }
        conn_close(self);
        return false;
    }
    *in_scratch = self->in.len == 0;
    if (*in_scratch) {
        self->ahead = 0;
        *input = td_span_of(self->engine->scratch, count);
        return true;
    }
    if (td_inbuf_append(&self->in, self->engine->scratch, count) != TD_OK) {
        conn_close(self);
        return false;
    }
    *input = td_span_of(td_inbuf_data(&self->in), self->in.len);
    return true;
}

bool conn_settle_input(ServerConnectionObject *self, struct td_span input, bool in_scratch, size_t consumed)
{
    self->need_more = false;
    if (!in_scratch) {
        td_inbuf_consume(&self->in, consumed);
        return true;
    }
    if (td_inbuf_append(&self->in, input.data + consumed, input.len - consumed) != TD_OK) {
        conn_close(self);
        return false;
    }
    return true;
}

/* What Tornado's stream would have behind a head of that length, of the input that has come: it receives chunk_size bytes at once
 * and looks for the head's end whenever it has twice as many as the last time. */
static void count_behind_head(ServerConnectionObject *self, size_t head, size_t come)
{
    size_t received = self->ahead;
    size_t next_look = 0;
    while (received < come && (received < head || next_look > 0)) {
        received += self->server->chunk_size;
        if (received >= self->server->max_header_size || (received >= next_look && received >= head)) {
            break;
        }
        if (received >= next_look) {
            next_look = 2 * received;
        }
    }
    received = received < come ? received : come;
    self->ahead = received > head ? received - head : 0;
}

void conn_count_ahead(ServerConnectionObject *self, size_t consumed)
{
    if (consumed <= self->ahead) {
        self->ahead -= consumed;
        return;
    }
    size_t last = (consumed - self->ahead) % self->server->chunk_size;
    self->ahead = last == 0 ? 0 : self->server->chunk_size - last;
    if (self->ahead > self->in.len) {
        self->ahead = self->in.len;
    }
}

/* -- refusing -- */

static const char BAD_REQUEST[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
static const char HEAD_TOO_LARGE[] = "HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n";

static void refuse(ServerConnectionObject *self, const char *answer)
{
    if (self->phase == CONN_CLOSED) {
        return;
    }
    self->keep_alive = false;
    self->read_finished = false;
    self->body.framing = TD_FRAMING_NONE;
    if (td_outbuf_append(&self->out, answer, strlen(answer)) != TD_OK) {
        conn_close(self);
        return;
    }
    conn_flush(self);
    conn_close_gracefully(self);
}

/* Logs the HTTPInputError that is pending, and clears it. */
static void log_malformed(ServerConnectionObject *self)
{
    PyObject *exception = errors_take();
    PyObject *context = conn_context(self);
    errors_log(self->state, BOUND(self->state, gen_log), NAME(self->state, info), "Malformed HTTP message from %s: %s",
               context ? PyTuple_Pack(2, context, exception) : NULL);
    Py_XDECREF(exception);
}

void conn_log_fault(ServerConnectionObject *self, const struct td_verdict *why)
{
    errors_set_fault(self->state, why, self->head);
    log_malformed(self);
}

void conn_refuse_pending(ServerConnectionObject *self)
{
    log_malformed(self);
    refuse(self, BAD_REQUEST);
}

void conn_refuse(ServerConnectionObject *self, const struct td_verdict *why)
{
    if (why->fault == TD_FAULT_HEAD_TOO_LARGE) {
        errors_log(self->state, BOUND(self->state, gen_log), NAME(self->state, info),
                   "Unsatisfiable read, closing connection: delimiter re.compile(b'\\r?\\n\\r?\\n') not found within %d bytes",
                   Py_BuildValue("(n)", (Py_ssize_t)self->server->max_header_size));
        refuse(self, HEAD_TOO_LARGE);
        return;
    }
    conn_log_fault(self, why);
    refuse(self, why->fault == TD_FAULT_TOO_MANY_FIELDS ? HEAD_TOO_LARGE : BAD_REQUEST);
}

/* -- the exchange -- */

enum td_fault conn_rest_fault(ServerConnectionObject *self)
{
    if (self->body.framing != TD_FRAMING_CHUNKED) {
        return TD_FAULT_NONE;
    }
    /* Its stream closes, but gives what it has received. */
    const char *data = td_inbuf_data(&self->in);
    size_t len = self->ahead < self->in.len ? self->ahead : self->in.len;
    size_t at = 0, count = 0;
    struct td_span piece;
    struct td_verdict why;
    enum td_status status;
    do {
        status = td_body_next(&self->body, data + at, len - at, &count, &piece, &why);
        at += count;
    } while (status == TD_OK);
    return status == TD_PARTIAL || status == TD_EOF ? TD_FAULT_NONE : why.fault;
}

void conn_next_exchange(ServerConnectionObject *self)
{
    conn_clear_exchange(self);
    if (self->phase == CONN_CLOSED) {
        /* By a destructor. */
        return;
    }
    self->sequence++;
    self->phase = CONN_HEAD;
    self->scan = (struct td_head_scan){0};
    self->need_more = false;
    self->head_written = false;
    self->chunking = false;
    self->read_finished = false;
    self->write_finished = false;
    self->in_delegate = false;
    self->paused = false;
    self->body_ended = false;
    self->body.framing = TD_FRAMING_NONE;
    self->answer_run = 0;
    self->breaths = 0;
    self->expected = -1;
}

int conn_start(ServerConnectionObject *self)
{
    if (self->server->header_timeout >= 0 &&
        conn_set_deadline(self, td_clock_after(engine_now(self->engine), self->server->header_timeout)) < 0) {
        return -1;
    }
    return server_wants_delegate(self->server) ? conn_start_delegate(self) : 0;
}

int conn_request_failed(ServerConnectionObject *self)
{
    Py_CLEAR(self->handler);
    Py_CLEAR(self->close_callback);
    if (PyErr_ExceptionMatches(BOUND(self->state, HTTPInputError))) {
        if (self->phase == CONN_CLOSED) {
            PyErr_Clear();
            return 0;
        }
        conn_refuse_pending(self);
        return 0;
    }
    if (errors_log_uncaught(self->state, BOUND(self->state, app_log), "Uncaught exception") < 0) {
        conn_close(self);
        return -1;
    }
    /* As in Tornado, the socket is open yet. */
    conn_tell_delegate(self);
    conn_close(self);
    return 0;
}

static enum step after_request_call(ServerConnectionObject *self, int status)
{
    if (status < 0 && conn_request_failed(self) < 0) {
        return STEP_EXIT;
    }
    return STEP_MORE;
}

static enum step read_head(ServerConnectionObject *self)
{
    struct td_span input;
    bool in_scratch;
    if (!conn_next_input(self, &input, &in_scratch)) {
        return STEP_WAIT;
    }
    size_t consumed = 0;
    struct td_verdict why;
    enum td_status status =
        td_http_parse_head(input.data, input.len, self->server->max_header_size, &self->scan, &consumed, &self->head, &why);
    switch (status) {
    case TD_OK:
        if (consumed < input.len) {
            count_behind_head(self, consumed, input.len);
        }
        if (!conn_settle_input(self, input, in_scratch, consumed)) {
            return STEP_WAIT;
        }
        if (self->exchange != NULL) {
            exchange_set_head(self->exchange, self->head);
        }
        return after_request_call(self, conn_begin_request(self));
    case TD_PARTIAL:
        if (in_scratch && !conn_settle_input(self, input, in_scratch, 0)) {
            return STEP_WAIT;
        }
        self->need_more = true;
        self->ahead = input.len;
        return self->readable ? STEP_MORE : STEP_WAIT;
    case TD_NOMEM:
        conn_close(self);
        return STEP_WAIT;
    default:
        conn_refuse(self, &why);
        return STEP_MORE;
    }
}

/* -- the fast path's body -- */

/* Room for `more` bytes of body: all of it if Content-Length says so and it is not too much to take on trust. */
static int reserve_body(ServerConnectionObject *self, size_t more)
{
    Py_ssize_t need = self->body_len + (Py_ssize_t)more;
    if (self->body_bytes == NULL) {
        uint64_t expected = self->body.framing == TD_FRAMING_LENGTH ? self->body.remaining + more : more;
        Py_ssize_t room = expected < BODY_FIRST_ROOM ? (Py_ssize_t)expected : BODY_FIRST_ROOM;
        self->body_bytes = PyBytes_FromStringAndSize(NULL, room > need ? room : need);
        return self->body_bytes == NULL ? -1 : 0;
    }
    Py_ssize_t room = PyBytes_GET_SIZE(self->body_bytes);
    if (need <= room) {
        return 0;
    }
    room = room > need / 2 ? room * 2 : need;
    return _PyBytes_Resize(&self->body_bytes, room);
}

static int gather(ServerConnectionObject *self, struct td_span piece)
{
    if (reserve_body(self, piece.len) < 0) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(self->body_bytes) + self->body_len, piece.data, piece.len);
    self->body_len += (Py_ssize_t)piece.len;
    return 0;
}

/* The request is complete: the handler runs, or the function. */
static enum step dispatch(ServerConnectionObject *self)
{
    self->read_finished = true;
    self->phase = CONN_ANSWER;
    self->deadline = TD_NEVER;
    if (self->body_bytes != NULL) {
        if (PyBytes_GET_SIZE(self->body_bytes) != self->body_len && _PyBytes_Resize(&self->body_bytes, self->body_len) < 0) {
            return after_request_call(self, -1);
        }
        Py_XSETREF(self->request->slots[REQUEST_body], self->body_bytes);
        self->body_bytes = NULL;
    }
    /* As in Tornado, the connection's context has its own values again when the handler runs; the request keeps the proxy's. */
    conn_unapply_xheaders(self);
    int status = self->application != NULL ? handler_run(self) : conn_call_function(self);
    return status < 0 ? STEP_EXIT : STEP_MORE;
}

static enum step read_body(ServerConnectionObject *self)
{
    struct td_span input = td_span_of("", 0);
    bool in_scratch = false;
    bool none = self->body.framing == TD_FRAMING_NONE;
    if (!none && !conn_next_input(self, &input, &in_scratch)) {
        return STEP_WAIT;
    }
    size_t consumed = 0;
    for (;;) {
        size_t count = 0;
        struct td_span piece;
        struct td_verdict why;
        enum td_status status = td_body_next(&self->body, input.data + consumed, input.len - consumed, &count, &piece, &why);
        consumed += count;
        if (status == TD_OK) {
            if (gather(self, piece) == 0) {
                continue;
            }
            PyErr_Clear();
            conn_close(self);
            return STEP_WAIT;
        }
        if (status == TD_PARTIAL) {
            return conn_settle_input(self, input, in_scratch, consumed) ? STEP_MORE : STEP_WAIT;
        }
        if (status == TD_EOF) {
            if (!conn_settle_input(self, input, in_scratch, consumed)) {
                return STEP_WAIT;
            }
            if (self->in.len > 0) {
                conn_count_ahead(self, consumed);
            }
            return dispatch(self);
        }
        conn_refuse(self, &why);
        return STEP_MORE;
    }
}

/* -- the turn -- */

/* While the answer is made, only the client's leaving is of interest; and it is seen behind unread input only later. */
static enum step watch_peer(ServerConnectionObject *self)
{
    size_t count = 0;
    if (!self->readable || self->in.len > 0) {
        return STEP_WAIT;
    }
    if (self->answer_run == 0) {
        /* As with Tornado's close callback, a handler's task has its first step before the loop tells of an end of file. If
         * the request was completed by a callback of the loop, that step comes behind the engine's next run. */
        self->answer_run = self->engine->runs + (self->engine->now != 0 ? 0 : 1);
    }
    if ((int32_t)(self->engine->runs - self->answer_run) <= 0) {
        engine_schedule(self->engine, &self->source);
        return STEP_WAIT;
    }
    enum td_status status = receive(self, &count);
    if (status == TD_OK) {
        if (td_inbuf_append(&self->in, self->engine->scratch, count) != TD_OK) {
            conn_close(self);
        }
    }
    else if (status != TD_AGAIN) {
        conn_close(self);
    }
    return STEP_WAIT;
}

static enum step linger(ServerConnectionObject *self)
{
    if (self->rest_fault != TD_FAULT_NONE) {
        const struct td_verdict why = {.fault = self->rest_fault};
        self->rest_fault = TD_FAULT_NONE;
        conn_log_fault(self, &why);
    }
    td_inbuf_clear(&self->in); /* which detach() can no longer give away: the handler has returned */
    conn_tell_delegate(self);
    if (self->phase != CONN_LINGER || self->out.size > 0) {
        return STEP_WAIT;
    }
    while (self->readable) {
        size_t count = 0;
        enum td_status status = receive_plain(self, &count); /* TLS is over: nobody looks at the records */
        if (status == TD_AGAIN) {
            break;
        }
        self->linger_bytes += count;
        if (status != TD_OK || self->linger_bytes > LINGER_BYTES) {
            conn_close(self);
            break;
        }
    }
    return STEP_WAIT;
}

static enum step next_step(ServerConnectionObject *self)
{
    switch ((enum conn_phase)self->phase) {
    case CONN_HEAD:
        return read_head(self);
    case CONN_BODY:
        if (self->delegate != NULL) {
            int more = conn_delegate_body(self);
            return more > 0 ? STEP_MORE : more == 0 ? STEP_WAIT : STEP_EXIT;
        }
        return read_body(self);
    case CONN_ANSWER:
        return watch_peer(self);
    case CONN_ANSWERED:
        if (self->out.size > 0 && (self->out.size >= CONN_GATHER_MAX || self->in.len == 0)) {
            /* A client that does not read gets no further answers. */
            conn_flush(self);
            if (self->out.size > 0) {
                return STEP_WAIT;
            }
        }
        if (self->breaths < BREATHS && (self->in.len > 0 || (self->readable && !self->peer_ended)) &&
            engine_has_callbacks(self->engine)) {
            /* What the handler has left for the loop to do, the next one finds done. */
            self->breaths++;
            engine_schedule(self->engine, &self->source);
            return STEP_WAIT;
        }
        self->turn_bytes += TURN_EXCHANGE;
        if (self->turn_bytes >= TURN_BYTES && self->in.len > 0) {
            conn_flush(self);
            engine_schedule(self->engine, &self->source);
            return STEP_WAIT;
        }
        bool general = self->delegate != NULL;
        conn_next_exchange(self);
        if (general && self->phase == CONN_HEAD && server_wants_delegate(self->server) && conn_start_delegate(self) < 0) {
            return after_request_call(self, -1);
        }
        return STEP_MORE;
    case CONN_LINGER:
        return linger(self);
    case CONN_CLOSED:
        break;
    }
    conn_notify_closed(self);
    return STEP_WAIT;
}

int conn_pump(ServerConnectionObject *self)
{
    if (self->pumping) {
        return 0;
    }
    Py_INCREF(self);
    self->pumping = true;
    self->turn_bytes = 0;
    enum step step = STEP_MORE;
    while (step == STEP_MORE && !self->paused) {
        step = next_step(self);
    }
    self->pumping = false;
    PyObject *exception = step == STEP_EXIT ? errors_take() : NULL;
    if (self->phase == CONN_CLOSED) {
        conn_notify_closed(self);
    }
    else if (self->out.size > 0) {
        /* Answers that were gathered for the sake of pipelined requests that did not come (yet). */
        conn_flush(self);
        if (self->phase == CONN_CLOSED) {
            conn_notify_closed(self);
        }
    }
    Py_DECREF(self);
    errors_give(exception);
    return step == STEP_EXIT ? -1 : 0;
}

static int on_event(PyObject *owner, uint32_t events)
{
    ServerConnectionObject *self = (ServerConnectionObject *)owner;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        self->readable = true;
        self->peer_ended |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    Py_INCREF(self);
    if (self->tls != NULL) {
        conn_tls_event(self, events);
    }
    if ((events & EPOLLOUT) && self->out.size > 0) {
        conn_flush(self);
    }
    int status = 0;
    if (self->readable || self->in.len > 0 || self->phase == CONN_CLOSED) {
        status = conn_pump(self);
    }
    Py_DECREF(self);
    return status;
}

static int on_turn(PyObject *owner)
{
    return conn_pump((ServerConnectionObject *)owner);
}

static void on_close(PyObject *owner)
{
    conn_close((ServerConnectionObject *)owner);
}

const struct engine_kind conn_engine_kind = {.on_event = on_event, .on_turn = on_turn, .on_close = on_close};
