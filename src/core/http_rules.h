/* Tornado's verdicts on a head that was read: connection reuse, Host, framing, Expect. */
#ifndef TD_HTTP_RULES_H
#define TD_HTTP_RULES_H

#include "http_head.h"
#include "status.h"
#include "verdict.h"

/* Digits of a Content-Length, leading zeros included; more is LENGTH_NOT_INTEGER. As CPython's int() has it. */
#define TD_MAX_LENGTH_DIGITS 4300

enum td_framing { TD_FRAMING_NONE, TD_FRAMING_LENGTH, TD_FRAMING_CHUNKED };

/* May the connection serve another request after this one (RFC 9112 9.3; HTTP1Connection._can_keep_alive)?
 * HTTP/1.1: unless a Connection option is "close" (any case, any line). HTTP/1.0 and other 1.x: only if the combined Connection
 * value is "keep-alive" (any case) and the request has a Content-Length, is chunked, or is GET or HEAD. (RFC 9112 6.1 would close
 * after a chunked HTTP/1.0 request; Tornado's own tests ask for the contrary.)
 * TD_BAD: a Transfer-Encoding other than chunked on a request that is not HTTP/1.1 (the check needs it). */
TD_MUST_CHECK enum td_status td_rules_keep_alive(const struct td_head *head, bool *keep_alive, struct td_verdict *why);

/* The combined Connection value is exactly "keep-alive" (any case): an HTTP/1.0 answer then echoes it. */
bool td_rules_wants_keep_alive(const struct td_head *head);

/* "close" and "upgrade" are both options of the connection: Tornado overlooks the former, as in every list. */
bool td_rules_upgrades_and_closes(const struct td_head *head);

/* The Host of a request (HTTPServerRequest.__init__): *host is the value in the head, or "127.0.0.1" (static) for an HTTP/1.0
 * request without one. An empty Host is accepted. TD_BAD: HOST_MISSING, HOST_INVALID, HOST_MANY. */
TD_MUST_CHECK enum td_status td_rules_host(const struct td_head *head, struct td_span *host, struct td_verdict *why);

/* How the body is framed (HTTP1Connection._read_body). *length is set for TD_FRAMING_LENGTH. TD_BAD with a framing fault. */
TD_MUST_CHECK enum td_status td_rules_framing(const struct td_head *head, uint64_t max_body_size, enum td_framing *framing,
                                              uint64_t *length, struct td_verdict *why);

/* Expect: 100-continue, in any case, on HTTP/1.1 or a later 1.x (RFC 9110 10.1.1). */
bool td_rules_expects_continue(const struct td_head *head);

/* RFC 9110 token; used for methods and field names. Empty is no token. */
bool td_rules_is_token(struct td_span span);
/* A field value as Tornado's HTTPHeaders.add accepts it, bytes taken as latin-1. Empty is a value. Not stripped means no. */
bool td_rules_is_field_value(struct td_span span);

#endif
