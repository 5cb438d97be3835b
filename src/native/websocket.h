/* The frames of a server's WebSockets, taken out of a stream's input and made, for tornadoc/_websocket.py. */
#ifndef NATIVE_WEBSOCKET_H
#define NATIVE_WEBSOCKET_H

#include "module.h"

/* Adds the functions to the module. 0 or -1. */
int websocket_add(PyObject *module);

#endif
