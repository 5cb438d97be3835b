/* Body framing: a fixed length, or the chunked coding read byte by byte around its data. */
#include "http_body.h"

#include <assert.h>

enum state {
    DONE,
    FIXED,        /* remaining bytes of a Content-Length body */
    SIZE,         /* in the digits of a chunk size */
    EXTENSION,    /* behind the ';' of a size line */
    SIZE_LF,      /* the size line's CR was read */
    DATA,         /* remaining bytes of a chunk */
    DATA_CR,      /* the chunk's data was read */
    DATA_LF,      /* and its CR */
    TRAILER_NAME, /* at the start of a trailer line, or in its name */
    TRAILER_VALUE,
    TRAILER_LF, /* a trailer line's CR was read */
    LAST_LF     /* the CR of the empty line at the end was read */
};

_Static_assert(TD_MAX_CHUNK_DIGITS < UINT8_MAX, "td_body.digits counts them");

/* The longest name refused in a trailer is transfer-encoding; a name that fills the buffer is longer than that. */
static const char *const framing_fields[] = {"content-length", "transfer-encoding"};

void td_body_start(struct td_body *body, enum td_framing framing, uint64_t length, uint64_t max_size)
{
    memset(body, 0, sizeof *body);
    body->framing = (uint8_t)framing;
    body->max_size = max_size;
    if (framing == TD_FRAMING_CHUNKED) {
        body->state = SIZE;
    }
    else if (framing == TD_FRAMING_LENGTH && length > 0) {
        body->state = FIXED;
        body->remaining = length;
    }
    else {
        body->state = DONE;
    }
}

/* TAB, and everything from SP up but DEL: what may stand in an extension or in a trailer's value. */
static bool is_text(char c)
{
    unsigned char byte = (unsigned char)c;
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/* One byte of a size line up to its CR; false: it has no place there. */
static bool take_size_byte(struct td_body *body, char c)
{
    int digit = td_hex_value(c);
    if (digit >= 0) {
        if (body->digits == TD_MAX_CHUNK_DIGITS) {
            return false;
        }
        body->digits++;
        /* A size past 64 bits stays at the largest number, which is over any limit. */
        bool overflows = body->remaining > UINT64_MAX >> 4;
        body->remaining = overflows ? UINT64_MAX : (body->remaining << 4) | (uint64_t)digit;
        return true;
    }
    if (body->digits == 0) {
        return false;
    }
    if (c == '\r') {
        body->state = SIZE_LF;
        return true;
    }
    if (c == ';' && body->overhead < TD_MAX_CHUNK_EXTENSIONS) {
        body->overhead++;
        body->state = EXTENSION;
        return true;
    }
    return false;
}

static bool take_extension_byte(struct td_body *body, char c)
{
    if (c == '\r') {
        body->state = SIZE_LF;
        return true;
    }
    if (!is_text(c) || body->overhead >= TD_MAX_CHUNK_EXTENSIONS) {
        return false;
    }
    body->overhead++;
    return true;
}

/* The size line is complete: chooses between data and the end, and counts what was announced. */
static enum td_fault begin_chunk(struct td_body *body)
{
    body->digits = 0;
    if (body->remaining == 0) {
        body->overhead = 0;
        body->line = 0;
        body->state = TRAILER_NAME;
        return TD_FAULT_NONE;
    }
    assert(body->total <= body->max_size);
    if (body->remaining == UINT64_MAX || body->remaining > body->max_size - body->total) {
        return TD_FAULT_CHUNKED_TOO_LARGE;
    }
    body->total += body->remaining;
    body->state = DATA;
    return TD_FAULT_NONE;
}

/* May a trailer have that name? RFC 9110 6.5.1 keeps framing out of trailers; here it would only be a smuggling attempt. */
static bool name_is_allowed(const struct td_body *body)
{
    struct td_span name = td_span_of(body->name, body->line);
    for (size_t i = 0; i < sizeof framing_fields / sizeof *framing_fields; i++) {
        if (td_span_is_nocase(name, framing_fields[i])) {
            return false;
        }
    }
    return name.len > 0;
}

static bool take_trailer_name_byte(struct td_body *body, char c)
{
    if (c == '\r' && body->line == 0) {
        body->state = LAST_LF;
        return true;
    }
    if (c == ':') {
        body->state = TRAILER_VALUE;
        return name_is_allowed(body);
    }
    if (!td_rules_is_token(td_span_of(&c, 1))) {
        return false;
    }
    if (body->line < sizeof body->name) {
        body->name[body->line++] = c;
    }
    return true;
}

/* One byte of the trailers; false: it breaks a rule. */
static bool take_trailer_byte(struct td_body *body, char c)
{
    if (body->overhead++ >= TD_MAX_TRAILERS) {
        return false;
    }
    switch (body->state) {
    case TRAILER_NAME:
        return take_trailer_name_byte(body, c);
    case TRAILER_VALUE:
        if (c == '\r') {
            body->state = TRAILER_LF;
            return true;
        }
        return is_text(c);
    case TRAILER_LF:
        body->line = 0;
        body->state = TRAILER_NAME;
        return c == '\n';
    default:
        body->state = DONE;
        return c == '\n';
    }
}

/* One byte of the framing between pieces of data. */
static enum td_fault take_framing_byte(struct td_body *body, char c)
{
    switch (body->state) {
    case SIZE:
        return take_size_byte(body, c) ? TD_FAULT_NONE : TD_FAULT_CHUNK_SIZE;
    case EXTENSION:
        return take_extension_byte(body, c) ? TD_FAULT_NONE : TD_FAULT_CHUNK_SIZE;
    case SIZE_LF:
        return c == '\n' ? begin_chunk(body) : TD_FAULT_CHUNK_SIZE;
    case DATA_CR:
        body->state = DATA_LF;
        return c == '\r' ? TD_FAULT_NONE : TD_FAULT_CHUNK_END;
    case DATA_LF:
        body->state = SIZE;
        return c == '\n' ? TD_FAULT_NONE : TD_FAULT_CHUNK_END;
    default:
        return take_trailer_byte(body, c) ? TD_FAULT_NONE : TD_FAULT_CHUNKED_END;
    }
}

enum td_status td_body_next(struct td_body *body, const char *data, size_t len, size_t *consumed, struct td_span *piece,
                            struct td_verdict *why)
{
    size_t at = 0;
    while (body->state != DONE) {
        *consumed = at;
        if (at == len) {
            return TD_PARTIAL;
        }
        if (body->state == FIXED || body->state == DATA) {
            size_t take = body->remaining < len - at ? (size_t)body->remaining : len - at;
            body->remaining -= take;
            if (body->remaining == 0) {
                body->state = body->state == FIXED ? DONE : DATA_CR;
            }
            *piece = td_span_of(data + at, take);
            *consumed = at + take;
            return TD_OK;
        }
        enum td_fault fault = take_framing_byte(body, data[at]);
        if (fault != TD_FAULT_NONE) {
            why->fault = fault;
            why->subject = td_span_of(NULL, 0);
            return fault == TD_FAULT_CHUNKED_TOO_LARGE ? TD_TOO_LARGE : TD_BAD;
        }
        at++;
    }
    *consumed = at;
    return TD_EOF;
}
