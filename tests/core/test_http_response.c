/* The bytes of an answer's head: lines at every fill of a block, dates, numbers, the table of framing. */
#include "http_response.h"

#include <inttypes.h>
#include <time.h>

#include "alloc.h"
#include "check.h"

/* Takes all of the buffer out, as text that the caller frees; the buffer is empty and without memory then. */
static char *drain(struct td_outbuf *out, size_t *len)
{
    char *text = malloc(out->size + 1);
    *len = 0;
    struct iovec vector[64];
    size_t promised = out->size;
    int count;
    while (out->size > 0 && (count = td_outbuf_vector(out, vector, (int)COUNT_OF(vector))) > 0) {
        size_t taken = 0;
        for (int i = 0; i < count; i++) {
            memcpy(text + *len, vector[i].iov_base, vector[i].iov_len);
            *len += vector[i].iov_len;
            taken += vector[i].iov_len;
        }
        td_outbuf_advance(out, taken);
    }
    text[*len] = '\0';
    CHECK(*len == promised && out->size == 0, "%zu bytes of %zu", *len, promised);
    td_outbuf_clear(out);
    return text;
}

static void check_text(struct td_outbuf *out, const char *expected, size_t len, const char *what, size_t detail)
{
    CHECK(out->size == len && out->written >= len, "%s %zu: size %zu", what, detail, out->size);
    size_t got_len;
    char *got = drain(out, &got_len);
    CHECK(got_len == len && memcmp(got, expected, len) == 0, "%s %zu: %zu bytes %.80s", what, detail, got_len, got);
    free(got);
}

static struct td_span span(const char *text)
{
    return td_span_of(text, strlen(text));
}

static void test_status_line(void)
{
    static const struct {
        int code;
        const char *reason;
        const char *line;
    } cases[] = {
        {200, "OK", "HTTP/1.1 200 OK\r\n"},
        {404, "Not Found", "HTTP/1.1 404 Not Found\r\n"},
        {100, "(Continue)", "HTTP/1.1 100 (Continue)\r\n"},
        {204, "", "HTTP/1.1 204 \r\n"},
        {0, "a", "HTTP/1.1 0 a\r\n"},
        {7, "a", "HTTP/1.1 7 a\r\n"},
        {-1, "a", "HTTP/1.1 -1 a\r\n"},
        {INT32_MAX, "a", "HTTP/1.1 2147483647 a\r\n"},
        {INT32_MIN, "a", "HTTP/1.1 -2147483648 a\r\n"},
    };
    struct td_outbuf out = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK(td_response_status_line(&out, cases[i].code, span(cases[i].reason)) == TD_OK, "case %zu", i);
        check_text(&out, cases[i].line, strlen(cases[i].line), "status line", i);
    }
    CHECK(td_response_status_line(&out, 200, td_span_of(NULL, 0)) == TD_OK, "no reason");
    check_text(&out, BYTES("HTTP/1.1 200 \r\n"), "no reason", 0);
    /* A reason that is longer than a block. */
    enum { LONG = 40000 };
    char *reason = malloc(LONG);
    char *line = malloc(LONG + 32);
    memset(reason, 'r', LONG);
    memcpy(line, "HTTP/1.1 500 ", 13);
    memcpy(line + 13, reason, LONG);
    memcpy(line + 13 + LONG, "\r\n", 2);
    CHECK(td_response_status_line(&out, 500, td_span_of(reason, LONG)) == TD_OK, "long reason");
    check_text(&out, line, 13 + LONG + 2, "long reason", LONG);
    free(reason);
    free(line);
}

/* One field of every length around those where the way of writing it changes, behind every fill of the block that can matter. */
static void test_field_lengths(void)
{
    static const size_t lengths[] = {0,
                                     1,
                                     100,
                                     TD_OUTBUF_ROOM - 6,
                                     TD_OUTBUF_ROOM - 5,
                                     TD_OUTBUF_ROOM - 4,
                                     TD_OUTBUF_ROOM,
                                     TD_BLOCK_SIZE - 100,
                                     TD_BLOCK_SIZE,
                                     3 * TD_BLOCK_SIZE + 5};
    enum { LONGEST = 3 * TD_BLOCK_SIZE + 5, FILLS = TD_BLOCK_SIZE };
    char *value = malloc(LONGEST);
    char *expected = malloc(FILLS + LONGEST + 16);
    char *before = malloc(FILLS);
    memset(before, 'b', FILLS);
    for (size_t i = 0; i < LONGEST; i++) {
        value[i] = (char)('!' + i % 90);
    }
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        size_t step = 1;
        for (size_t fill = 0; fill <= FILLS; fill += step) {
            /* Near the end of a block each byte counts, elsewhere a sample does. */
            size_t left = fill < TD_BLOCK_SIZE - 64 ? TD_BLOCK_SIZE - 64 - fill : 0;
            step = left > 1499 ? 1499 : left > 0 ? left : 1;
            struct td_outbuf out = {0};
            CHECK(td_outbuf_append(&out, before, fill) == TD_OK, "fill %zu", fill);
            CHECK(td_response_field(&out, span("N"), td_span_of(value, lengths[i])) == TD_OK, "length %zu", lengths[i]);
            memcpy(expected, before, fill);
            memcpy(expected + fill, "N: ", 3);
            memcpy(expected + fill + 3, value, lengths[i]);
            memcpy(expected + fill + 3 + lengths[i], "\r\n", 2);
            check_text(&out, expected, fill + 5 + lengths[i], "field behind", fill);
        }
    }
    struct td_outbuf out = {0};
    CHECK(td_response_field(&out, span(""), span("")) == TD_OK, "empty");
    CHECK(td_response_field(&out, td_span_of(value, TD_OUTBUF_ROOM), span("v")) == TD_OK, "a long name");
    size_t len;
    char *text = drain(&out, &len);
    CHECK(len == 4 + TD_OUTBUF_ROOM + 5 && memcmp(text, ": \r\n", 4) == 0 && memcmp(text + 4, value, TD_OUTBUF_ROOM) == 0 &&
              memcmp(text + 4 + TD_OUTBUF_ROOM, ": v\r\n", 5) == 0,
          "%zu bytes", len);
    free(text);
    free(value);
    free(expected);
    free(before);
}

