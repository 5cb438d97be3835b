/* A socket that sock_recv() and its kin have waited for, which stays in the engine's set between one wait and the next.
 *
 * The engine keeps the watches in a dict by descriptor. A watch is that of one socket object, remembered weakly: as long as the
 * object has its descriptor, the kernel's registration is of the same open file. Whoever else wants to watch the descriptor
 * with the same engine takes it over (socket_watch_release). */
#ifndef NATIVE_SOCKET_WATCH_H
#define NATIVE_SOCKET_WATCH_H

#include "engine.h"

struct socket_operation;

/* Operations that wait, oldest first; linked by `next`. The list owns a reference to each. */
struct socket_queue {
    struct socket_operation *first;
    struct socket_operation *last;
};

typedef struct {
    PyObject_HEAD
    struct native_state *state;
    EngineObject *engine; /* owned */
    PyObject *socket_ref; /* owned: weak reference to the socket object */
    struct engine_source source;
    struct socket_queue readers;
    struct socket_queue writers;
    uint32_t events; /* that the kernel reports */
    int idle;        /* input events in a row that nobody waited for */
} SocketWatchObject;

/* The watch of a socket with this descriptor, made if there is none. New reference; NULL with an exception: FileExistsError when
 * somebody else watches the descriptor with this engine. *known tells whether there was one. */
SocketWatchObject *socket_watch_of(EngineObject *engine, PyObject *sock, int fd, bool *known);
/* Has the kernel tell of input or output, if it doesn't. 0 or -1. */
int socket_watch_arm(SocketWatchObject *self, bool output);
/* Stops watching a descriptor for sockets. Operations that wait go on through loop.add_reader() and add_writer(). */
void socket_watch_release(EngineObject *engine, int fd);

#endif
