/* See inbuf.h. */
#include "inbuf.h"

#include <string.h>

#include "alloc.h"

enum td_status td_inbuf_append(struct td_inbuf *in, const char *data, size_t len)
{
    if (len == 0) {
        return TD_OK;
    }
    if (in->start + in->len + len > in->capacity) {
        size_t need = in->len + len;
        size_t capacity = in->capacity > need / 2 ? in->capacity * 2 : need;
        if (capacity < 256) {
            capacity = 256;
        }
        /* Moving only when the dead front is the larger part keeps a long message linear. */
        if (in->start >= in->len && need <= in->capacity) {
            memmove(in->memory, in->memory + in->start, in->len);
        }
        else {
            char *memory = td_malloc(capacity);
            if (memory == NULL) {
                return TD_NOMEM;
            }
            if (in->len) {
                memcpy(memory, in->memory + in->start, in->len);
            }
            td_free(in->memory);
            in->memory = memory;
            in->capacity = capacity;
        }
        in->start = 0;
    }
    memcpy(in->memory + in->start + in->len, data, len);
    in->len += len;
    return TD_OK;
}

void td_inbuf_consume(struct td_inbuf *in, size_t len)
{
    in->start += len;
    in->len -= len;
    if (in->len == 0) {
        td_inbuf_clear(in);
    }
}

void td_inbuf_clear(struct td_inbuf *in)
{
    td_free(in->memory);
    *in = (struct td_inbuf){0};
}
