/* One accepted socket: HTTP1ServerConnection, from its bytes to its bytes.
 *
 * connection.c          its life: accepted, closed, timed out; the type
 * connection_detach.c   the socket becomes a stream's
 * connection_read.c     input: heads and bodies, and the turn that drives a connection
 * connection_request.c  from a head to the handler class or the delegate that takes the request
 * connection_delegate.c the general path: driving an HTTPMessageDelegate
 * connection_write.c    output: the answer's framing, sending, the futures that wait for it
 * connection_tls.c      the same over TLS, and what is logged when that fails
 * exchange.c            HTTP1Connection: what Python sees of one request and its answer
 * exchange_head.c       the head of an answer from any headers object */
#ifndef NATIVE_CONNECTION_H
#define NATIVE_CONNECTION_H

#include "module.h"

#include <netinet/in.h>
#include <stdbool.h>

#include "engine.h"
#include "server.h"

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_parse.h"
#include "core/inbuf.h"
#include "core/outbuf.h"

/* Pipelined answers are gathered up to this many bytes before they are sent in one call. */
#define CONN_GATHER_MAX 65536
/* What a connection hears of. */
#define CONN_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

enum conn_phase {
    CONN_HEAD,     /* between messages, or in a head */
    CONN_BODY,     /* in a request's body */
    CONN_ANSWER,   /* the request is complete; its answer is being made */
    CONN_ANSWERED, /* both are complete; the next exchange starts when there is input (detach() may come before) */
    CONN_LINGER,   /* answered and half closed; input is discarded so that a reset does not eat the answer */
    CONN_CLOSED    /* closed or detached */
};

struct application_object;
struct exchange_object;
struct request_object;
struct handler_object;
struct tls;

/* A future that waits until a byte of the output is sent. */
struct conn_waiter {
    struct conn_waiter *next;
    uint64_t until;   /* td_outbuf.written at the time */
    PyObject *future; /* owned */
};

typedef struct server_connection {
    PyObject_HEAD
    struct native_state *state;
    EngineObject *engine; /* owned */
    ServerObject *server; /* owned; NULL once closed */
    PyObject *address;    /* owned; as socket.accept() gives it, NULL until asked for (inet only) */
    PyObject *remote_ip;  /* owned str, NULL until asked for */
    PyObject *protocol;   /* owned: the server's own at that time; NULL or false: what the socket tells */
    PyObject *context;    /* owned _HTTPRequestContext, NULL until asked for */
    PyObject *stream;     /* owned stand-in for the IOStream, NULL until asked for */
    struct tls *tls;      /* owned; NULL: plain */
    int fd;               /* -1 once closed or detached */
    struct engine_source source;
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
    } peer;

    /* Input. */
    struct td_inbuf in;
    struct td_head_scan scan;
    struct td_body body;
    size_t ahead; /* what Tornado's stream would have received of the input that was not consumed; at most in.len */

    /* Output. */
    struct td_outbuf out;
    struct conn_waiter *waiters;
    struct conn_waiter **waiters_end;

    /* The deadline of the phase. The heap's timer may be earlier: it looks here when it fires, so that requests set no timer. */
    struct td_timer timer;
    uint64_t deadline;
    uint64_t linger_bytes;
    uint32_t answer_run; /* the engine's run after which the client may be watched; 0: the request is not complete */
    uint8_t breaths;     /* turns that the next of the pipelined requests has waited */
    size_t turn_bytes;   /* received in this turn; a fast sender must not keep the loop to itself */

    /* The current exchange. */
    uint32_t sequence;
    struct td_head *head;                   /* owned */
    struct request_object *request;         /* owned, fast path */
    struct handler_object *handler;         /* owned: whom to tell about a closed connection */
    struct application_object *application; /* owned: who routed it; NULL: nobody, handler_class is a function that answers it */
    PyObject *handler_class;                /* owned: the route, between the head and the end of the body */
    PyObject *handler_kwargs;               /* owned or NULL */
    PyObject *path_args;                    /* owned tuple or NULL */
    PyObject *path_kwargs;                  /* owned dict or NULL */
    PyObject *delegate;                     /* owned, general path */
    PyObject *run_context;                  /* owned contextvars.Context of the delegate's calls */
    PyObject *run_task;                     /* owned asyncio.Task of the delegate's calls, of all exchanges; NULL before */
    struct exchange_object *exchange;       /* owned: HTTP1Connection, NULL until asked for */
    PyObject *close_callback;               /* owned */
    PyObject *body_bytes;                   /* owned bytes that the body is gathered in; may be longer than body_len */
    Py_ssize_t body_len;
    uint64_t max_body_size;
    double body_timeout; /* seconds; negative: none */
    int64_t expected;    /* bytes of the answer's body still to come, -1 if not known */

    uint8_t phase;
    uint8_t rest_fault;   /* enum td_fault that lies behind an early answer; it is logged when the handler has returned */
    bool readable;        /* the kernel may have input */
    bool peer_ended;      /* an event said that the peer closed: there is an EOF to read */
    bool pumping;         /* conn_pump is on the stack */
    bool paused;          /* a delegate's future gates the next read */
    bool body_ended;      /* a delegate's last piece was read; finish() is still to be called */
    bool headers_pending; /* and it is the one of headers_received */
    bool need_more;       /* what is buffered is no complete head */
    bool keep_alive;      /* of the current request */
    bool echo_keep_alive; /* HTTP/1.0 asked for it */
    bool version_1_1;
    bool head_method;
    bool expects_continue;
    bool head_written;
    bool chunking;
    bool read_finished;
    bool write_finished;
    bool xheaders_applied;
    bool in_delegate;    /* headers_received was called and neither finish nor on_connection_close yet */
    bool body_timer;     /* the deadline is the body's */
    bool notify_closed;  /* closed, but who waits was not told yet */
    bool waiting_answer; /* closed while the request was complete and the answer was not */

    PyObject *dict;
    PyObject *weakrefs;
} ServerConnectionObject;

