/* See transport.h: input. */
#include "transport.h"

#include <errno.h>

#include "errors.h"

#include "core/sockio.h"

/* What one protocol is given before others have their turn. */
#define TURN_BYTES (4 * ENGINE_BULK)
#define TURN_READS 16

static bool wants_input(const TransportObject *self)
{
    return self->reading && self->readable && self->conn_lost == 0 && self->protocol != NULL;
}

/* -- what a read leads to. 0; -1 with an exception, on to transport_run() -- */

static int end_of_input(TransportObject *self)
{
    self->readable = false;
    if (transport_debug(self, "received EOF") < 0) {
        return -1;
    }
    if (self->protocol == NULL) {
        return 0;
    }
    PyObject *keep_open = PyObject_CallMethodNoArgs(self->protocol, NAME(self->state, eof_received));
    int truth = keep_open ? PyObject_IsTrue(keep_open) : -1;
    Py_XDECREF(keep_open);
    if (truth < 0) {
        /* For an exception that leaves the loop: the protocol is told again. */
        self->readable = true;
        return transport_fatal(self, "Fatal error: protocol.eof_received() call failed.");
    }
    if (truth) {
        /* The protocol may still write, but there is nothing to read. */
        self->reading = false;
        return 0;
    }
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, close));
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int read_failed(TransportObject *self, enum td_status status)
{
    self->readable = false;
    if (status == TD_AGAIN) {
        return 0;
    }
    if (status == TD_EOF) {
        return end_of_input(self);
    }
    PyErr_SetFromErrno(PyExc_OSError);
    return transport_fatal(self, "Fatal read error on socket transport");
}

/* After a read: the bytes that it counts for. A short one has emptied the socket. The end behind it, if it was seen, is for the
 * next iteration of the loop, as with asyncio: who has just got data can still answer. */
static size_t count_read(TransportObject *self, size_t count, size_t asked)
{
    self->readable = count == asked || self->peer_ended;
    return count == asked ? count : TURN_BYTES;
}

/* One object of what the kernel has. */
static int read_bytes(TransportObject *self, size_t *taken)
{
    size_t count = 0;
    enum td_status status = td_sock_recv(self->fd, self->engine->scratch, ENGINE_BULK, &count);
    if (status != TD_OK) {
        return read_failed(self, status);
    }
    *taken += count_read(self, count, ENGINE_BULK);
    PyObject *data = PyBytes_FromStringAndSize(self->engine->scratch, (Py_ssize_t)count);
    if (data == NULL) {
        return transport_fatal(self, "Fatal read error on socket transport");
    }
    PyObject *result = PyObject_CallMethodOneArg(self->protocol, NAME(self->state, data_received), data);
    Py_DECREF(data);
    if (result == NULL) {
        return transport_fatal(self, "Fatal error: protocol.data_received() call failed.");
    }
    Py_DECREF(result);
    return 0;
}

/* The protocol's buffer. New reference, or NULL with an exception. */
static PyObject *get_buffer(TransportObject *self)
{
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *buffer = hint ? PyObject_CallMethodOneArg(self->protocol, NAME(self->state, get_buffer), hint) : NULL;
    Py_XDECREF(hint);
    Py_ssize_t len = buffer ? PyObject_Size(buffer) : -1;
    if (len == 0) {
        PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
    }
    if (len <= 0) {
        Py_CLEAR(buffer);
    }
    return buffer;
}

/* Straight into the protocol's buffer. */
static int read_into(TransportObject *self, size_t *taken)
{
    PyObject *buffer = get_buffer(self);
    if (buffer == NULL) {
        return transport_fatal(self, "Fatal error: protocol.get_buffer() call failed.");
    }
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) {
        Py_DECREF(buffer);
        return transport_fatal(self, "Fatal read error on socket transport");
    }
    if (self->sock == NULL) {
        /* The loop has run inside of get_buffer(). A protocol that has paused or closed there still gets this input. */
        PyBuffer_Release(&view);
        Py_DECREF(buffer);
        return 0;
    }
    size_t room = (size_t)view.len < ENGINE_BULK ? (size_t)view.len : ENGINE_BULK;
    size_t count = 0;
    enum td_status status = td_sock_recv(self->fd, view.buf, room, &count);
    int error = errno;
    PyBuffer_Release(&view);
    Py_DECREF(buffer);
    if (status != TD_OK) {
        errno = error;
        return read_failed(self, status);
    }
    *taken += count_read(self, count, room);
    PyObject *number = PyLong_FromSize_t(count);
    PyObject *result = NULL;
    if (number != NULL && self->protocol != NULL) {
        result = PyObject_CallMethodOneArg(self->protocol, NAME(self->state, buffer_updated), number);
    }
    else if (number != NULL) {
        result = Py_NewRef(Py_None);
    }
    Py_XDECREF(number);
    if (result == NULL) {
        return transport_fatal(self, "Fatal error: protocol.buffer_updated() call failed.");
    }
    Py_DECREF(result);
    return 0;
}

static int deliver(TransportObject *self)
{
    size_t taken = 0;
    int reads = 0;
    int status = 0;
    self->delivering = true;
    while (status == 0 && wants_input(self)) {
        if (taken >= TURN_BYTES || reads++ >= TURN_READS) {
            engine_schedule(self->engine, &self->source);
            break;
        }
        PyObject *protocol = Py_NewRef(self->protocol);
        status = self->buffered ? read_into(self, &taken) : read_bytes(self, &taken);
        Py_DECREF(protocol);
    }
    self->delivering = false;
    if (status < 0 && wants_input(self)) {
        /* An exception is on its way out of the loop; what the kernel has already is not reported again. */
        engine_schedule(self->engine, &self->source);
    }
    return status;
}

int transport_read(TransportObject *self)
{
    if (!wants_input(self)) {
        return 0;
    }
    if (self->delivering) {
        /* A protocol that runs the loop from its callback: the outer call goes on. */
        return 0;
    }
    if (self->turn == self->engine->runs) {
        /* It has had its share of this iteration. */
        engine_schedule(self->engine, &self->source);
        return 0;
    }
    self->turn = self->engine->runs;
    return transport_run(self, self->read_context, deliver);
}

/* -- starting and stopping -- */

static bool is_reading(const TransportObject *self)
{
    return !self->closing && !self->paused;
}

int transport_start_reading(TransportObject *self)
{
    if (!is_reading(self)) {
        return 0;
    }
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        return -1;
    }
    Py_XSETREF(self->read_context, context);
    self->reading = true;
    if (transport_watch(self) < 0) {
        self->reading = false;
        return -1;
    }
    /* Even if the end was seen: who reads on is told again. */
    if (self->readable || self->peer_ended) {
        self->readable = true;
        engine_schedule(self->engine, &self->source);
    }
    return 0;
}

PyObject *transport_pause_reading(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    if (is_reading(self)) {
        self->paused = 1;
        self->reading = false;
        if (transport_debug(self, "pauses reading") < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

PyObject *transport_resume_reading(TransportObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!self->closing && self->paused) {
        self->paused = 0;
        if (transport_start_reading(self) < 0 || transport_debug(self, "resumes reading") < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}
