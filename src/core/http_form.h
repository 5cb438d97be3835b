/* Fields of a query string, or of a body in application/x-www-form-urlencoded. */
#ifndef TD_HTTP_FORM_H
#define TD_HTTP_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

/* How many fields there are where each '&' counts, empty ones as well (urllib.parse.parse_qsl's max_num_fields). text is not
 * empty. */
size_t td_form_count(struct td_span text);
/* Takes the next field that is not empty off *rest: what stands before its first '=' and behind it, both still encoded and in
 * rest's bytes. Without a '=' the value is empty. False when there is none left. */
bool td_form_next(struct td_span *rest, struct td_span *name, struct td_span *value);
/* Decodes '+' (a space) and %XX; a '%' without two hexadecimal digits stays what it is. out has room for text.len bytes and may
 * not be text's own. Returns how many were written. */
size_t td_form_decode(struct td_span text, char *out);
/* The decoded text: in scratch, which has room for text.len bytes, or text itself where there is nothing to decode. */
struct td_span td_form_decoded(struct td_span text, char *scratch);

#endif
