/* HTTPServerRequest over a parsed head: each attribute is made when it is looked at.
 *
 * request.c            the object and its attributes
 * request_arguments.c  arguments, query_arguments and body_arguments */
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
/* What stands behind the '?' of the target, in the head's bytes. */
static inline struct td_span request_query_span(const struct td_head *head)
{
    struct td_span target = td_head_target(head);
    return head->path_len < target.len ? td_span_of(target.data + head->path_len + 1, target.len - head->path_len - 1)
                                       : td_span_of(target.data, 0);
}

/* -- request_arguments.c -- */

/* HTTPServerRequest.__init__ parses the query at once and refuses too many arguments. Of a new request that has a query, sees
 * that this may be put off; where Tornado's functions are not the ones it knows, it is done at once. 0, or -1 with an exception:
 * HTTPInputError for a bad query. */
int request_check_query(RequestObject *self);
/* arguments or query_arguments of the query alone. New reference to a dict; NULL with an exception. */
PyObject *request_make_arguments(RequestObject *self, enum request_slot slot);
/* Is the attribute, one of the two above, still the query and nothing else, which may be parsed natively? *query: its text, not
 * empty, in the head's bytes. */
bool request_unparsed_query(RequestObject *self, enum request_slot slot, struct td_span *query);
/* Is httputil.parse_body_arguments Tornado's own? */
bool request_has_plain_body_parser(struct native_state *state);
/* _parse_body of application/x-www-form-urlencoded, on a request none of whose attributes is deleted and whose body_arguments are
 * not made, with Tornado's parse_body_arguments. 1, 0 if Tornado's has to do it, or -1 with an exception. */
int request_parse_form(RequestObject *self);

#endif
