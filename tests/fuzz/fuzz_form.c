/* Fuzzes td_form_next and td_form_decode.
 *
 * Input: a query string. Fields lie in it, in order and apart, and are not empty; decoded text is no longer than the encoded
 * and takes no byte from outside. */
#include "fuzz.h"
#include "http_form.h"

/* Decodes a part of the input, in blocks of its own length, so that a byte too many is seen. */
static void decode(struct td_span part, bool is_name)
{
    char *encoded = exact_copy(part.data, part.len);
    char *scratch = exact_copy(part.data, part.len);
    struct td_span span = td_span_of(encoded, part.len);
    struct td_span decoded = td_form_decoded(span, scratch);
    HOLDS(decoded.data == encoded || decoded.data == scratch);
    HOLDS(decoded.len <= part.len);
    HOLDS(!is_name || memchr(encoded, '=', part.len) == NULL);
    bool codes = memchr(encoded, '+', part.len) != NULL || memchr(encoded, '%', part.len) != NULL;
    HOLDS(codes || (decoded.data == encoded && decoded.len == part.len));
    free(encoded);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char *text = exact_copy((const char *)input, size);
    struct td_span rest = td_span_of(text, size);
    struct td_span name, value;
    size_t fields = 0;
    const char *at = text;
    while (td_form_next(&rest, &name, &value)) {
        HOLDS(name.data >= at && value.data >= name.data + name.len && value.data + value.len <= text + size);
        HOLDS(rest.data >= value.data + value.len && rest.data + rest.len == text + size);
        HOLDS(value.data + value.len > name.data);
        HOLDS(memchr(name.data, '&', (size_t)(value.data + value.len - name.data)) == NULL);
        at = value.data + value.len;
        decode(name, true);
        decode(value, false);
        fields++;
    }
    HOLDS(rest.len == 0 && fields <= td_form_count(td_span_of(text, size)));
    free(text);
    return 0;
}
