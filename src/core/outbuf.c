/* See outbuf.h. */
#include "outbuf.h"

#include <string.h>

#include "alloc.h"

static struct td_outseg *new_block(void)
{
    struct td_outseg *segment = td_block_take();
    if (segment != NULL) {
        *segment = (struct td_outseg){.data = (char *)(segment + 1), .room = TD_BLOCK_SIZE - sizeof(*segment)};
    }
    return segment;
}

static void link_last(struct td_outbuf *out, struct td_outseg *segment)
{
    if (out->last != NULL) {
        out->last->next = segment;
    }
    else {
        out->first = segment;
    }
    out->last = segment;
}

/* Frees a chain that is no part of the buffer any more: release functions may look at the buffer, add to it and clear it. */
static void drop_chain(struct td_outseg *segment)
{
    while (segment != NULL) {
        struct td_outseg *next = segment->next;
        if (segment->release != NULL) {
            void *owner = segment->owner;
            void (*release)(void *) = segment->release;
            td_free(segment);
            release(owner);
        }
        else {
            td_block_give(segment);
        }
        segment = next;
    }
}

char *td_outbuf_reserve(struct td_outbuf *out, size_t len)
{
    if (out->last == NULL || out->last->room < len) {
        struct td_outseg *segment = new_block();
        if (segment == NULL) {
            return NULL;
        }
        link_last(out, segment);
    }
    return out->last->data + out->last->len;
}

void td_outbuf_commit(struct td_outbuf *out, size_t len)
{
    out->last->len += len;
    out->last->room -= len;
    out->size += len;
    out->written += len;
}

enum td_status td_outbuf_append(struct td_outbuf *out, const char *data, size_t len)
{
    while (len > 0) {
        if (td_outbuf_reserve(out, 1) == NULL) {
            return TD_NOMEM;
        }
        size_t part = len < out->last->room ? len : out->last->room;
        memcpy(out->last->data + out->last->len, data, part);
        td_outbuf_commit(out, part);
        data += part;
        len -= part;
    }
    return TD_OK;
}

enum td_status td_outbuf_append_held(struct td_outbuf *out, const char *data, size_t len, void *owner,
                                     void (*release)(void *owner))
{
    struct td_outseg *segment = td_malloc(sizeof(*segment));
    if (segment == NULL) {
        return TD_NOMEM;
    }
    *segment = (struct td_outseg){.data = (char *)data, .len = len, .owner = owner, .release = release};
    link_last(out, segment);
    out->size += len;
    out->written += len;
    return TD_OK;
}

void td_outbuf_splice(struct td_outbuf *out, struct td_outbuf *added)
{
    if (added->first == NULL) {
        return;
    }
    if (out->last != NULL) {
        out->last->next = added->first;
    }
    else {
        out->first = added->first;
    }
    out->last = added->last;
    out->size += added->size;
    out->written += added->size;
    *added = (struct td_outbuf){0};
}

int td_outbuf_vector(const struct td_outbuf *out, struct iovec *vector, int max)
{
    int count = 0;
    for (const struct td_outseg *segment = out->first; segment != NULL && count < max; segment = segment->next) {
        if (segment->len > 0) {
            vector[count++] = (struct iovec){.iov_base = segment->data, .iov_len = segment->len};
        }
    }
    return count;
}

void td_outbuf_advance(struct td_outbuf *out, size_t len)
{
    struct td_outseg *sent = out->first;
    struct td_outseg *last_sent = NULL;
    struct td_outseg *segment = sent;
    out->size -= len;
    while (segment != NULL && len >= segment->len) {
        len -= segment->len;
        last_sent = segment;
        segment = segment->next;
    }
    if (segment != NULL) {
        segment->data += len;
        segment->len -= len;
    }
    if (last_sent != NULL) {
        out->first = segment;
        if (segment == NULL) {
            out->last = NULL;
        }
        last_sent->next = NULL;
        drop_chain(sent);
    }
}

void td_outbuf_clear(struct td_outbuf *out)
{
    struct td_outseg *first = out->first;
    out->first = NULL;
    out->last = NULL;
    out->size = 0;
    drop_chain(first);
}
