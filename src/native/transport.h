/* SocketTransport: a stream socket of an event loop, between asyncio's transport classes and the engine.
 *
 * The type derives from asyncio.transports._FlowControlMixin and stands ahead of asyncio's socket transport: attributes that
 * asyncio's Python code reads and sets (_sock, _protocol, _conn_lost and so on) are members here, and what is missing (repr,
 * sendfile, connection_lost and its cleaning up) is asyncio's own.
 *
 * The descriptor is registered once, edge-triggered. `readable` remembers an edge until the kernel has given less than it was
 * asked for, so that pausing and resuming cost no system call. */
#ifndef NATIVE_TRANSPORT_H
#define NATIVE_TRANSPORT_H

#include "engine.h"

#include "core/outbuf.h"

#define TRANSPORT_BASE_SLOTS 8 /* room for the __slots__ of asyncio's classes */

typedef struct {
    PyObject_HEAD
    PyObject *base_slots[TRANSPORT_BASE_SLOTS]; /* owned: set only by who goes round the members below */
    struct native_state *state;
    EngineObject *engine; /* owned; NULL before _open() */
    PyObject *loop;       /* owned, like the next ones; NULL stands for None */
    PyObject *sock;       /* the socket object, which owns the descriptor */
    PyObject *protocol;
    PyObject *server;
    PyObject *extra;        /* dict of get_extra_info() */
    PyObject *empty_waiter; /* Future of a sendfile that waits for the output to be sent */
    PyObject *high_water;
    PyObject *low_water;
    PyObject *read_context; /* contexts in which the protocol is called: as of add_reader and add_writer in asyncio */
    PyObject *write_context;
    uint64_t high; /* high_water, for comparisons */
    struct engine_source source;
    struct td_outbuf out;
    uint32_t turn; /* engine->runs when it last had input: once in each iteration of the loop */
    int fd;        /* for system calls as long as conn_lost is 0 */
    int conn_lost; /* connection_lost() was called or scheduled, plus later writes */
    char closing;  /* these are Python's bool members */
    char eof;
    char paused;
    char protocol_paused;
    char protocol_connected;
    bool buffered;    /* the protocol is a BufferedProtocol */
    bool reading;     /* input goes to the protocol */
    bool readable;    /* the kernel may have input */
    bool peer_ended;  /* no edge will tell of more: read up to the end */
    bool delivering;  /* inside transport_read */
    bool lazy_output; /* EPOLLOUT is watched for only while output waits: its edges cost something on this family */
    bool output_armed;
} TransportObject;

extern const struct engine_kind transport_engine_kind;

/* -- transport.c -- */

/* Has the engine watch the descriptor, if it doesn't. 0 or -1. */
int transport_watch(TransportObject *self);
void transport_unwatch(TransportObject *self);
/* loop.call_soon(self._call_connection_lost, exception), once. 0 or -1. */
int transport_lose(TransportObject *self, PyObject *exception);
/* Hands the pending exception to self._fatal_error(). 0; -1 with an exception that must go on: SystemExit and
 * KeyboardInterrupt, or what _fatal_error raised. */
int transport_fatal(TransportObject *self, const char *message);
/* Logs "<transport> text" if the loop is in debug mode. 0 or -1. */
int transport_debug(TransportObject *self, const char *text);
/* Runs step(self) in a context (NULL: the current one), with a reference to self. An exception that need not leave the loop is
 * reported. 0 or -1. */
int transport_run(TransportObject *self, PyObject *context, int (*step)(TransportObject *self));

/* -- transport_read.c -- */

/* Gives input to the protocol until there is none, somebody stops it, or it has had its share of the turn. 0 or -1. */
int transport_read(TransportObject *self);
/* Starts (or goes on) reading, in the current context. 0 or -1. */
int transport_start_reading(TransportObject *self);

PyObject *transport_pause_reading(TransportObject *self, PyObject *ignored);
PyObject *transport_resume_reading(TransportObject *self, PyObject *ignored);

/* -- transport_write.c -- */

/* Sends what waits, when the kernel has room. 0 or -1. */
int transport_write_ready(TransportObject *self);

PyObject *transport_write(TransportObject *self, PyObject *data);
PyObject *transport_writelines(TransportObject *self, PyObject *list);
PyObject *transport_write_eof(TransportObject *self, PyObject *ignored);

#endif
