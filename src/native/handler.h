/* RequestHandler: the state of one answer, and the frame of its life.
 *
 * handler.c            the object, its attributes, __init__ and clear
 * handler_arguments.c  get_argument() and its kin
 * handler_output.c     set_status, set_header, write, flush, finish
 * handler_run.c        from the routed request to the finished answer */
#ifndef NATIVE_HANDLER_H
#define NATIVE_HANDLER_H

#include "module.h"

#include <stdbool.h>

#include "connection.h"

/* An attribute that is a list or a dict, mostly an empty one. */
struct handler_container {
    PyObject *object; /* owned or NULL */
    bool unmade;      /* object is NULL and stands for an empty one, made when somebody looks */
};

typedef struct handler_object {
    PyObject_HEAD
    struct native_state *state;
    PyObject *application;               /* owned */
    PyObject *request;                   /* owned */
    PyObject *headers;                   /* owned; NULL: Tornado's defaults, of the second `date` */
    PyObject *buffer;                    /* owned: NULL (nothing written), one bytes object, or the list that Python sees */
    PyObject *reason;                    /* owned; NULL: the standard one */
    PyObject *prepared_future;           /* owned; NULL: None */
    struct handler_container transforms; /* nothing before _execute, and the next two */
    struct handler_container path_args;
    struct handler_container path_kwargs;
    PyObject *ui; /* owned; NULL: not made yet */
    PyObject *dict;
    PyObject *weakrefs;
    double date; /* seconds since the epoch, of clear() */
    long status_code;
    int64_t content_length; /* of an answer with default headers, once finished; -1: none */
    char etag[48];          /* the same; empty: none */
    bool etag_given;
    bool headers_written;
    bool finished;
    bool auto_finish;
    bool closes; /* default headers: the answer said Connection: close */
    bool keeps;  /* default headers: the answer said Connection: Keep-Alive */
    bool chunks; /* default headers: the answer said Transfer-Encoding: chunked */
} HandlerObject;

/* -- handler.c -- */

/* handler_class(application, request, **kwargs), for any class; kwargs (a dict) may be NULL. New reference or NULL. */
PyObject *handler_make(struct native_state *state, PyObject *handler_class, PyObject *application, PyObject *request,
                       PyObject *kwargs);
/* _headers as an object, made of the defaults if need be. Borrowed; NULL with an exception. */
PyObject *handler_headers(HandlerObject *self);
/* _write_buffer as the list that Python sees. Borrowed; NULL with an exception. */
PyObject *handler_buffer_list(HandlerObject *self);
/* Sets an attribute. Steals object; NULL: it is empty. */
void handler_set_container(struct handler_container *container, PyObject *object);
/* _reason as a str. Borrowed; NULL with an exception. */
PyObject *handler_reason(HandlerObject *self);
/* The hooks (guard.h) that the handler's class or the object itself changes. */
uint64_t handler_mask(HandlerObject *self);
/* The connection if the answer may be written there in C: a native request whose exchange goes on. Borrowed or NULL. */
ServerConnectionObject *handler_connection(HandlerObject *self);
/* clear() without the hook set_default_headers, and with it where the mask says so. 0 or -1. */
void handler_reset(HandlerObject *self);
int handler_clear_response(HandlerObject *self, uint64_t mask);

/* -- handler_arguments.c -- */

/* _get_argument and _get_arguments; the public methods are objects of a type of their own (tornadoc/web.py). */
extern PyMethodDef handler_argument_methods[];

/* -- handler_output.c -- */

extern PyMethodDef handler_output_methods[];

/* The method of Tornado's class on self, for what is not done here. New reference or NULL. */
PyObject *handler_call_tornado(HandlerObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames);

/* set_status(code) with the standard reason. */
void handler_set_status(HandlerObject *self, long code);
/* write(chunk). 0 or -1. */
int handler_write(HandlerObject *self, PyObject *chunk);
/* finish(chunk), chunk may be NULL. want_future: a new Future for the flushed bytes, else None. NULL with an exception. */
PyObject *handler_finish(HandlerObject *self, PyObject *chunk, bool want_future);

/* -- handler_run.c -- */

/* Runs the connection's routed request: makes the handler and takes it as far as it goes without waiting. 0, or -1 with an
 * exception that must leave the loop. */
int handler_run(ServerConnectionObject *connection);
/* Does the class want its request's body in pieces (stream_request_body)? */
bool handler_streams_body(struct native_state *state, PyObject *handler_class);

#endif
