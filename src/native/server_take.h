/* HTTPServer's methods for connections that come as streams. */
#ifndef NATIVE_SERVER_TAKE_H
#define NATIVE_SERVER_TAKE_H

#include "server.h"

extern PyMethodDef server_take_methods[];

#endif
