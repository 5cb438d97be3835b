/* The bytes of a request body, out of its framing: Content-Length (RFC 9112 6.2) or chunked (7.1). */
#ifndef TD_HTTP_BODY_H
#define TD_HTTP_BODY_H

#include <stdint.h>

#include "http_rules.h"
#include "span.h"
#include "status.h"
#include "verdict.h"

#define TD_MAX_CHUNK_EXTENSIONS 16384 /* bytes of chunk extensions in one message */
#define TD_MAX_TRAILERS 16384         /* bytes of trailer lines in one message */
#define TD_MAX_CHUNK_DIGITS 62        /* digits of one chunk size, leading zeros included */

/* The state of one body. Private to http_body.c but for its size; no pointers, nothing to free. */
struct td_body {
    uint64_t remaining; /* bytes left of the body (length) or of the current chunk */
    uint64_t total;     /* chunked: bytes announced by all chunks so far */
    uint64_t max_size;  /* chunked: limit of total */
    uint32_t overhead;  /* bytes of extensions, then of trailers */
    uint8_t framing;
    uint8_t state;
    uint8_t digits;
    uint8_t line; /* bytes kept of the current trailer name, to refuse framing fields there */
    char name[18];
};

/* Starts a body. TD_FRAMING_NONE is complete at once. */
void td_body_start(struct td_body *body, enum td_framing framing, uint64_t length, uint64_t max_size);

/* Takes bytes of the body's encoding and gives the next piece of its data.
 *
 * TD_OK: *piece is non-empty and lies in data; call again with what follows *consumed.
 * TD_PARTIAL: everything was consumed, the body goes on.
 * TD_EOF: the body is complete; *consumed ends just behind it (trailers are read and dropped).
 * TD_BAD: CHUNK_SIZE, CHUNK_END, CHUNKED_END. TD_TOO_LARGE: CHUNKED_TOO_LARGE as soon as the size line tells. */
TD_MUST_CHECK enum td_status td_body_next(struct td_body *body, const char *data, size_t len, size_t *consumed,
                                          struct td_span *piece, struct td_verdict *why);

#endif
