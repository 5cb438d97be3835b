/* A dict as JSON. */
#ifndef NATIVE_JSON_TEXT_H
#define NATIVE_JSON_TEXT_H

#include "module.h"

/* utf8(tornado.escape.json_encode(dict)) for values of the plain types, as long as that function and what it calls are Tornado's
 * and the standard library's own. New reference (bytes). NULL without an exception: it has to be called, because of the dict
 * or because something is replaced; nothing has been looked at that a program could notice. NULL with an exception on error. */
PyObject *json_text_of(struct native_state *state, PyObject *dict);

#endif
