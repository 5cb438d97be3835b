/* From bytes to a td_head. The only file that knows http-parser. */
#ifndef TD_HTTP_PARSE_H
#define TD_HTTP_PARSE_H

#include "http_head.h"
#include "status.h"
#include "verdict.h"

#define TD_MAX_LEADING_LINES 8 /* empty lines skipped before a request line */

/* Where a search for the end of a header block stopped; zero it for each new message. */
struct td_head_scan {
    size_t line; /* start of the line that is not complete yet, in bytes from the start of the message */
    size_t seen; /* bytes of that line that hold no LF, so that a byte-by-byte sender costs linear time */
};

/* Reads one request head from data[0..len), which starts where the message starts (leading empty lines included).
 *
 * TD_OK: *head is a new reference, *consumed the bytes up to and including the empty line.
 * TD_PARTIAL: the block is not complete; call again with the same start and more bytes, and the same *scan.
 * TD_BAD: *why says what is wrong, in the order in which Tornado finds it: header lines from the first to the last, then the
 *   start line, then the version.
 * TD_TOO_LARGE: *why is HEAD_TOO_LARGE (no end within max_header_size bytes, terminator included) or TOO_MANY_FIELDS.
 * TD_NOMEM.
 *
 * Follows HTTP1Connection._parse_headers, HTTPHeaders.parse_line and parse_request_start_line: any token as the method; any
 * bytes above SP but DEL as the target; HTTP/d.d with d.d of 1.x; lines end in CRLF or LF; a name is a token; a value holds
 * TAB, SP and anything above it but DEL, 0x80 to 0xff included. Stricter in one thing: a bare CR before or behind the request
 * line is a REQUEST_LINE fault (RFC 9112 2.2). */
TD_MUST_CHECK enum td_status td_http_parse_head(const char *data, size_t len, size_t max_header_size, struct td_head_scan *scan,
                                                size_t *consumed, struct td_head **head, struct td_verdict *why);

/* The linked http-parser's version, e.g. "2.9.4". */
const char *td_http_parser_version(void);

#endif
