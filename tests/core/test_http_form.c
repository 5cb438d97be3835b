/* Query strings and form bodies: their fields, their number, and what decoding makes of them; against slow models, at the end of
 * readable memory. */
#include "http_form.h"

#include "check.h"

static struct guarded area;

/* The fields of a text, decoded, as "name:value," each: what a test compares. Freed by the caller. */
static char *listed(const char *data, size_t len)
{
    char *text = malloc(2 * len + 3 * len + 8);
    char *to = text;
    struct td_span rest = td_span_of(guarded_copy(&area, data, len), len);
    struct td_span name, value;
    while (td_form_next(&rest, &name, &value)) {
        to += td_form_decode(name, to);
        *to++ = ':';
        to += td_form_decode(value, to);
        *to++ = ',';
    }
    CHECK(rest.len == 0, "%zu bytes are left", rest.len);
    CHECK(!td_form_next(&rest, &name, &value), "a field behind the last one");
    *to = '\0';
    return text;
}

static void test_fields(void)
{
    static const struct {
        const char *text;
        const char *fields;
        size_t count;
    } cases[] = {
        {"a=1", "a:1,", 1},
        {"a=1&b=2", "a:1,b:2,", 2},
        {"a=1&a=2&a=", "a:1,a:2,a:,", 3},
        {"a", "a:,", 1},
        {"a&b", "a:,b:,", 2},
        {"=", ":,", 1},
        {"=x", ":x,", 1},
        {"a==b", "a:=b,", 1},
        {"a=b=c", "a:b=c,", 1},
        {"&", "", 2},
        {"&&&", "", 4},
        {"&&a=1&&", "a:1,", 5},
        {"a=1;b=2", "a:1;b=2,", 1},
        {"a+b=c+d", "a b:c d,", 1},
        {"%61%3D=%26%2B%25", "a=:&+%,", 1},
        {"a=%", "a:%,", 1},
        {"a=%4", "a:%4,", 1},
        {"a=%zz", "a:%zz,", 1},
        {"a=%4z", "a:%4z,", 1},
        {"a=%z4", "a:%z4,", 1},
        {"a=%%41", "a:%A,", 1},
        {"a=%%%41", "a:%%A,", 1},
        {"a=%4%41", "a:%4A,", 1},
        {"a=%2541", "a:%41,", 1},
        {"a=%2b%2B", "a:++,", 1},
        {"a=%+41", "a:% 41,", 1},
        {"a=%c3%A9\xe9", "a:\xc3\xa9\xe9,", 1},
        {"a=%4&1", "a:%4,1:,", 2},
        {"a=%&41=", "a:%,41:,", 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t len = strlen(cases[i].text);
        char *fields = listed(cases[i].text, len);
        CHECK(strcmp(fields, cases[i].fields) == 0, "'%s' gave %s", cases[i].text, fields);
        free(fields);
        size_t count = td_form_count(td_span_of(guarded_copy(&area, cases[i].text, len), len));
        CHECK(count == cases[i].count, "'%s' counts %zu", cases[i].text, count);
    }
    struct td_span empty = td_span_of(guarded_copy(&area, "", 0), 0);
    struct td_span name, value;
    CHECK(!td_form_next(&empty, &name, &value), "a field of nothing");
}

static void test_every_byte_escaped(void)
{
    static const char *const formats[] = {"%%%02x", "%%%02X"};
    for (int byte = 0; byte < 256; byte++) {
        for (size_t i = 0; i < COUNT_OF(formats); i++) {
            char text[4];
            char out[3];
            snprintf(text, sizeof(text), formats[i], byte);
            size_t len = td_form_decode(td_span_of(guarded_copy(&area, text, 3), 3), out);
            CHECK(len == 1 && (unsigned char)out[0] == byte, "%s", text);
        }
        char raw = (char)byte;
        char out;
        struct td_span one = td_span_of(guarded_copy(&area, &raw, 1), 1);
        CHECK(td_form_decode(one, &out) == 1 && out == (raw == '+' ? ' ' : raw), "%d", byte);
        struct td_span decoded = td_form_decoded(one, &out);
        CHECK(decoded.data == (raw == '+' || raw == '%' ? &out : one.data) && decoded.len == 1, "%d", byte);
    }
}

static const char digits[] = "0123456789ABCDEFabcdef";

static size_t model_decode(const char *text, size_t len, char *out)
{
    size_t to = 0;
    for (size_t i = 0; i < len;) {
        if (len - i >= 3 && text[i] == '%' && memchr(digits, text[i + 1], 22) && memchr(digits, text[i + 2], 22)) {
            char pair[3] = {text[i + 1], text[i + 2], '\0'};
            out[to++] = (char)strtol(pair, NULL, 16);
            i += 3;
        }
        else {
            out[to++] = text[i] == '+' ? ' ' : text[i];
            i++;
        }
    }
    return to;
}

/* Every text of up to 7 characters out of those that mean something. */
static void test_decoding_against_a_model(void)
{
    static const char alphabet[] = "%+4aZ=";
    size_t base = sizeof(alphabet) - 1;
    char text[7], expected[7], out[7], scratch[7];
    for (size_t len = 0, total = 1; len <= sizeof(text); len++, total *= base) {
        for (size_t n = 0; n < total; n++) {
            size_t rest = n;
            for (size_t i = 0; i < len; i++, rest /= base) {
                text[i] = alphabet[rest % base];
            }
            size_t got = td_form_decode(td_span_of(guarded_copy(&area, text, len), len), out);
            size_t want = model_decode(text, len, expected);
            struct td_span decoded = td_form_decoded(td_span_of(guarded_copy(&area, text, len), len), scratch);
            if (got != want || memcmp(out, expected, want) != 0 || decoded.len != want ||
                memcmp(decoded.data, expected, want) != 0) {
                CHECK(false, "%.*s", (int)len, text);
            }
        }
        check_count++;
    }
}

int main(void)
{
    area = guarded_open(4096);
    test_fields();
    test_every_byte_escaped();
    test_decoding_against_a_model();
    guarded_close(&area);
    return check_result("http_form");
}
