/* A listening socket of an HTTPServer in the engine's epoll set. */
#ifndef NATIVE_LISTENER_H
#define NATIVE_LISTENER_H

#include "engine.h"
#include "server.h"

#define LISTENER_BATCH 128 /* accepts for one event, as Tornado */

/* Starts accepting on a Python socket. New reference to a Listener; calling it stops it (Tornado's add_accept_handler gives such
 * a function). NULL with an exception. */
PyObject *listener_new(ServerObject *server, EngineObject *engine, PyObject *socket);

#endif
