/* A parsed request head: start line and header fields, in one reference-counted block.
 *
 * Requests and header objects share the block and make Python strings from it when somebody looks. Bytes are kept as received
 * (latin-1); field values are stripped of surrounding SP and TAB. */
#ifndef TD_HTTP_HEAD_H
#define TD_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "span.h"

#define TD_MAX_FIELDS 1000 /* header lines in one head */

struct td_field {
    uint32_t name; /* offset into text */
    uint32_t name_len;
    uint32_t value; /* offset into text */
    uint32_t value_len;
};

struct td_head {
    uint32_t refs;
    uint32_t field_count;
    uint32_t method_len; /* the method starts at text[0] */
    uint32_t target;     /* offset into text */
    uint32_t target_len;
    uint32_t path_len;     /* of the target, up to the first '?' or its end */
    uint8_t version_minor; /* HTTP/1.x */
    uint32_t text_len;
    uint64_t names;          /* td_head_name_bit of each field's name: most lookups are for what is not there */
    struct td_field *fields; /* into this same allocation */
    char *text;              /* into this same allocation; not NUL-terminated */
};

void td_head_retain(struct td_head *head);
/* Drops a reference; frees the block with the last one. NULL is allowed. */
void td_head_release(struct td_head *head);

static inline struct td_span td_head_method(const struct td_head *head)
{
    return td_span_of(head->text, head->method_len);
}

static inline struct td_span td_head_target(const struct td_head *head)
{
    return td_span_of(head->text + head->target, head->target_len);
}

static inline struct td_span td_field_name(const struct td_head *head, const struct td_field *field)
{
    return td_span_of(head->text + field->name, field->name_len);
}

static inline struct td_span td_field_value(const struct td_head *head, const struct td_field *field)
{
    return td_span_of(head->text + field->value, field->value_len);
}

/* A bit of head->names for a field's name of at least one byte, the same in any case. The factor keeps the names that every
 * request is asked for apart from those that every browser sends. */
static inline uint64_t td_head_name_bit(const char *name, size_t len)
{
    return UINT64_C(1) << ((len * 3 + ((unsigned char)name[0] | 0x20u)) & 63);
}

const struct td_field *td_head_search(const struct td_head *head, const char *lower_name);

/* The first field of that (lower-case) name, or NULL. */
static inline const struct td_field *td_head_find(const struct td_head *head, const char *lower_name)
{
    return (head->names & td_head_name_bit(lower_name, strlen(lower_name))) != 0 ? td_head_search(head, lower_name) : NULL;
}

/* The next one after `field` with the same name as lower_name, or NULL. */
const struct td_field *td_head_find_next(const struct td_head *head, const struct td_field *field, const char *lower_name);

/* The combined value (HTTPHeaders.__getitem__): the values of all fields of that name joined by ",", written to out[0..size) as
 * far as they fit. Returns the whole length in bytes, so that (NULL, 0) asks for it. 0 if there is no such field. */
size_t td_head_combine(const struct td_head *head, const char *lower_name, char *out, size_t size);

#endif
