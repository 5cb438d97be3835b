/* A stream's unsent output: what Python sees as stream._write_buffer, with the methods of Tornado's _StreamBuffer. */
#ifndef NATIVE_STREAM_BUFFER_H
#define NATIVE_STREAM_BUFFER_H

#include "module.h"

#include "core/outbuf.h"

typedef struct {
    PyObject_HEAD
    struct td_outbuf out;
} StreamBufferObject;

/* An empty one. New reference or NULL. */
StreamBufferObject *stream_buffer_new(struct native_state *state);
/* Appends data (anything with a contiguous buffer) from byte `offset` on: small pieces are copied, large ones are held until they
 * are sent. 0, or -1 with an exception. */
int stream_buffer_put(StreamBufferObject *self, PyObject *data, size_t offset);

#endif
