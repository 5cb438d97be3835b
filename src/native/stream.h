/* BaseIOStream, IOStream, SSLIOStream and PipeIOStream: the state and the methods that Tornado's run through.
 *
 * A stream is on the fast path, where C receives and sends through the engine, until something about it is not plain: a hook is
 * overridden, the socket is not the standard library's, Python takes hold of the read buffer. From then on it is `general`: its
 * state is handed over to the attributes that Tornado's methods work on, and every method here calls Tornado's. */
#ifndef NATIVE_STREAM_H
#define NATIVE_STREAM_H

#include <limits.h>

#include "engine.h"
#include "stream_buffer.h"

#include "core/inbuf.h"

#define STREAM_NONE LLONG_MIN /* a number that is None */

enum stream_kind { STREAM_BASE, STREAM_SOCKET, STREAM_TLS, STREAM_PIPE, STREAM_KIND_COUNT };

/* IOLoop.READ, WRITE and ERROR */
enum { STREAM_READ = 1, STREAM_WRITE = 4, STREAM_ERROR = 24 };

/* A write whose bytes the kernel has not taken yet. */
struct stream_write {
    uint64_t index;   /* of its last byte, in total_write_index */
    PyObject *future; /* owned */
};

/* Fields that are set to Python's None may hold NULL or None: see stream_is_set(). Flags are chars for the member descriptors. */
typedef struct {
    PyObject_HEAD
    struct native_state *state;
    PyObject *dict;
    PyObject *weakrefs;
    enum stream_kind kind;
    bool general; /* Tornado's methods are in charge */
    char closed;
    char connecting;

    /* what it works on */
    PyObject *io_loop; /* owned */
    PyObject *socket;  /* owned; None or NULL once closed */
    PyObject *file;    /* owned: PipeIOStream._fio */
    int pipe_fd;

    /* the loop */
    EngineObject *engine; /* owned; NULL until it is needed */
    struct engine_source source;
    int io_state;  /* what Tornado would listen for; 0 for None */
    bool more_in;  /* the kernel may have input that it will not report again */
    bool more_out; /* the same of room for output */
    bool ended;    /* the peer has ended: reading goes on until that is seen */
    uint32_t turn; /* engine->runs when it last had its turn: once in each iteration of the loop */

    /* limits */
    long long max_buffer_size;
    long long read_chunk_size;
    PyObject *max_write_buffer_size; /* owned: int, or None */

    /* input on the fast path */
    struct td_inbuf in;
    size_t searched;       /* bytes at the front of `in` without the start of the delimiter */
    PyObject *user_buffer; /* owned: of read_into() */
    PyObject *direct;      /* owned: the bytes object that a large read_bytes() fills; `in` is empty meanwhile */
    size_t filled;         /* bytes in user_buffer or direct */

    /* input on the general path */
    PyObject *read_buffer;       /* owned */
    PyObject *after_user_buffer; /* owned */
    long long read_buffer_size;
    char user_read_buffer;

    /* the pending read */
    PyObject *read_future;    /* owned */
    PyObject *read_delimiter; /* owned */
    PyObject *read_regex;     /* owned */
    long long read_bytes;     /* or STREAM_NONE */
    long long read_max_bytes; /* or STREAM_NONE */
    char read_partial;
    char read_until_close;

    /* output */
    PyObject *write_buffer; /* owned: a StreamBuffer, made when it is needed; None once closed; on the general path anything */
    long long total_write_index;
    long long total_write_done_index;
    struct stream_write *writes; /* owned array, a queue; the fast path's */
    size_t writes_start;
    size_t writes_len;
    size_t writes_capacity;
    PyObject *write_futures; /* owned: the general path's deque */

    PyObject *close_callback;     /* owned */
    PyObject *connect_future;     /* owned */
    PyObject *ssl_connect_future; /* owned */
    PyObject *error;              /* owned */

    /* TLS */
    PyObject *ssl_options;     /* owned */
    PyObject *server_hostname; /* owned */
    char ssl_accepting;
    char handshake_reading;
    char handshake_writing;
} StreamObject;

static inline bool stream_is_set(PyObject *field)
{
    return field != NULL && field != Py_None;
}

/* The bytes that a read finds: Tornado's _read_buffer_size. */
static inline size_t stream_available(const StreamObject *self)
{
    return self->user_buffer || self->direct ? self->filled : self->in.len;
}

/* The output; NULL if there was none yet, or if the general path has another buffer for it. */
static inline struct td_outbuf *stream_output(StreamObject *self)
{
    bool native = self->write_buffer != NULL && Py_IS_TYPE(self->write_buffer, self->state->stream_buffer_type);
    return native ? &((StreamBufferObject *)self->write_buffer)->out : NULL;
}

static inline bool stream_has_output(StreamObject *self)
{
    const struct td_outbuf *out = stream_output(self);
    return out != NULL && out->size > 0;
}

