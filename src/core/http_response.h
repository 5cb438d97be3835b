/* The bytes of an answer's head, and the decisions about its framing. */
#ifndef TD_HTTP_RESPONSE_H
#define TD_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "outbuf.h"
#include "span.h"
#include "status.h"

#define TD_DATE_LEN 29 /* bytes of an IMF-fixdate */

/* The text of the last second that was asked for. */
struct td_date_cache {
    time_t second;
    char text[TD_DATE_LEN + 1];
};

/* IMF-fixdate (RFC 9110 5.6.7) of a second; TD_DATE_LEN bytes, valid until the next call with the same cache. */
const char *td_date_text(struct td_date_cache *cache, time_t second);

/* May the answer have a body at all (RFC 9110 6.4.1)? */
static inline bool td_response_has_body(int code)
{
    return !(code == 204 || code == 304 || (code >= 100 && code < 200));
}

/* Is the answer sent chunked (HTTP1Connection.write_headers)? Only to HTTP/1.1, not to HEAD, and without a Content-Length. */
static inline bool td_response_is_chunked(uint8_t version_minor, bool head_method, int code, bool has_length)
{
    return version_minor == 1 && !head_method && td_response_has_body(code) && !has_length;
}

/* "HTTP/1.1 200 OK\r\n" */
TD_MUST_CHECK enum td_status td_response_status_line(struct td_outbuf *out, int code, struct td_span reason);
/* "Name: value\r\n" */
TD_MUST_CHECK enum td_status td_response_field(struct td_outbuf *out, struct td_span name, struct td_span value);

struct td_line {
    struct td_span name;
    struct td_span value;
};

/* A whole head: the status line, fields, the empty line. TD_NOMEM may leave a part appended. */
TD_MUST_CHECK enum td_status td_response_head(struct td_outbuf *out, int code, struct td_span reason, const struct td_line *lines,
                                              size_t count);
/* "<hex>\r\n" before len bytes of a chunk */
TD_MUST_CHECK enum td_status td_response_chunk_size(struct td_outbuf *out, uint64_t len);
/* Decimal text of value at p (no NUL); returns its end. p has room for 20 bytes. */
char *td_format_decimal(char *p, uint64_t value);

#endif
