/* HTTPServer: the settings of its connections, and its listening sockets. */
#ifndef NATIVE_SERVER_H
#define NATIVE_SERVER_H

#include "module.h"

#include <stdbool.h>
#include <stdint.h>

struct engine_object;
struct application_object;

typedef struct server_object {
    PyObject_HEAD
    struct native_state *state;
    /* Read from the attributes that Tornado gives the server, at each batch of accepts. */
    bool no_keep_alive;
    bool xheaders;
    bool decompress;
    bool native_accept; /* nobody overrides how a connection is handled */
    bool native_start;  /* nobody overrides start_request */
    bool native_close;  /* nobody overrides on_close */
    size_t chunk_size;
    size_t max_header_size;
    uint64_t max_body_size;
    uint64_t max_buffer_size;
    double header_timeout;      /* seconds */
    double body_timeout;        /* seconds; negative: none */
    PyObject *protocol;         /* owned str or NULL */
    PyObject *request_callback; /* owned */
    PyObject *connections;      /* owned: the set self._connections */
    PyObject *context;          /* owned contextvars.Context that requests copy; of the first add_sockets */
    PyObject *ssl_options;      /* owned; None: plain connections */
    PyObject *tls_context;      /* owned ssl.SSLContext that ssl_options stand for; NULL: plain connections, or not made yet */
    PyObject *tls_source;       /* owned: tells whether they stand for it still */
    PyObject *dict;
    PyObject *weakrefs;
} ServerObject;

/* Reads the settings again. 0, or -1 with an exception. */
int server_refresh(ServerObject *self);
/* Before a native accept: makes tls_context what ssl_options stand for. 1; 0 if their connections must be Tornado's; or -1 with
 * an exception. */
int server_prepare_tls(ServerObject *self);
/* The application that serves this server's requests natively, or NULL (general path). Looked up for each request, because
 * classes may be patched at any time. Borrowed. */
struct application_object *server_application(ServerObject *self);
/* The function that answers this server's requests natively, or NULL (an Application, or the general path). Borrowed. */
PyObject *server_function(ServerObject *self);
/* Are requests for a delegate, which start_request() makes? */
bool server_wants_delegate(ServerObject *self);
/* Tells Tornado's side that the connection is gone (HTTPServer.on_close). Exceptions are logged. */
void server_forget(ServerObject *self, PyObject *connection);

#endif
