/* Bytes that were received and not consumed yet. Empty, it holds no memory. */
#ifndef TD_INBUF_H
#define TD_INBUF_H

#include <stddef.h>

#include "status.h"

struct td_inbuf {
    char *memory; /* owned; NULL while empty */
    size_t start; /* of the unconsumed bytes */
    size_t len;
    size_t capacity;
};

static inline const char *td_inbuf_data(const struct td_inbuf *in)
{
    return in->memory + in->start;
}

/* Copies len bytes to the end. TD_NOMEM changes nothing. */
TD_MUST_CHECK enum td_status td_inbuf_append(struct td_inbuf *in, const char *data, size_t len);
/* Drops len bytes (at most in->len) from the front; the last byte takes the memory with it. */
void td_inbuf_consume(struct td_inbuf *in, size_t len);
void td_inbuf_clear(struct td_inbuf *in);

#endif
