/* HTTP1Connection: one request and its answer, as Python sees them through request.connection. */
#ifndef NATIVE_EXCHANGE_H
#define NATIVE_EXCHANGE_H

#include "connection.h"

typedef struct exchange_object {
    PyObject_HEAD
    struct native_state *state;
    ServerConnectionObject *connection; /* owned */
    uint32_t sequence; /* of the exchange it stands for; another one in the connection means that this one is over */
    bool detached;
    PyObject *request_start_line;  /* owned or NULL: made when asked for */
    PyObject *request_headers;     /* owned or NULL */
    PyObject *response_start_line; /* owned or NULL */
    struct td_head *head;          /* owned; of the request, NULL before it is read */
    PyObject *no_keep_alive;       /* owned or NULL: what was assigned to the attribute */
    PyObject *dict;
    PyObject *weakrefs;
} ExchangeObject;

/* The object for the connection's current exchange. Borrowed; NULL with an exception. */
ExchangeObject *exchange_current(ServerConnectionObject *connection);
/* A new object for that exchange of the connection, be it the current one or an old one. head may be NULL. NULL with an
 * exception. */
ExchangeObject *exchange_new(ServerConnectionObject *connection, uint32_t sequence, struct td_head *head);
/* Gives it the request's head once that is read. */
void exchange_set_head(ExchangeObject *self, struct td_head *head);
/* May C answer without calling write_headers and finish through Python? True unless somebody changed them. */
bool exchange_is_plain(ServerConnectionObject *connection);
/* HTTP1Connection.write_headers without the call: head of the answer, then the chunk (bytes or NULL). headers is any object with
 * get_all(); its Connection and Transfer-Encoding are set as Tornado sets them. 0 or -1. */
int exchange_write_headers(ServerConnectionObject *connection, long code, PyObject *reason, PyObject *headers, PyObject *chunk);

#endif