/* -- connection.c -- */

/* Takes over an accepted socket (fd is closed on failure). peer is an inet address, or NULL: then address is what socket.accept()
 * gave (borrowed). The server's _connections holds the new object. 0, or -1 with an exception. */
int conn_accept(ServerObject *server, EngineObject *engine, int fd, const struct sockaddr *peer, PyObject *address);
/* The same for a socket whose stream is there already (borrowed), as the stand-in that conn_stream() gives. address (borrowed)
 * counts, also for an inet peer. A new reference to the connection, None if it could not be watched, or NULL with an exception.
 */
PyObject *conn_take(ServerObject *server, EngineObject *engine, int fd, const struct sockaddr *peer, PyObject *address,
                    PyObject *stream);
/* Closes the socket at once and tells whoever waits (Tornado: IOStream.close, then the serving loop's end). Safe anywhere, may be
 * called again; keeps a pending exception. */
void conn_close(ServerConnectionObject *self);
/* The same on behalf of Python code: who waits is told from the loop, as Tornado's close callbacks are. */
void conn_close_soon(ServerConnectionObject *self);
/* Tells who waits, if that is still to be done. */
void conn_notify_closed(ServerConnectionObject *self);
/* Closes after the output is sent; lingers if the peer may still be sending. */
void conn_close_gracefully(ServerConnectionObject *self);
/* The stand-in for the IOStream. Borrowed; NULL with an exception. */
PyObject *conn_stream(ServerConnectionObject *self);
/* Deadline of the current phase. 0 or -1. */
int conn_set_deadline(ServerConnectionObject *self, uint64_t deadline);
/* Peer's address as Python has it, and Tornado's remote_ip. Borrowed; NULL with an exception. */
PyObject *conn_address(ServerConnectionObject *self);
PyObject *conn_remote_ip(ServerConnectionObject *self);
/* "http" or "https", or what the server says in its place (_HTTPRequestContext.protocol). New reference or NULL. */
PyObject *conn_protocol(ServerConnectionObject *self);
/* The _HTTPRequestContext. Borrowed; NULL with an exception. */
PyObject *conn_context(ServerConnectionObject *self);
/* Drops what belongs to the current exchange and breaks its cycles. */
void conn_clear_exchange(ServerConnectionObject *self);

