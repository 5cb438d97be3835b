/* SocketOperation: the coroutine that sock_recv(), sock_recv_into(), sock_sendall() and sock_accept() return. */
#ifndef NATIVE_SOCKET_OPERATION_H
#define NATIVE_SOCKET_OPERATION_H

#include "socket_watch.h"

enum socket_action { SOCKET_RECV, SOCKET_RECV_INTO, SOCKET_SENDALL, SOCKET_ACCEPT };

enum operation_phase {
    OPERATION_NEW,     /* not awaited */
    OPERATION_WAITING, /* suspended, `future` will have the result */
    OPERATION_DONE
};

typedef struct socket_operation {
    PyObject_HEAD
    struct native_state *state;
    enum socket_action action;
    enum operation_phase phase;
    PyObject *loop;                /* owned */
    PyObject *sock;                /* owned: exactly a socket.socket */
    PyObject *data;                /* owned: the buffer, or NULL */
    Py_buffer view;                /* of data, while it is under way; view.obj is NULL otherwise */
    Py_ssize_t position;           /* bytes asked for, or sent so far */
    PyObject *future;              /* owned: what the task waits for */
    SocketWatchObject *watch;      /* owned: where it is queued; NULL if it is not */
    struct socket_operation *next; /* in the queue */
    PyObject *stop_polling;        /* owned: ends a wait through loop.add_reader() or add_writer(); NULL if there is none */
    bool running;                  /* inside of a call that the coroutine's methods must not come in between */
    int fd;
} SocketOperationObject;

/* sock must be a plain socket, whose methods nobody has replaced. data: the buffer or NULL; size: bytes to receive. New
 * reference or NULL. */
PyObject *socket_operation_new(struct native_state *state, enum socket_action action, PyObject *loop, PyObject *sock,
                               PyObject *data, Py_ssize_t size);

/* The descriptor may be ready: does what it can and resolves the future. True if the operation has ended and was taken out of
 * its queue; false if it still waits. Exceptions of callbacks are reported. *exit is set when one must leave the loop. */
bool socket_operation_ready(SocketOperationObject *self, bool *exit);
/* What an attempt came to. */
enum socket_outcome {
    OUTCOME_DONE,
    OUTCOME_AGAIN, /* not now */
    OUTCOME_FAILED /* an exception is pending */
};

/* Tries the operation. *result: new reference, when it is done. */
enum socket_outcome socket_operation_attempt(SocketOperationObject *self, PyObject **result);
bool socket_operation_is_output(const SocketOperationObject *self);
/* Has it go on waiting, in the next iteration of the loop, through add_reader() or add_writer(). */
void socket_operation_poll_soon(SocketOperationObject *self);

#endif
