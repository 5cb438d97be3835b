/* Bytes to send: a chain of pooled blocks (copied bytes) and of borrowed memory that is held until it is sent.
 * Empty, it holds no memory. */
#ifndef TD_OUTBUF_H
#define TD_OUTBUF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "status.h"

#define TD_OUTBUF_COPY_MAX 16384 /* bytes up to which copying is cheaper than holding the owner */

struct td_outseg {
    struct td_outseg *next;
    char *data;  /* first byte not sent */
    size_t len;  /* bytes not sent */
    size_t room; /* free bytes behind them; 0 for borrowed memory */
    void *owner; /* what keeps borrowed memory alive; NULL for a block */
    void (*release)(void *owner);
};

struct td_outbuf {
    struct td_outseg *first;
    struct td_outseg *last;
    size_t size;      /* bytes not sent */
    uint64_t written; /* bytes ever appended */
};

/* A contiguous place for up to len bytes (at most TD_OUTBUF_ROOM), made part of the buffer by td_outbuf_commit; NULL without
 * memory. Nothing may be appended in between. */
#define TD_OUTBUF_ROOM 8192
char *td_outbuf_reserve(struct td_outbuf *out, size_t len);
void td_outbuf_commit(struct td_outbuf *out, size_t len);

/* Copies. TD_NOMEM may leave a part appended: the caller gives up the connection. */
TD_MUST_CHECK enum td_status td_outbuf_append(struct td_outbuf *out, const char *data, size_t len);
/* Appends memory that belongs to owner; release(owner) is called once it is sent or dropped. On TD_NOMEM it is not called. */
TD_MUST_CHECK enum td_status td_outbuf_append_held(struct td_outbuf *out, const char *data, size_t len, void *owner,
                                                   void (*release)(void *owner));
/* Moves everything from `added` to the end of `out`. */
void td_outbuf_splice(struct td_outbuf *out, struct td_outbuf *added);
/* Fills up to max entries; the number filled. */
int td_outbuf_vector(const struct td_outbuf *out, struct iovec *vector, int max);
/* Drops len sent bytes (at most out->size). May call release functions. */
void td_outbuf_advance(struct td_outbuf *out, size_t len);
void td_outbuf_clear(struct td_outbuf *out);

#endif
