/* The access log of a finished request. */
#ifndef NATIVE_ACCESS_LOG_H
#define NATIVE_ACCESS_LOG_H

#include "handler.h"

/* Application.log_request: calls it, unless it is Tornado's own, no log_function is set, and the access logger would drop the
 * record. mask is handler_mask(handler). 0 or -1. */
int access_log_request(HandlerObject *handler, uint64_t mask);

#endif