/* -- stream.c -- */
/* 1: the stream is on the fast path; 0: it is on the general one (and may just have gone there); -1 with an exception. */
int stream_enter(StreamObject *self);
/* Hands the stream over to Tornado's methods; `relisten`: its descriptor too. 0, or -1 with an exception. */
int stream_make_general(StreamObject *self, bool relisten);
/* Calls Tornado's method of that name. New reference or NULL. */
PyObject *stream_call_tornado(StreamObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames);
/* The write buffer, made if there is none. Borrowed, or NULL with MemoryError. */
StreamBufferObject *stream_make_output(StreamObject *self);
/* Takes a number, or a float where Tornado lets one pass, as a size. 0 or -1. */
int stream_to_size(PyObject *value, long long *size);
/* The descriptor as it is now; -1 without an exception if there is none. */
int stream_fd(StreamObject *self);
extern PyGetSetDef stream_getset[];
extern PyMemberDef stream_members[];

/* -- stream_arguments.c -- */
/* Takes a method's arguments by position or name into values (NULL where not given; the first is required). False if the call has
 * one of the forms with callbacks of Tornado before 6, or is wrong: stream_call_legacy() tells. */
bool stream_take_arguments(const char *const *names, int max, PyObject *const *args, Py_ssize_t count, PyObject *kwnames,
                           PyObject **values);
/* Makes such a call. New reference or NULL. */
PyObject *stream_call_legacy(StreamObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames);

/* -- stream_read.c: the methods; stream_receive.c: how input comes in -- */
extern PyMethodDef stream_read_methods[];
/* Receives until the pending read can be satisfied or nothing more comes. 1 with *size (of the read's result), 0 if it can't be
 * satisfied yet, -1 with an exception. `eager`: until the kernel says that there is nothing more. */
int stream_receive(StreamObject *self, bool eager, size_t *size);
/* The same for an event: completes the read; what goes wrong is logged and closes the stream. 0 or -1. */
int stream_on_readable(StreamObject *self);

/* -- stream_find.c -- */
/* Can what has come satisfy the pending read? 1 with *size, 0, or -1 with UnsatisfiableReadError. */
int stream_find(StreamObject *self, size_t *size);
/* Ends the pending read: _read_from_buffer. 0 or -1. */
int stream_complete(StreamObject *self, size_t size);
/* _finish_read. 0 or -1. */
int stream_finish_read(StreamObject *self, size_t size);
/* Ends the pending read with a result made already. Steals it. 0 or -1. */
int stream_complete_with(StreamObject *self, PyObject *result);
/* Puts what a large read has collected into the input buffer. 0, or -1 with MemoryError. */
int stream_spill(StreamObject *self);
/* Drops bytes at the front of the input, as a read of them would that is done at once. 0 or -1. */
int stream_skip(StreamObject *self, size_t size);
/* future.set_result(result) unless it is cancelled. 0 or -1. */
int stream_resolve(StreamObject *self, PyObject *future, PyObject *result);

/* -- stream_write.c -- */
extern PyMethodDef stream_write_methods[];
/* Sends what the kernel takes; errors close the stream. 0, or -1 with an exception. */
int stream_flush(StreamObject *self);

/* -- stream_close.c -- */
/* Closes; error (borrowed, may be NULL) becomes self.error. 0, or -1 with an exception. */
int stream_close(StreamObject *self, PyObject *error);
/* Raises StreamClosedError(real_error=self.error). */
void stream_raise_closed(StreamObject *self);
/* _is_connreset(error). 1, 0, or -1 with an exception. */
int stream_is_connreset(StreamObject *self, PyObject *error);
extern PyMethodDef stream_close_methods[];

/* -- stream_event.c -- */
extern const struct engine_kind stream_engine_kind;
extern PyMethodDef stream_event_methods[];
/* _add_io_state. 0 or -1. */
int stream_listen(StreamObject *self, int events);
/* _maybe_add_error_listener. 0 or -1. */
int stream_listen_for_close(StreamObject *self);
/* Makes sure that readiness which was reported already gets its turn. */
void stream_settle(StreamObject *self);
bool stream_reading(StreamObject *self);
bool stream_writing(StreamObject *self);
/* gen_log.<method>(message, *args) through tornadoc.iostream; failures to log are reported. Steals args (NULL: one was pending);
 * exception (borrowed, may be NULL) is its exc_info. */
void stream_log(StreamObject *self, PyObject *method, const char *message, PyObject *args, PyObject *exception);

/* -- stream_tls.c -- */
/* Is the socket an SSLSocket whose methods nobody has touched? */
bool stream_tls_is_plain(StreamObject *self);
/* One read of up to len bytes. 1 with *data (new reference to bytes), 0 if nothing is there, 2 at the end, -1 with OSError. */
int stream_tls_read(StreamObject *self, size_t len, PyObject **data);
/* Sends what can be sent. TD_OK, TD_AGAIN, or TD_BAD with an exception. */
enum td_status stream_tls_send(StreamObject *self);
/* Does the handshake's next step. 0 or -1. */
int stream_tls_handshake(StreamObject *self);
/* Has the kernel no input for the socket? */
bool stream_tls_is_drained(StreamObject *self);

#endif
