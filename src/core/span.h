/* A piece of somebody else's bytes. A span owns nothing. */
#ifndef TD_SPAN_H
#define TD_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct td_span {
    const char *data; /* borrowed; the holder of the span knows from whom */
    size_t len;       /* bytes */
};

static inline struct td_span td_span_of(const char *data, size_t len)
{
    struct td_span span = {data, len};
    return span;
}

static inline char td_ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* The value of a hexadecimal digit; -1: it is none. */
static inline int td_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = td_ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Exact comparison with a NUL-terminated literal. */
static inline bool td_span_is(struct td_span span, const char *literal)
{
    size_t len = strlen(literal);
    return span.len == len && memcmp(span.data, literal, len) == 0;
}

/* Comparison with a literal that is already lower case; ASCII case of the span is ignored. */
static inline bool td_span_is_nocase(struct td_span span, const char *lower)
{
    size_t len = strlen(lower);
    if (span.len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (td_ascii_lower(span.data[i]) != lower[i]) {
            return false;
        }
    }
    return true;
}

#endif
