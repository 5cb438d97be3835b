/* HTTPHeaders: Tornado's case-insensitive multi-dict, made lazily from a request head or filled by a handler. */
#ifndef NATIVE_HEADERS_H
#define NATIVE_HEADERS_H

#include "module.h"

#include "core/http_head.h"

typedef struct {
    PyObject_HEAD
    struct native_state *state; /* borrowed from the type's module */
    struct td_head *head;       /* owned; header lines not yet turned into `map`; NULL once they are */
    PyObject *map;              /* owned dict: Http-Header-Case str -> str, or list of str for a repeated field; NULL while
                                   `head` is set or nothing was ever stored */
    PyObject *dict;             /* instance __dict__ */
    PyObject *weakrefs;
} HeadersObject;

/* An empty instance of the bound class (tornadoc.httputil.HTTPHeaders). New reference or NULL. */
PyObject *headers_new(struct native_state *state);
/* The same over a request head, which it retains; nothing is decoded until somebody looks. New reference or NULL. */
PyObject *headers_from_head(struct native_state *state, struct td_head *head);

/* Is it a native headers object of exactly the bound class, so that C may work on it past attribute lookup? */
int headers_is_plain(struct native_state *state, PyObject *object);

/* The dict behind it, decoding the head if need be (keys normalized, values str or list of str). Borrowed; NULL with error. */
PyObject *headers_map(HeadersObject *self);

/* Access by a name that is already in Http-Header-Case. `get` returns a borrowed str (repeated fields joined with ","), or NULL
 * without an exception when absent, NULL with one on error. `set` replaces, keeping the place of an existing name. `del` returns
 * 1 if there was one, 0 if not, -1 on error. `contains` 1, 0, -1. */
PyObject *headers_get_normal(HeadersObject *self, PyObject *normal_name);
int headers_set_normal(HeadersObject *self, PyObject *normal_name, PyObject *value);
int headers_del_normal(HeadersObject *self, PyObject *normal_name);
int headers_contains_normal(HeadersObject *self, PyObject *normal_name);

/* HTTPHeaders.add: checks name and value (HTTPInputError), appends. 0 or -1. */
int headers_add(HeadersObject *self, PyObject *name, PyObject *value);

/* A name in Http-Header-Case (httputil._normalize_header), interned and cached. New reference or NULL. */
PyObject *headers_normalize(struct native_state *state, PyObject *name);

#endif
