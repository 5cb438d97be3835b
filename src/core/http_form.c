/* See http_form.h. */
#include "http_form.h"

size_t td_form_count(struct td_span text)
{
    size_t count = 1;
    const char *end = text.data + text.len;
    for (const char *p = text.data; p < end && (p = memchr(p, '&', (size_t)(end - p))) != NULL; p++) {
        count++;
    }
    return count;
}

bool td_form_next(struct td_span *rest, struct td_span *name, struct td_span *value)
{
    const char *p = rest->data;
    const char *end = p + rest->len;
    while (p < end && *p == '&') {
        p++;
    }
    if (p == end) {
        *rest = td_span_of(end, 0);
        return false;
    }
    const char *stop = memchr(p, '&', (size_t)(end - p));
    if (stop == NULL) {
        stop = end;
    }
    const char *equals = memchr(p, '=', (size_t)(stop - p));
    *name = td_span_of(p, (size_t)((equals != NULL ? equals : stop) - p));
    *value = equals != NULL ? td_span_of(equals + 1, (size_t)(stop - equals - 1)) : td_span_of(stop, 0);
    *rest = td_span_of(stop, (size_t)(end - stop));
    return true;
}

size_t td_form_decode(struct td_span text, char *out)
{
    char *to = out;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '+') {
            c = ' ';
        }
        else if (c == '%' && text.len - i > 2) {
            int high = td_hex_value(text.data[i + 1]);
            int low = td_hex_value(text.data[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        *to++ = c;
    }
    return (size_t)(to - out);
}

struct td_span td_form_decoded(struct td_span text, char *scratch)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%' || text.data[i] == '+') {
            return td_span_of(scratch, td_form_decode(text, scratch));
        }
    }
    return text;
}
