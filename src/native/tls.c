/* See tls.h. */
#include "tls.h"

#include "convert.h"
#include "errors.h"

#include "core/alloc.h"
#include "core/sockio.h"

#define RECORD_MAX 16384     /* plaintext of one record */
#define READ_MIN 512         /* asked for at least: a piece of the record may have come before */
#define GATHER_RECORDS 65536 /* sent in one call */
#define BACKLOG_MAX 262144   /* records that a peer makes us write (key updates) and does not read */
#define ROUNDS 4             /* receives without any plaintext before others have their turn */

/* -- calls of the ssl module; each may run callbacks of the application, which may clear self -- */

/* method(argument) of an object that self may let go of meanwhile; argument is borrowed, or NULL. New reference or NULL. */
static PyObject *call(PyObject *object, PyObject *method, PyObject *argument)
{
    PyObject *args[] = {object, argument};
    Py_INCREF(object);
    PyObject *result = PyObject_VectorcallMethod(method, args, (argument ? 2 : 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(object);
    return result;
}

/* A non-negative int, stolen. -1 with an exception. */
static Py_ssize_t as_size(PyObject *number)
{
    if (number == NULL) {
        return -1;
    }
    Py_ssize_t size = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    return size;
}

static bool is_want_read(const struct tls *self)
{
    return PyErr_ExceptionMatches(BOUND(self->state, SSLWantReadError));
}

static void release_object(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

/* Moves what OpenSSL has written to the records. 0, or -1 with an exception. */
static int collect_records(struct tls *self)
{
    Py_ssize_t pending = as_size(PyObject_GetAttr(self->outgoing, NAME(self->state, pending)));
    if (pending <= 0) {
        return (int)pending;
    }
    PyObject *bytes = call(self->outgoing, NAME(self->state, read), NULL);
    if (bytes == NULL) {
        return -1;
    }
    if (!PyBytes_Check(bytes)) {
        Py_DECREF(bytes);
        PyErr_SetString(PyExc_TypeError, "MemoryBIO.read() must return bytes");
        return -1;
    }
    struct td_span span = convert_bytes_span(bytes);
    if (span.len <= TD_OUTBUF_ROOM) {
        enum td_status status = td_outbuf_append(&self->records, span.data, span.len);
        Py_DECREF(bytes);
        if (status == TD_OK) {
            return 0;
        }
    }
    else if (td_outbuf_append_held(&self->records, span.data, span.len, bytes, release_object) == TD_OK) {
        return 0;
    }
    else {
        Py_DECREF(bytes);
    }
    PyErr_NoMemory();
    return -1;
}

/* -- input -- */

static enum td_status handshake(struct tls *self)
{
    PyObject *result = call(self->ssl, NAME(self->state, do_handshake), NULL);
    if (result == NULL) {
        if (!is_want_read(self)) {
            return TD_BAD;
        }
        PyErr_Clear();
        self->unread = false;
        return TD_AGAIN;
    }
    Py_DECREF(result);
    self->handshaking = false;
    return TD_OK;
}

/* Is there nothing more to take out? Asked before a read that would end in an exception. 1, 0, or -1 with an exception. */
static int is_drained(struct tls *self, bool record_used_up)
{
    Py_ssize_t pending = as_size(PyObject_GetAttr(self->incoming, NAME(self->state, pending)));
    if (pending == 0 && !record_used_up && self->ssl != NULL) {
        pending = as_size(call(self->ssl, NAME(self->state, pending), NULL));
    }
    return pending < 0 ? -1 : pending == 0;
}

/* One piece of plaintext, of one record at most. *taken < wanted: the record is used up. */
static enum td_status take_piece(struct tls *self, char *room, size_t wanted, size_t *taken)
{
    PyObject *number = PyLong_FromSize_t(wanted);
    PyObject *bytes = number ? call(self->ssl, NAME(self->state, read), number) : NULL;
    Py_XDECREF(number);
    if (bytes == NULL) {
        if (!is_want_read(self)) {
            return TD_BAD;
        }
        PyErr_Clear();
        return TD_AGAIN;
    }
    enum td_status status = TD_BAD;
    if (PyBytes_Check(bytes) && (size_t)PyBytes_GET_SIZE(bytes) <= wanted) {
        *taken = (size_t)PyBytes_GET_SIZE(bytes);
        memcpy(room, PyBytes_AS_STRING(bytes), *taken);
        status = *taken > 0 ? TD_OK : TD_EOF;
    }
    else {
        PyErr_SetString(PyExc_TypeError, "read() must return bytes, and not more than asked for");
    }
    Py_DECREF(bytes);
    return status;
}

/* Takes plaintext out of what has come, as much as there is and room for. */
static enum td_status take(struct tls *self, char *room, size_t size, size_t *count)
{
    enum td_status status = TD_OK;
    while (self->ssl != NULL && self->unread && *count < size && status == TD_OK) {
        size_t wanted = self->received < READ_MIN ? READ_MIN : self->received < RECORD_MAX ? self->received : RECORD_MAX;
        size_t taken = 0;
        if (wanted > size - *count) {
            wanted = size - *count;
        }
        status = take_piece(self, room + *count, wanted, &taken);
        *count += taken;
        if (status == TD_AGAIN) {
            self->unread = false;
        }
        else if (status == TD_EOF) {
            self->ended = true;
            self->unread = false;
        }
        else if (status == TD_OK && self->ssl != NULL) {
            int drained = is_drained(self, taken < wanted);
            self->unread = drained <= 0;
            status = drained < 0 ? TD_BAD : TD_OK;
        }
    }
    if (status == TD_BAD && *count > 0) {
        /* First the input that came before it. */
        Py_XSETREF(self->failure, errors_take());
        self->unread = true;
    }
    return *count > 0 ? TD_OK : status == TD_OK ? TD_AGAIN : status;
}

static enum td_status fetch(struct tls *self, int fd, char *room, size_t size, bool peer_ended)
{
    size_t received = 0;
    enum td_status status = td_sock_recv(fd, room, size, &received);
    self->arrived = status == TD_OK && (received == size || peer_ended);
    if (status != TD_OK) {
        return status;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(room, (Py_ssize_t)received);
    PyObject *result = bytes ? call(self->incoming, NAME(self->state, write), bytes) : NULL;
    Py_XDECREF(bytes);
    if (result == NULL) {
        return TD_BAD;
    }
    Py_DECREF(result);
    self->received = received;
    self->unread = true;
    return TD_OK;
}

/* One round of receiving. TD_AGAIN: there may be more. */
static enum td_status receive_once(struct tls *self, int fd, char *room, size_t size, bool peer_ended, size_t *count)
{
    if (self->failure != NULL) {
        errors_give(self->failure);
        self->failure = NULL;
        return TD_BAD;
    }
    enum td_status status = TD_OK;
    if (!self->unread) {
        status = self->ended ? TD_EOF : fetch(self, fd, room, size, peer_ended);
    }
    if (status != TD_OK) {
        return status;
    }
    if (self->handshaking) {
        status = handshake(self);
        return status == TD_OK ? TD_PARTIAL : status;
    }
    return take(self, room, size, count);
}

/* Sends handshake, tickets, key updates; or the alert that says why it ends. Keeps a pending exception. */
static enum td_status send_records(struct tls *self, int fd)
{
    PyObject *exception = errors_take();
    enum td_status status = collect_records(self) < 0 ? TD_BAD : td_sock_send(fd, &self->records);
    if (exception != NULL) {
        PyErr_Clear();
        errors_give(exception);
    }
    return status;
}

enum td_status tls_receive(struct tls *self, int fd, char *room, size_t size, bool peer_ended, size_t *count)
{
    *count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        if (self->ssl == NULL) {
            return TD_EOF;
        }
        if (!self->unread && !self->arrived && !self->ended) {
            return TD_AGAIN;
        }
        if (self->records.size > BACKLOG_MAX) {
            /* The peer reads first; then an event comes. */
            return TD_AGAIN;
        }
        enum td_status status = receive_once(self, fd, room, size, peer_ended, count);
        if (self->ssl == NULL) {
            PyErr_Clear();
            return TD_EOF;
        }
        if (status == TD_SYS || status == TD_EOF) {
            return status;
        }
        enum td_status sent = send_records(self, fd);
        if (status != TD_BAD && (sent == TD_SYS || sent == TD_BAD)) {
            return sent;
        }
        if (status != TD_AGAIN) {
            return status;
        }
    }
    return TD_PARTIAL;
}

/* -- output -- */

/* Up to a record's worth of plaintext, from `offset` on. New bytes or NULL. */
static PyObject *plaintext(const struct td_outbuf *out, size_t offset)
{
    size_t len = out->size - offset < RECORD_MAX ? out->size - offset : RECORD_MAX;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    if (bytes == NULL) {
        return NULL;
    }
    char *p = PyBytes_AS_STRING(bytes);
    for (const struct td_outseg *segment = out->first; len > 0 && segment != NULL; segment = segment->next) {
        if (offset >= segment->len) {
            offset -= segment->len;
            continue;
        }
        size_t part = segment->len - offset < len ? segment->len - offset : len;
        memcpy(p, segment->data + offset, part);
        p += part;
        len -= part;
        offset = 0;
    }
    return bytes;
}

/* Makes records of the next piece of the output. TD_OK, TD_AGAIN (OpenSSL must read first), TD_EOF (cleared meanwhile), TD_BAD.
 */
static enum td_status encrypt(struct tls *self, const struct td_outbuf *out)
{
    PyObject *bytes = plaintext(out, self->in_flight);
    Py_ssize_t written = bytes ? as_size(call(self->ssl, NAME(self->state, write), bytes)) : -1;
    Py_XDECREF(bytes);
    if (written < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "write() must return how much it took");
        }
        else if (is_want_read(self)) {
            PyErr_Clear();
            return self->ssl == NULL ? TD_EOF : TD_AGAIN;
        }
        return TD_BAD;
    }
    if (self->ssl == NULL) {
        return TD_EOF;
    }
    self->in_flight += (size_t)written;
    return collect_records(self) < 0 ? TD_BAD : TD_OK;
}

enum td_status tls_send(struct tls *self, int fd, struct td_outbuf *out)
{
    for (;;) {
        enum td_status status = self->ssl == NULL ? TD_EOF : self->handshaking ? TD_AGAIN : TD_OK;
        while (status == TD_OK && self->in_flight < out->size && self->records.size < GATHER_RECORDS) {
            status = encrypt(self, out);
        }
        if (status == TD_EOF || status == TD_BAD) {
            return status;
        }
        enum td_status sent = td_sock_send(fd, &self->records);
        if (sent != TD_OK) {
            return sent;
        }
        size_t done = self->in_flight;
        self->in_flight = 0;
        if (done > 0) {
            td_outbuf_advance(out, done);
        }
        if (status == TD_AGAIN || out->size == 0) {
            return out->size == 0 ? TD_OK : TD_AGAIN;
        }
    }
}

void tls_say_goodbye(struct tls *self, int fd)
{
    if (self->ssl == NULL || self->handshaking || self->failure != NULL) {
        return;
    }
    PyObject *exception = errors_take();
    PyObject *result = call(self->ssl, NAME(self->state, shutdown), NULL);
    Py_XDECREF(result);
    /* It complains that the peer's own goodbye is missing: that is not waited for. */
    PyErr_Clear();
    if (self->ssl != NULL && send_records(self, fd) == TD_BAD) {
        PyErr_Clear();
    }
    errors_give(exception);
}

/* -- its life -- */

struct tls *tls_new(struct native_state *state, PyObject *context)
{
    struct tls *self = td_malloc(sizeof(*self));
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *self = (struct tls){.state = state, .handshaking = true};
    PyObject *parts = PyObject_CallOneArg(BOUND(state, tls_wrap), context);
    if (parts == NULL || !PyArg_ParseTuple(parts, "OOOO", &self->object, &self->ssl, &self->incoming, &self->outgoing)) {
        Py_XDECREF(parts);
        td_free(self);
        return NULL;
    }
    Py_INCREF(self->object);
    Py_INCREF(self->ssl);
    Py_INCREF(self->incoming);
    Py_INCREF(self->outgoing);
    Py_DECREF(parts);
    return self;
}

void tls_clear(struct tls *self)
{
    Py_CLEAR(self->object);
    Py_CLEAR(self->ssl);
    Py_CLEAR(self->incoming);
    Py_CLEAR(self->outgoing);
    Py_CLEAR(self->failure);
    td_outbuf_clear(&self->records);
    self->in_flight = 0;
    self->unread = false;
    self->arrived = false;
}

void tls_free(struct tls *self)
{
    tls_clear(self);
    td_free(self);
}

int tls_traverse(const struct tls *self, visitproc visit, void *arg)
{
    Py_VISIT(self->object);
    Py_VISIT(self->ssl);
    Py_VISIT(self->incoming);
    Py_VISIT(self->outgoing);
    Py_VISIT(self->failure);
    return 0;
}
