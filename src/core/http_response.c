/* See http_response.h. */
#include "http_response.h"

#include <stdio.h>
#include <string.h>

const char *td_date_text(struct td_date_cache *cache, time_t second)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (cache->second != second || cache->text[0] == '\0') {
        struct tm parts;
        char text[64]; /* room for any int, so that no year can truncate */
        gmtime_r(&second, &parts);
        snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * parts.tm_wday, parts.tm_mday,
                 months + 3 * parts.tm_mon, parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
        memcpy(cache->text, text, TD_DATE_LEN);
        cache->text[TD_DATE_LEN] = '\0';
        cache->second = second;
    }
    return cache->text;
}

char *td_format_decimal(char *p, uint64_t value)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0) {
        *p++ = digits[--count];
    }
    return p;
}

static char *put(char *p, const char *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

#define STATUS_ROOM 64 /* bytes of a status line without its reason, at most */

/* "HTTP/1.1 200 " */
static char *put_status(char *p, int code)
{
    p = put(p, "HTTP/1.1 ", 9);
    if (code < 0) {
        *p++ = '-';
    }
    p = td_format_decimal(p, (uint64_t)(code < 0 ? -(int64_t)code : code));
    *p++ = ' ';
    return p;
}

static char *put_field(char *p, struct td_span name, struct td_span value)
{
    p = put(p, name.data, name.len);
    p = put(p, ": ", 2);
    p = put(p, value.data, value.len);
    return put(p, "\r\n", 2);
}

enum td_status td_response_status_line(struct td_outbuf *out, int code, struct td_span reason)
{
    char *start = td_outbuf_reserve(out, STATUS_ROOM);
    if (start == NULL) {
        return TD_NOMEM;
    }
    td_outbuf_commit(out, (size_t)(put_status(start, code) - start));
    if (td_outbuf_append(out, reason.data, reason.len) != TD_OK) {
        return TD_NOMEM;
    }
    return td_outbuf_append(out, "\r\n", 2);
}

enum td_status td_response_field(struct td_outbuf *out, struct td_span name, struct td_span value)
{
    size_t len = name.len + value.len + 4;
    if (len <= TD_OUTBUF_ROOM) {
        char *start = td_outbuf_reserve(out, len);
        if (start == NULL) {
            return TD_NOMEM;
        }
        put_field(start, name, value);
        td_outbuf_commit(out, len);
        return TD_OK;
    }
    if (td_outbuf_append(out, name.data, name.len) != TD_OK || td_outbuf_append(out, ": ", 2) != TD_OK ||
        td_outbuf_append(out, value.data, value.len) != TD_OK) {
        return TD_NOMEM;
    }
    return td_outbuf_append(out, "\r\n", 2);
}

static enum td_status append_long_head(struct td_outbuf *out, int code, struct td_span reason, const struct td_line *lines,
                                       size_t count)
{
    enum td_status status = td_response_status_line(out, code, reason);
    for (size_t i = 0; status == TD_OK && i < count; i++) {
        status = td_response_field(out, lines[i].name, lines[i].value);
    }
    return status == TD_OK ? td_outbuf_append(out, "\r\n", 2) : status;
}

enum td_status td_response_head(struct td_outbuf *out, int code, struct td_span reason, const struct td_line *lines, size_t count)
{
    size_t len = STATUS_ROOM + reason.len;
    for (size_t i = 0; i < count; i++) {
        len += lines[i].name.len + lines[i].value.len + 4;
    }
    if (len > TD_OUTBUF_ROOM) {
        return append_long_head(out, code, reason, lines, count);
    }
    char *start = td_outbuf_reserve(out, len);
    if (start == NULL) {
        return TD_NOMEM;
    }
    char *p = put_status(start, code);
    if (reason.len > 0) {
        p = put(p, reason.data, reason.len);
    }
    p = put(p, "\r\n", 2);
    for (size_t i = 0; i < count; i++) {
        p = put_field(p, lines[i].name, lines[i].value);
    }
    p = put(p, "\r\n", 2);
    td_outbuf_commit(out, (size_t)(p - start));
    return TD_OK;
}

enum td_status td_response_chunk_size(struct td_outbuf *out, uint64_t len)
{
    char text[24];
    int count = snprintf(text, sizeof(text), "%llx\r\n", (unsigned long long)len);
    return td_outbuf_append(out, text, (size_t)count);
}
