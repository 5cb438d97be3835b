/* HTTPServerRequest over a parsed head: each attribute is made when it is looked at. */
#ifndef NATIVE_REQUEST_H
#define NATIVE_REQUEST_H

#include "module.h"

#include "connection.h"

/* X(field, attribute): attributes that Tornado's HTTPServerRequest has. */
/* clang-format off */
#define REQUEST_SLOTS(X)                                                                                                        \
    X(method, "method") X(uri, "uri") X(version, "version") X(headers, "headers") X(body, "body") X(remote_ip, "remote_ip")     \
    X(protocol, "protocol") X(host, "host") X(host_name, "host_name") X(files, "files") X(connection, "connection")             \
    X(server_connection, "server_connection") X(start_time, "_start_time") X(finish_time, "_finish_time") X(path, "path")       \
    X(query, "query") X(arguments, "arguments") X(query_arguments, "query_arguments") X(body_arguments, "body_arguments")
/* clang-format on */

enum request_slot {
#define X(field, attribute) REQUEST_##field,
    REQUEST_SLOTS(X)
#undef X
        REQUEST_SLOT_COUNT
};

typedef struct request_object {
    PyObject_HEAD
    struct native_state *state;
    struct td_head *head;                /* owned; NULL if Python made the request */
    ServerConnectionObject *transport;   /* owned; NULL if Python made the request */
    uint32_t sequence;                   /* of the exchange in transport */
    uint32_t deleted;                    /* bit for each slot that Python has deleted and not set again */
    double started;                      /* seconds since the epoch */
    PyObject *slots[REQUEST_SLOT_COUNT]; /* owned; NULL until made or set */
    PyObject *dict;
    PyObject *weakrefs;
} RequestObject;

/* The request of the connection's current head. New reference; NULL with an exception. */
RequestObject *request_new(ServerConnectionObject *connection);
/* An attribute, made if need be. Borrowed; NULL with an exception. */
PyObject *request_slot(RequestObject *self, enum request_slot slot);
/* Is it a native request whose answer may still be written through its connection in C? */
bool request_is_live(RequestObject *self);
/* The path as it was received, for routing. If Python has set another, that one: then held is a new reference that the caller
 * drops. False with an exception if it is no latin-1 str. */
bool request_path_span(RequestObject *self, struct td_span *path);
/* The method, likewise; false without an exception if Python has set something that is no latin-1 str. */
bool request_method_span(RequestObject *self, struct td_span *method);
/* RequestStartLine of a head. New reference; NULL with an exception. */
PyObject *request_start_line(struct native_state *state, const struct td_head *head);
/* Does the Content-Type say that the body is a form, so that _parse_body would look at it? True if in doubt. */
bool request_may_be_form(RequestObject *self);
/* request._parse_body(), if there may be something to parse. 0, or -1 with an exception: HTTPInputError for a bad body. */
int request_parse_body(RequestObject *self);
/* Is there an If-None-Match? True if in doubt. */
bool request_may_be_conditional(RequestObject *self);

#endif