/* -- connection_detach.c -- */

/* Gives the socket away: a new reference to an IOStream that holds the unread input, and is closed if the connection was. NULL
 * with an exception. */
PyObject *conn_detach(ServerConnectionObject *self);

/* -- connection_read.c -- */

/* Reads and serves until there is nothing more to do. 0, or -1 with a BaseException that must leave the loop. */
int conn_pump(ServerConnectionObject *self);
/* A new connection: deadline, and the delegate on the general path. 0, or -1 with an exception. */
int conn_start(ServerConnectionObject *self);
/* The engine's calls. */
extern const struct engine_kind conn_engine_kind;
/* A delegate's future is done: reads on, or ends the connection if it failed. As conn_pump. */
int conn_resumed(ServerConnectionObject *self, PyObject *future);
/* Tornado's stream would have given so many bytes of a body, which have been settled: counts what it has behind them. */
void conn_count_ahead(ServerConnectionObject *self, size_t consumed);
/* A delegate has answered before the end of the body: the first fault in what was received of the rest, which Tornado logs. */
enum td_fault conn_rest_fault(ServerConnectionObject *self);
/* Ends a streaming or general-path exchange that was answered before its body was read: the delegate hears of the close. */
void conn_tell_delegate(ServerConnectionObject *self);
/* delegate.on_connection_close() in the exchange's context; what it raises is logged. */
void conn_tell_delegate_object(ServerConnectionObject *self, PyObject *delegate);
/* The connection has ended, and with it the Task that its delegates' calls are made in. */
void conn_end_task(ServerConnectionObject *self);
/* The current exchange is over: gets ready for the next. */
void conn_next_exchange(ServerConnectionObject *self);

/* -- connection_tls.c -- */

/* TLS for a new connection. 0, or -1 with an exception. */
int conn_tls_start(ServerConnectionObject *self, PyObject *context);
/* As td_sock_recv into the engine's scratch, and TD_EOF after a failure that is logged. */
TD_MUST_CHECK enum td_status conn_tls_receive(ServerConnectionObject *self, size_t *count);
/* As td_sock_send of self->out, and TD_EOF after a failure that is logged unless quiet. */
TD_MUST_CHECK enum td_status conn_tls_send(ServerConnectionObject *self, bool quiet);
/* An event has come: input may be there, or room for records. */
void conn_tls_event(ServerConnectionObject *self, uint32_t events);
/* What adopt() needs to go on: a tuple, or None for a plain connection. New reference or NULL. */
PyObject *conn_tls_parts(ServerConnectionObject *self);

/* -- connection_write.c -- */

/* Sends what is buffered. 0; errors close the connection. */
void conn_flush(ServerConnectionObject *self);
/* Decides the framing of the answer to the current request (HTTP1Connection.write_headers). length: -1 if there is no
 * Content-Length. */
void conn_start_answer(ServerConnectionObject *self, int code, int64_t length);
/* Would these body bytes pass the Content-Length? Then the connection is closed: -1 with HTTPOutputError; else 0. */
int conn_check_chunk(ServerConnectionObject *self, PyObject *bytes);
/* Appends body bytes in the answer's framing. 0, or -1 with HTTPOutputError (the connection is closed) or MemoryError. */
int conn_put_chunk(ServerConnectionObject *self, PyObject *bytes);
/* Ends the answer (HTTP1Connection.finish): checks the length, sends, and goes on or closes. 0 or -1 as above. */
int conn_finish_answer(ServerConnectionObject *self);
/* A future for what was appended so far: done if it is sent, failed if the connection is closed. New reference. */
PyObject *conn_write_future(ServerConnectionObject *self);
/* Fails a future with a StreamClosedError that counts as retrieved. 0, or -1 with an exception. */
int conn_fail_future(struct native_state *state, PyObject *future);
/* Resolves the futures whose bytes are sent; all of them, with StreamClosedError, when the connection is closed. */
void conn_wake_waiters(ServerConnectionObject *self);

#endif