static void check_date(struct td_date_cache *cache, time_t second, const char *expected)
{
    const char *text = td_date_text(cache, second);
    CHECK(strcmp(text, expected) == 0, "%lld: %s", (long long)second, text);
    CHECK(strlen(text) == TD_DATE_LEN, "length %zu", strlen(text));
}

static void test_dates(void)
{
    /* The epoch is also the second of a cache that was never used. */
    struct td_date_cache cache = {0};
    check_date(&cache, 0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check_date(&cache, 0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check_date(&cache, 1, "Thu, 01 Jan 1970 00:00:01 GMT");
    check_date(&cache, 0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check_date(&cache, 784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    check_date(&cache, 951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    check_date(&cache, 951868799, "Tue, 29 Feb 2000 23:59:59 GMT");
    check_date(&cache, 951868800, "Wed, 01 Mar 2000 00:00:00 GMT");
    check_date(&cache, 1709164800, "Thu, 29 Feb 2024 00:00:00 GMT");
    check_date(&cache, 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"); /* 2100 has no leap day */
    check_date(&cache, 4294967296, "Sun, 07 Feb 2106 06:28:16 GMT");
    check_date(&cache, 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
    check_date(&cache, -1, "Wed, 31 Dec 1969 23:59:59 GMT");

    const char *first = td_date_text(&cache, 784111777);
    memcpy(cache.text, "Xyz", 3);
    CHECK(td_date_text(&cache, 784111777) == first && memcmp(first, "Xyz", 3) == 0, "the same second is not formatted again");
    check_date(&cache, 784111778, "Sun, 06 Nov 1994 08:49:38 GMT");
    struct td_date_cache other = {0};
    check_date(&other, 1, "Thu, 01 Jan 1970 00:00:01 GMT");
    CHECK(strcmp(cache.text, "Sun, 06 Nov 1994 08:49:38 GMT") == 0, "caches are apart");

    /* Four years of days, with strftime as the judge: names of days and months, the leap day. */
    for (int day = 0; day < 4 * 366; day++) {
        time_t second = 1672531200 + (time_t)day * 86400 + day * 59 % 86400;
        char expected[64];
        struct tm parts;
        gmtime_r(&second, &parts);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        check_date(&cache, second, expected);
    }
    /* Beyond four digits the text is cut, never overrun. */
    CHECK(strlen(td_date_text(&cache, 253402300800)) == TD_DATE_LEN, "year 10000");
}

static void test_framing(void)
{
    for (int code = 0; code < 1000; code++) {
        bool bodiless = code == 204 || code == 304 || (code >= 100 && code <= 199);
        CHECK(td_response_has_body(code) == !bodiless, "%d", code);
        for (int bits = 0; bits < 8; bits++) {
            bool head = bits & 1;
            bool has_length = bits & 2;
            uint8_t minor = bits & 4 ? 1 : 0;
            bool chunked = minor == 1 && !head && !has_length && !bodiless;
            CHECK(td_response_is_chunked(minor, head, code, has_length) == chunked, "%d, bits %d", code, bits);
        }
    }
    static const struct {
        uint8_t minor;
        bool head;
        int code;
        bool has_length;
        bool chunked;
    } rows[] = {
        {1, false, 200, false, true},  {1, false, 200, true, false}, {1, true, 200, false, false},  {0, false, 200, false, false},
        {1, false, 404, false, true},  {1, false, 500, false, true}, {1, false, 100, false, false}, {1, false, 101, false, false},
        {1, false, 204, false, false}, {1, false, 205, false, true}, {1, false, 304, false, false}, {2, false, 200, false, false},
        {9, false, 200, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CHECK(td_response_is_chunked(rows[i].minor, rows[i].head, rows[i].code, rows[i].has_length) == rows[i].chunked, "row %zu",
              i);
    }
}

static void check_decimal(uint64_t value)
{
    char expected[32];
    char text[20];
    int len = snprintf(expected, sizeof expected, "%" PRIu64, value);
    char *end = td_format_decimal(text, value);
    CHECK(end - text == len && memcmp(text, expected, (size_t)len) == 0, "%s", expected);
}

static void test_numbers(void)
{
    for (uint64_t value = 0; value < 2000; value++) {
        check_decimal(value);
    }
    for (uint64_t power = 10; power != 0 && power <= UINT64_C(10000000000000000000); power *= 10) {
        check_decimal(power - 1);
        check_decimal(power);
        check_decimal(power + 1);
        if (power == UINT64_C(10000000000000000000)) {
            break;
        }
    }
    check_decimal(UINT32_MAX);
    check_decimal(INT64_MAX);
    check_decimal(UINT64_MAX);

    static const struct {
        uint64_t len;
        const char *line;
    } chunks[] = {
        {0, "0\r\n"},
        {1, "1\r\n"},
        {10, "a\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {65536, "10000\r\n"},
        {0xabcdef, "abcdef\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    struct td_outbuf out = {0};
    for (size_t i = 0; i < COUNT_OF(chunks); i++) {
        CHECK(td_response_chunk_size(&out, chunks[i].len) == TD_OK, "chunk %zu", i);
        check_text(&out, chunks[i].line, strlen(chunks[i].line), "chunk size", i);
    }
}

/* A whole head is what its parts are, written one by one, whether it fits a block or not. */
static void test_heads(void)
{
    static const size_t lengths[] = {0, 1, 100, TD_OUTBUF_ROOM - 200, TD_OUTBUF_ROOM, 2 * TD_BLOCK_SIZE};
    static const int codes[] = {200, 7, INT32_MAX, INT32_MIN};
    enum { LONGEST = 2 * TD_BLOCK_SIZE, MOST = 40 };
    char *value = malloc(LONGEST);
    memset(value, 'v', LONGEST);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        /* Around the length at which it is written in pieces, each byte counts. */
        for (size_t more = 0; more < (lengths[i] == TD_OUTBUF_ROOM - 200 ? 200 : 1); more++) {
            for (size_t count = 0; count <= MOST; count += count < 3 ? 1 : 37) {
                struct td_line lines[MOST];
                struct td_span reason = count == 1 ? td_span_of(NULL, 0) : span("Reason");
                int code = codes[count % COUNT_OF(codes)];
                struct td_outbuf parts = {0};
                struct td_outbuf whole = {0};
                CHECK(td_response_status_line(&parts, code, reason) == TD_OK, "status line");
                for (size_t j = 0; j < count; j++) {
                    lines[j] = (struct td_line){span("Name"), j == 1 ? td_span_of(value, lengths[i] + more) : span("value")};
                    CHECK(td_response_field(&parts, lines[j].name, lines[j].value) == TD_OK, "line %zu", j);
                }
                CHECK(td_outbuf_append(&parts, "\r\n", 2) == TD_OK, "end");
                size_t len;
                char *expected = drain(&parts, &len);
                CHECK(td_response_head(&whole, code, reason, lines, count) == TD_OK, "head of %zu lines", count);
                CHECK(whole.written == len, "%zu bytes", len);
                check_text(&whole, expected, len, "head", len);
                free(expected);
            }
        }
    }
    free(value);
}

static enum td_status write_head(struct td_outbuf *out, const char *value, size_t len)
{
    struct td_line line = {span("Short"), span("value")};
    if (td_response_head(out, 200, span("OK"), &line, 1) != TD_OK) {
        return TD_NOMEM;
    }
    line.value = td_span_of(value, len);
    if (td_response_head(out, 200, span("OK"), &line, 1) != TD_OK) {
        return TD_NOMEM;
    }

    enum td_status status = td_response_status_line(out, 200, span("OK"));
    if (status == TD_OK) {
        status = td_response_field(out, span("Short"), span("value"));
    }
    if (status == TD_OK) {
        status = td_response_field(out, span("Long"), td_span_of(value, len));
    }
    return status == TD_OK ? td_response_chunk_size(out, 5) : status;
}

static void test_out_of_memory(void)
{
    enum { LONG = 3 * TD_BLOCK_SIZE };
    char *value = malloc(LONG);
    memset(value, 'v', LONG);
    enum td_status status = TD_NOMEM;
    long count = 0;
    for (; status != TD_OK && count < 100; count++) {
        struct td_outbuf out = {0};
        td_alloc_fail_after(count);
        status = write_head(&out, value, LONG);
        td_alloc_fail_after(-1);
        CHECK(status == TD_OK || status == TD_NOMEM, "failing after %ld: %d", count, status);
        td_outbuf_clear(&out);
    }
    CHECK(status == TD_OK && count > 3, "enough memory after %ld", count);
    free(value);
}

int main(void)
{
    test_status_line();
    test_field_lengths();
    test_heads();
    test_dates();
    test_framing();
    test_numbers();
    test_out_of_memory();
    return check_result("http_response");
}
