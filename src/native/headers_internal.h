/* What the files of HTTPHeaders share: headers.c (the type), headers_methods.c, headers_store.c,
 * headers_names.c, headers_pairs.c.
 *
 * Tornado keeps two dicts: `_as_list` (name -> list of values) and `_combined_cache` (name -> what reading gives, as far as
 * known). Here an entry of `map` is the value itself while there is just one; it stands for [value] in the first dict and for
 * value in the second. It becomes a list when a second value is added or somebody asks for the list; what reading it gave is then
 * in `combined`. When Python looks at one of the two dicts by name, all entries become lists and stay so (`exposed`): both dicts
 * are then as live as Tornado's, and Tornado's own methods work on this object. */
#ifndef NATIVE_HEADERS_INTERNAL_H
#define NATIVE_HEADERS_INTERNAL_H

#include "headers.h"

#include <stdbool.h>

struct full_headers {
    HeadersObject base;
    PyObject *combined; /* owned dict or NULL: name -> joined value, for entries that are lists */
    bool exposed;       /* every entry is a list, or whatever Python put there */
};

static inline struct full_headers *full_headers(HeadersObject *self)
{
    return (struct full_headers *)self;
}

/* ---- headers_names.c ---- */

/* HTTPHeaders.add's checks of a name and a value (RFC 9110 5.1, 5.5). chars_are_bytes: a str is latin-1 bytes and follows the
 * RFC; otherwise any character but controls will do. 0, or -1 with HTTPInputError, or TypeError for what is no text. */
int headers_check_name(struct native_state *state, PyObject *name);
int headers_check_value(struct native_state *state, PyObject *value, bool chars_are_bytes);
/* Sets HTTPInputError; `culprit` is for a %R in the message, or NULL. Always -1. */
int headers_refuse(struct native_state *state, const char *message, PyObject *culprit);
/* Sets the TypeError that Tornado's patterns raise for something that is no str. Always -1. */
int headers_refuse_type(struct native_state *state, PyObject *object);

/* object.<name>, and object.<name>(argument) (NULL: no argument), for names that names.h does not have. They are interned first:
 * CPython's method cache would fill up with equal strings. New reference or NULL. */
PyObject *headers_attribute(PyObject *object, const char *name);
PyObject *headers_call(PyObject *object, const char *name, PyObject *argument);

/* ---- headers_store.c ---- */

/* Is the entry one value, and no list of them? */
bool headers_entry_is_single(HeadersObject *self, PyObject *entry);
/* Another value for a name that is there. 0, or -1: KeyError if it is not. */
int headers_append_normal(HeadersObject *self, PyObject *normal_name, PyObject *value);
/* What reading gives, or is it there, for a name as written. The value is a new reference, NULL without an exception when absent;
 * 1, 0 or -1. */
PyObject *headers_find(HeadersObject *self, PyObject *name);
int headers_has(HeadersObject *self, PyObject *name);
/* The live list of a name's values (Tornado's get_list). New reference; NULL without an exception when absent. */
PyObject *headers_list_normal(HeadersObject *self, PyObject *normal_name);
/* Makes the two dicts Tornado's: every entry a list, `combined` there. 0 or -1. */
int headers_expose(HeadersObject *self);
/* Drops everything stored, as Tornado's __init__ does. */
void headers_reset(HeadersObject *self);

/* ---- headers_methods.c ---- */

extern PyMethodDef headers_methods[];

/* self.add(name, value, _chars_are_bytes=flag), however `add` is found. flag: NULL leaves the keyword out. 0 or -1. */
int headers_add_by_lookup(HeadersObject *self, PyObject *name, PyObject *value, PyObject *flag);
/* MutableMapping.update. args: a tuple, kwargs: a dict or NULL. 0 or -1. */
int headers_update(HeadersObject *self, PyObject *args, PyObject *kwargs);
/* Do lookups on self find this file's update, or its methods that C code takes for granted? */
bool headers_has_native_update(HeadersObject *self);
bool headers_has_native_methods(HeadersObject *self);

/* ---- headers.c ---- */

/* self[name] = value, or del self[name] when value is NULL, for a name as written. 0 or -1. */
int headers_set_item(HeadersObject *self, PyObject *name, PyObject *value);
/* Does the type take the mapping protocol from headers.c, all of it? */
bool headers_has_native_slots(PyTypeObject *type);

/* ---- headers_pairs.c ---- */

/* Makes the type of get_all()'s iterators and hangs it on the headers type. 0 or -1. */
int headers_pairs_setup(PyObject *module, struct native_state *state);
/* An iterator over (name, value), made for get_all(). New reference or NULL. */
PyObject *headers_pairs_new(HeadersObject *self);
/* iter(object.get_all()), however that is found. New reference or NULL. */
PyObject *headers_iterate(PyObject *object);

#endif
