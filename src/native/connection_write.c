/* See connection.h: output. */
#include "connection.h"

#include <errno.h>

#include "convert.h"
#include "errors.h"

#include "core/alloc.h"
#include "core/clock.h"
#include "core/http_response.h"
#include "core/sockio.h"

int conn_fail_future(struct native_state *state, PyObject *future)
{
    PyObject *error = PyObject_CallNoArgs(BOUND(state, StreamClosedError));
    PyObject *result = error ? PyObject_CallMethodOneArg(future, NAME(state, set_exception), error) : NULL;
    Py_XDECREF(error);
    if (result != NULL) {
        /* Mark it retrieved: nobody has to wait for a write. */
        Py_SETREF(result, PyObject_CallMethodNoArgs(future, NAME(state, exception)));
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static void resolve(ServerConnectionObject *self, PyObject *future)
{
    struct native_state *state = self->state;
    PyObject *done = PyObject_CallMethodNoArgs(future, NAME(state, done));
    if (done == Py_False) {
        if (self->phase == CONN_CLOSED) {
            (void)conn_fail_future(state, future); /* reported below */
        }
        else {
            Py_XDECREF(PyObject_CallMethodOneArg(future, NAME(state, set_result), Py_None));
        }
    }
    Py_XDECREF(done);
    if (PyErr_Occurred()) {
        errors_unraisable(self->state, future);
    }
}

void conn_wake_waiters(ServerConnectionObject *self)
{
    while (self->waiters != NULL) {
        struct conn_waiter *waiter = self->waiters;
        if (self->phase != CONN_CLOSED && waiter->until > self->out.written - self->out.size) {
            return;
        }
        self->waiters = waiter->next;
        if (self->waiters == NULL) {
            self->waiters_end = &self->waiters;
        }
        PyObject *future = waiter->future;
        td_free(waiter);
        resolve(self, future);
        Py_DECREF(future);
    }
}

PyObject *conn_write_future(ServerConnectionObject *self)
{
    PyObject *future = engine_make_future(self->state, self->engine);
    if (future == NULL) {
        return NULL;
    }
    if (self->phase == CONN_CLOSED || self->out.size == 0) {
        resolve(self, future);
        return future;
    }
    struct conn_waiter *waiter = td_malloc(sizeof(*waiter));
    if (waiter == NULL) {
        Py_DECREF(future);
        return PyErr_NoMemory();
    }
    *waiter = (struct conn_waiter){.until = self->out.written, .future = Py_NewRef(future)};
    *self->waiters_end = waiter;
    self->waiters_end = &waiter->next;
    return future;
}

/* Tornado names the socket object, which is made for the purpose. */
static void log_write_error(ServerConnectionObject *self, int error)
{
    PyObject *exception = errors_os(error);
    PyObject *stream = conn_stream(self);
    PyObject *socket = stream ? PyObject_GetAttrString(stream, "socket") : NULL;
    if (socket == NULL) {
        /* A socket object takes a descriptor, and there may be none left. */
        if (errors_is_exit()) {
            errors_unraisable(self->state, (PyObject *)self);
        }
        PyErr_Clear();
        socket = PyLong_FromLong(self->fd);
    }
    errors_log(self->state, BOUND(self->state, gen_log), NAME(self->state, warning), "Write error on %s: %s",
               Py_BuildValue("(NN)", socket, exception));
}

void conn_flush(ServerConnectionObject *self)
{
    if (self->phase == CONN_CLOSED || self->out.size == 0) {
        return;
    }
    Py_INCREF(self);
    enum td_status status = self->tls == NULL ? td_sock_send(self->fd, &self->out) : conn_tls_send(self, false);
    if (status == TD_SYS || status == TD_EOF) {
        int error = errno;
        if (status == TD_SYS && !td_errno_is_connreset(error)) {
            log_write_error(self, error);
        }
        conn_close_soon(self);
        Py_DECREF(self);
        return;
    }
    if (self->waiters != NULL) {
        conn_wake_waiters(self);
    }
    if (self->phase == CONN_LINGER && self->out.size == 0 && self->linger_bytes == 0) {
        conn_close_gracefully(self);
    }
    Py_DECREF(self);
}

void conn_start_answer(ServerConnectionObject *self, int code, int64_t length)
{
    self->head_written = true;
    self->chunking = td_response_is_chunked(self->version_1_1 ? 1 : 0, self->head_method, code, length >= 0);
    self->expected = self->head_method || code == 304 ? 0 : length;
}

static void release_object(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

int conn_check_chunk(ServerConnectionObject *self, PyObject *bytes)
{
    if (self->expected < 0 || PyBytes_GET_SIZE(bytes) <= self->expected) {
        return 0;
    }
    /* Close the connection before the client takes the surplus for the next answer. */
    conn_flush(self);
    conn_close_soon(self);
    PyErr_SetString(BOUND(self->state, HTTPOutputError), "Tried to write more data than Content-Length");
    return -1;
}

int conn_put_chunk(ServerConnectionObject *self, PyObject *bytes)
{
    struct td_span chunk = convert_bytes_span(bytes);
    if (conn_check_chunk(self, bytes) < 0) {
        return -1;
    }
    if (self->expected >= 0) {
        self->expected -= (int64_t)chunk.len;
    }
    if (chunk.len == 0 || self->phase == CONN_CLOSED) {
        return 0;
    }
    enum td_status status = TD_OK;
    if (self->chunking) {
        status = td_response_chunk_size(&self->out, chunk.len);
    }
    if (status == TD_OK) {
        if (chunk.len <= TD_OUTBUF_COPY_MAX) {
            status = td_outbuf_append(&self->out, chunk.data, chunk.len);
        }
        else {
            status = td_outbuf_append_held(&self->out, chunk.data, chunk.len, bytes, release_object);
            if (status == TD_OK) {
                Py_INCREF(bytes);
            }
        }
    }
    if (status == TD_OK && self->chunking) {
        status = td_outbuf_append(&self->out, "\r\n", 2);
    }
    if (status != TD_OK) {
        conn_close_soon(self);
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Both directions are complete. */
static void end_exchange(ServerConnectionObject *self)
{
    self->phase = CONN_ANSWERED;
    self->expected = -1;
    uint64_t deadline = td_clock_after(engine_now(self->engine), self->server->header_timeout);
    if (self->server->header_timeout >= 0 && conn_set_deadline(self, deadline) < 0) {
        PyErr_Clear();
    }
    if (!self->pumping && (self->in.len > 0 || self->readable)) {
        engine_schedule(self->engine, &self->source);
    }
}

int conn_finish_answer(ServerConnectionObject *self)
{
    if (self->write_finished) {
        return 0;
    }
    if (self->expected > 0 && self->phase != CONN_CLOSED) {
        conn_flush(self);
        conn_close_soon(self);
        PyErr_Format(BOUND(self->state, HTTPOutputError), "Tried to write %lld bytes less than Content-Length",
                     (long long)self->expected);
        return -1;
    }
    if (self->chunking && self->phase != CONN_CLOSED && td_outbuf_append(&self->out, "0\r\n\r\n", 5) != TD_OK) {
        conn_close_soon(self);
        PyErr_NoMemory();
        return -1;
    }
    self->write_finished = true;
    if (self->phase == CONN_CLOSED) {
        return 0;
    }
    /* More requests are here already: their answers leave with this one. */
    if (!(self->pumping && self->in.len > 0 && self->read_finished && self->keep_alive) || self->out.size >= CONN_GATHER_MAX) {
        conn_flush(self);
    }
    if (self->phase == CONN_CLOSED) {
        return 0;
    }
    if (!self->read_finished || !self->keep_alive) {
        /* The rest of an unread body is not worth reading, and nothing behind a closing request may be served. */
        conn_close_gracefully(self);
        return 0;
    }
    end_exchange(self);
    return 0;
}
