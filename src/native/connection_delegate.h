/* The general path: a connection that drives an HTTPMessageDelegate, as Tornado's HTTP1Connection does. */
#ifndef NATIVE_CONNECTION_DELEGATE_H
#define NATIVE_CONNECTION_DELEGATE_H

#include "application.h"
#include "connection.h"

/* Asks the server's start_request for the delegate of the next message. 0, or -1 with an exception. */
int conn_start_delegate(ServerConnectionObject *self);
/* Takes the delegate that a route names, or makes Tornado's _HandlerDelegate for a handler that needs one (streaming, compressed
 * body). 0 or -1. */
int conn_take_route_delegate(ServerConnectionObject *self, ApplicationObject *application, struct route *route);
/* Calls headers_received and, unless it asks to wait, goes on to the body. 0, or -1 with an exception that Tornado would log. */
int conn_delegate_headers(ServerConnectionObject *self);
/* Reads on and calls data_received and finish. 1: call again; 0: wait for something; -1: an exception must leave the loop. */
int conn_delegate_body(ServerConnectionObject *self);

/* -- of connection_read.c and connection_request.c, for both paths -- */

/* A complete head: finds who takes the request, up to the start of its body. 0, or -1 with an exception that Tornado would log.
 */
int conn_begin_request(ServerConnectionObject *self);

/* A view of the unread input, receiving if there is none (or none that helps). False: nothing to read; the connection may be
 * closed now. The view may lie in the engine's scratch: call conn_settle_input before any call into Python. */
bool conn_next_input(ServerConnectionObject *self, struct td_span *input, bool *in_scratch);
/* The same with what is received now, even if others should have their turn: for no more than a piece of a body. */
bool conn_more_input(ServerConnectionObject *self, struct td_span *input, bool *in_scratch);
/* Takes `consumed` bytes off the view and keeps the rest. False (closed) without memory. */
bool conn_settle_input(ServerConnectionObject *self, struct td_span input, bool in_scratch, size_t consumed);

/* Refuses the message: the pending HTTPInputError or the verdict is logged, 400 (or 431) is sent, and the connection closes. */
void conn_refuse_pending(ServerConnectionObject *self);
void conn_refuse(ServerConnectionObject *self, const struct td_verdict *why);
/* Logs what is wrong with the head as a refusal does, and no more. */
void conn_log_fault(ServerConnectionObject *self, const struct td_verdict *why);
/* Deals with the pending exception of a delegate's method. 0, or -1 if it must leave the loop. */
int conn_request_failed(ServerConnectionObject *self);
int conn_send_continue(ServerConnectionObject *self);
/* Reads the framing (refusing what is wrong with it) and enters CONN_BODY. headers: where one Content-Length of several is to be
 * left; may be NULL if there are not several. 0 or -1. */
int conn_begin_body(ServerConnectionObject *self, PyObject *headers);
void conn_unapply_xheaders(ServerConnectionObject *self);
/* Has the server's function answer the complete request. 0, or -1 with an exception that must leave the loop. */
int conn_call_function(ServerConnectionObject *self);

#endif
