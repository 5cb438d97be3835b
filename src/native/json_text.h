/* A dict as JSON. */
#ifndef NATIVE_JSON_TEXT_H
#define NATIVE_JSON_TEXT_H

#include "module.h"

/* utf8(tornado.escape.json_encode(dict)) by the standard library's encoder, which json.dumps() would make anew, as long as that
 * function and what it calls are Tornado's and the standard library's own. New reference (bytes). NULL without an exception:
 * json_encode() has to be called, because something is replaced or because it will raise. NULL with an exception on error. */
PyObject *json_text_of(struct native_state *state, PyObject *dict);

#endif
