/* See connection.h: a connection over TLS. What fails is logged as Tornado's SSLIOStream logs it. */
#include "connection.h"

#include <errno.h>

#include "convert.h"
#include "errors.h"
#include "tls.h"

#include "core/sockio.h"

int conn_tls_start(ServerConnectionObject *self, PyObject *context)
{
    struct native_state *state = self->state;
    Py_INCREF(context);
    self->tls = tls_new(state, context);
    PyObject *callback = self->tls ? PyObject_GetAttr(context, NAME(state, sni_callback)) : NULL;
    int status = callback == NULL ? -1 : 0;
    if (status == 0 && callback != Py_None && self->phase != CONN_CLOSED && conn_stream(self) == NULL) {
        /* The callback is given the socket, which has to be the one that handlers find later. */
        status = -1;
    }
    Py_XDECREF(callback);
    Py_DECREF(context);
    return status;
}

static PyObject *peer_name(ServerConnectionObject *self)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    if (getpeername(self->fd, (struct sockaddr *)&peer, &len) < 0) {
        return PyUnicode_FromString("(not connected)");
    }
    return convert_address((const struct sockaddr *)&peer, len);
}

/* Is it one of the errors that port scans and impatient clients cause (SSLIOStream._do_ssl_handshake)? */
static bool is_quiet(ServerConnectionObject *self, PyObject *exception)
{
    struct native_state *state = self->state;
    return PyErr_GivenExceptionMatches(exception, BOUND(state, SSLEOFError)) ||
           PyErr_GivenExceptionMatches(exception, BOUND(state, SSLZeroReturnError));
}

/* Logs the pending exception of a handshake. */
static void log_handshake(ServerConnectionObject *self)
{
    struct native_state *state = self->state;
    if (!PyErr_ExceptionMatches(BOUND(state, SSLError))) {
        if (errors_log_uncaught(state, BOUND(state, gen_log), "Uncaught exception, closing connection.") < 0) {
            errors_unraisable(state, (PyObject *)self);
        }
        return;
    }
    PyObject *exception = errors_take();
    if (!is_quiet(self, exception)) {
        PyObject *peer = peer_name(self);
        errors_log(state, BOUND(state, gen_log), NAME(state, warning), "SSL Error on %s %s: %s",
                   peer ? Py_BuildValue("(iOO)", self->fd, peer, exception) : NULL);
        Py_XDECREF(peer);
    }
    Py_DECREF(exception);
}

/* Logs the pending exception of a read or a write. */
static void log_failure(ServerConnectionObject *self, const char *message, bool with_fd)
{
    struct native_state *state = self->state;
    if (errors_is_exit()) {
        errors_unraisable(state, (PyObject *)self);
        return;
    }
    PyObject *exception = errors_take();
    if (with_fd || !is_quiet(self, exception)) {
        errors_log(state, BOUND(state, gen_log), NAME(state, warning), message,
                   with_fd ? Py_BuildValue("(iO)", self->fd, exception) : PyTuple_Pack(1, exception));
    }
    Py_DECREF(exception);
}

/* Who waits for the handshake on the stand-in of the stream is told. */
static void handshake_done(ServerConnectionObject *self)
{
    PyObject *stream = Py_XNewRef(self->stream);
    if (stream != NULL) {
        PyObject *result = PyObject_CallMethodNoArgs(stream, NAME(self->state, _handshake_done));
        if (result == NULL) {
            errors_unraisable(self->state, stream);
        }
        Py_XDECREF(result);
        Py_DECREF(stream);
    }
}

enum td_status conn_tls_receive(ServerConnectionObject *self, size_t *count)
{
    struct tls *tls = self->tls;
    bool handshaking = tls->handshaking;
    enum td_status status = tls_receive(tls, self->fd, self->engine->scratch, ENGINE_SCRATCH, self->peer_ended, count);
    if (handshaking && !tls->handshaking && status == TD_PARTIAL) {
        handshake_done(self);
        status = tls_receive(tls, self->fd, self->engine->scratch, ENGINE_SCRATCH, self->peer_ended, count);
    }
    self->readable = tls->unread || tls->arrived || tls->ended;
    if (status == TD_PARTIAL) {
        engine_schedule(self->engine, &self->source);
        return TD_AGAIN;
    }
    if (status == TD_BAD) {
        if (tls->handshaking) {
            log_handshake(self);
        }
        else {
            log_failure(self, "error on read: %s", false);
        }
        return TD_EOF;
    }
    return status;
}

enum td_status conn_tls_send(ServerConnectionObject *self, bool quiet)
{
    struct tls *tls = self->tls;
    enum td_status status = tls_send(tls, self->fd, &self->out);
    if (status != TD_BAD) {
        return status;
    }
    if (quiet) {
        PyErr_Clear();
    }
    else if (tls->failure != NULL) {
        /* Broken input broke the output as well. */
        PyErr_Clear();
        errors_give(tls->failure);
        tls->failure = NULL;
        log_failure(self, "error on read: %s", false);
    }
    else {
        log_failure(self, "Write error on %s: %s", true);
    }
    return TD_EOF;
}

void conn_tls_event(ServerConnectionObject *self, uint32_t events)
{
    struct tls *tls = self->tls;
    tls->arrived |= (events & ~(uint32_t)EPOLLOUT) != 0;
    if ((events & EPOLLOUT) && self->out.size == 0 && tls->records.size > 0 && td_sock_send(self->fd, &tls->records) == TD_SYS) {
        /* The next receive meets the same error. */
        tls->arrived = true;
        self->readable = true;
    }
}

PyObject *conn_tls_parts(ServerConnectionObject *self)
{
    struct tls *tls = self->tls;
    if (tls == NULL || tls->ssl == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *records = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)tls->records.size);
    if (records == NULL) {
        return NULL;
    }
    char *p = PyBytes_AS_STRING(records);
    for (const struct td_outseg *segment = tls->records.first; segment != NULL; segment = segment->next) {
        memcpy(p, segment->data, segment->len);
        p += segment->len;
    }
    /* References of its own: a tuple that is made may start the collector, and a finalizer close the connection. */
    return Py_BuildValue("(NNNNNnO)", Py_NewRef(tls->object), Py_NewRef(tls->ssl), Py_NewRef(tls->incoming),
                         Py_NewRef(tls->outgoing), records, (Py_ssize_t)tls->in_flight, tls->handshaking ? Py_False : Py_True);
}
