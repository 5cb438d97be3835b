/* td_http_parse_head: a table of messages, each read whole, in two parts at every point, and byte by byte. */
#include "http_parse.h"

#include "alloc.h"
#include "check.h"
#include "http_rules.h"

enum { HEADER_LIMIT = 65536 };

/* A head that is read gives `expect`, which render() writes; otherwise a fault and its subject. Rows are those of the list of
 * ambiguous input that the rules implement; letters only tell cases apart. */
struct head_case {
    const char *name;
    const char *data;
    size_t len;
    enum td_fault fault;
    const char *expect;
};

/* clang-format off */
#define GOOD(name, raw, expect) {name, BYTES(raw), TD_FAULT_NONE, expect}
#define FAULT(name, raw, fault, subject) {name, BYTES(raw), TD_FAULT_##fault, subject}
/* clang-format on */
/* One header line after a good request line, and one good line behind it. */
#define LINE(line) "GET / HTTP/1.1\r\n" line "\r\nB: c\r\n\r\n"
#define REQUEST(line) line "\r\nHost: a\r\n\r\n"

static const struct head_case head_cases[] = {
    GOOD("wrk", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n\r\n", "GET / 1 1|Host=127.0.0.1:8888"),
    GOOD("no fields", "GET / HTTP/1.0\r\n\r\n", "GET / 1 0"),
    GOOD("query", "GET /a?b=c?d HTTP/1.1\r\n\r\n", "GET /a?b=c?d 2 1"),
    GOOD("only a query", "GET ?x HTTP/1.1\r\n\r\n", "GET ?x 0 1"),
    GOOD("bytes behind stay", "GET / HTTP/1.1\r\nA: b\r\n\r\nGET /", "GET / 1 1|A=b"),
    GOOD("body behind stays", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "POST / 1 1|Content-Length=3"),
    GOOD("order and case kept", LINE("b: 1\r\nA: 2\r\nB: 3"), "GET / 1 1|b=1|A=2|B=3|B=c"),

    /* Field values. */
    GOOD("no space after colon", LINE("A:b"), "GET / 1 1|A=b|B=c"),
    GOOD("blanks around a value", LINE("A: \t b \tc\t "), "GET / 1 1|A=b \tc|B=c"),
    GOOD("empty value", LINE("A:"), "GET / 1 1|A=|B=c"),
    GOOD("blank value", LINE("A: \t "), "GET / 1 1|A=|B=c"),
    GOOD("empty last value", "GET / HTTP/1.1\r\nA:\r\n\r\n", "GET / 1 1|A="),
    GOOD("colons in a value", LINE("A: b:c : d"), "GET / 1 1|A=b:c : d|B=c"),
    GOOD("value is a colon", LINE("A::"), "GET / 1 1|A=:|B=c"),
    GOOD("30 latin-1 value", LINE("A: \x80\xff\xa0"), "GET / 1 1|A=\x80\xff\xa0|B=c"),
    GOOD("long value", LINE("A: 0123456789abcdef0123456789abcdef0123456789abcdef"),
         "GET / 1 1|A=0123456789abcdef0123456789abcdef0123456789abcdef|B=c"),
    GOOD("tab in a long value", LINE("A: 01234567\t89abcdef"), "GET / 1 1|A=01234567\t89abcdef|B=c"),
    FAULT("29 NUL in a value", LINE("A: b\0c"), FIELD_VALUE, "b\\0c"),
    FAULT("29 NUL starts a value", LINE("A: \0c"), FIELD_VALUE, "\\0c"),
    FAULT("29 control starts a value", LINE("A: \x17\t b"), FIELD_VALUE, "\x17\t b"),
    FAULT("29 control", LINE("A: b\x01"), FIELD_VALUE, "b\x01"),
    FAULT("29 escape in a long value", LINE("A: 0123456789\x1b[31m"), FIELD_VALUE, "0123456789\x1b[31m"),
    FAULT("29 DEL", LINE("A: b\x7f"), FIELD_VALUE, "b\x7f"),
    FAULT("29 DEL starts a value", LINE("A: \x7f"), FIELD_VALUE, "\x7f"),
    FAULT("29 vertical tab", LINE("A: b\x0b"), FIELD_VALUE, "b\x0b"),
    FAULT("29 form feed is no blank", LINE("A: \x0c"), FIELD_VALUE, "\x0c"),

    /* Line ends. */
    GOOD("27 bare LF", "GET / HTTP/1.1\nA: b\nC: d\n\n", "GET / 1 1|A=b|C=d"),
    GOOD("27 LF then CRLF", "GET / HTTP/1.1\nA: b\r\n\r\n", "GET / 1 1|A=b"),
    GOOD("27 CRLF then LF", "GET / HTTP/1.1\r\nA: b\n\r\nX", "GET / 1 1|A=b"),
    GOOD("27 empty value, bare LF", "GET / HTTP/1.1\nA:\nC: d\n\n", "GET / 1 1|A=|C=d"),
    FAULT("28 CR in a value", LINE("A: b\rc"), FIELD_VALUE, "b\rc"),
    FAULT("28 CR hides a field", LINE("A:\rHost: x"), FIELD_VALUE, "\rHost: x"),
    FAULT("28 CR hides a field behind a value", LINE("A: b\rHost: x"), FIELD_VALUE, "b\rHost: x"),
    FAULT("28 CR before blanks", LINE("A:\r\t b"), FIELD_VALUE, "\r\t b"),
    FAULT("28 CR after blanks", LINE("A:\t\rb"), FIELD_VALUE, "\rb"),
    FAULT("28 two CR", LINE("A: b\r"), FIELD_VALUE, "b\r"),
    FAULT("28 two CR, empty value", LINE("A:\r"), FIELD_VALUE, "\r"),
    FAULT("28 CR in a name", LINE("A\rC: b"), FIELD_NAME, "A\rC"),
    FAULT("28 CR starts a name", LINE("\rA: b"), FIELD_NAME, "\rA"),
    FAULT("28 only a CR", LINE("\r"), NO_COLON, ""),
    FAULT("28 CR ends the request line", "GET / HTTP/1.1\r\r\nA: b\r\n\r\n", REQUEST_LINE, ""),
    FAULT("28 CR before the request line", "\rGET / HTTP/1.1\r\nA: b\r\n\r\n", REQUEST_LINE, ""),

    /* Field names. */
    GOOD("every symbol of a token", LINE("!#$%&'*+-.^_`|~09azAZ: b"), "GET / 1 1|!#$%&'*+-.^_`|~09azAZ=b|B=c"),
    GOOD("names that http-parser acts on",
         LINE("Connection: upgrade, close\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nTransfer-Encoding: chunked, x\r\n"
              "Content-Length: 3\r\nContent-Length: x\r\nTransfer-Encoding: y"),
         "GET / 1 1|Connection=upgrade, close|Upgrade=h2c|Proxy-Connection=x|Transfer-Encoding=chunked, x|"
         "Content-Length=3|Content-Length=x|Transfer-Encoding=y|B=c"),
    GOOD("5000 digits are for the rules", LINE("Content-Length: 99999999999999999999999999"),
         "GET / 1 1|Content-Length=99999999999999999999999999|B=c"),
    GOOD("names in lower case", LINE("content-length: +1\r\ntransfer-encoding: \r\nupgrade:"),
         "GET / 1 1|content-length=+1|transfer-encoding=|upgrade=|B=c"),
    FAULT("8 space before the colon", LINE("Transfer-Encoding : chunked"), FIELD_NAME, "Transfer-Encoding "),
    FAULT("8 space before the colon, b", LINE("Content-Length : 3"), FIELD_NAME, "Content-Length "),
    FAULT("8 tab before the colon", LINE("A\t: b"), FIELD_NAME, "A\t"),
    FAULT("31 space in a name", LINE("A b: c"), FIELD_NAME, "A b"),
    FAULT("empty name", LINE(": b"), FIELD_NAME, ""),
    FAULT("latin-1 name", LINE("\xc4: b"), FIELD_NAME, "\xc4"),
    FAULT("NUL in a name", LINE("A\0: b"), FIELD_NAME, "A\\0"),
    FAULT("separator in a name", LINE("A(b): c"), FIELD_NAME, "A(b)"),
    FAULT("quote in a name", LINE("\"A\": c"), FIELD_NAME, "\"A\""),
    FAULT("no colon", LINE("A"), NO_COLON, ""),
    FAULT("no colon, request line repeated", LINE("GET / HTTP/1.1"), NO_COLON, ""),
    FAULT("no colon and a control", LINE("\x01"), NO_COLON, ""),
    FAULT("32 first line starts with a space", LINE(" A: b"), FOLDED, ""),
    FAULT("32 first line starts with a tab", LINE("\tA: b"), FOLDED, ""),
    FAULT("32 only a space", LINE(" "), FOLDED, ""),
    FAULT("33 folded", LINE("A: b\r\n c"), FOLDED, ""),
    FAULT("33 folded with a tab", LINE("A: b\r\n\tc: d"), FOLDED, ""),
    FAULT("9 folded Transfer-Encoding", LINE("Transfer-Encoding:\r\n chunked"), FOLDED, ""),
    FAULT("9 folded Content-Length", LINE("Content-Length: 1\r\n 1"), FOLDED, ""),

    /* The order of faults. */
    FAULT("first bad line counts", LINE("A b: c\r\nD"), FIELD_NAME, "A b"),
    FAULT("first bad line counts, b", LINE("D\r\nA b: c"), NO_COLON, ""),
    FAULT("name before value", LINE("A b: \x01"), FIELD_NAME, "A b"),
    FAULT("lines before the request line", "GET\r\nA\r\n\r\n", NO_COLON, ""),
    FAULT("request line before version", "GET  / HTTP/2.0\r\n\r\n", REQUEST_LINE, ""),

    /* The request line. */
    GOOD("36 lower case", REQUEST("get / HTTP/1.1"), "get / 1 1|Host=a"),
    GOOD("36 any token", REQUEST("!#$%&'*+-.^_`|~ / HTTP/1.1"), "!#$%&'*+-.^_`|~ / 1 1|Host=a"),
    GOOD("36 long method", REQUEST("AMETHODTHATNOBODYHASEVERHEARDOF / HTTP/1.1"), "AMETHODTHATNOBODYHASEVERHEARDOF / 1 1|Host=a"),
    GOOD("37 QUERY", REQUEST("QUERY /x HTTP/1.1"), "QUERY /x 2 1|Host=a"),
    GOOD("37 CONNECT", REQUEST("CONNECT a:1 HTTP/1.1"), "CONNECT a:1 3 1|Host=a"),
    GOOD("38 upgrade", "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n",
         "GET / 1 1|Upgrade=websocket|Connection=Upgrade"),
    GOOD("39 target without slash", REQUEST("GET foo HTTP/1.1"), "GET foo 3 1|Host=a"),
    GOOD("39 latin-1 target", REQUEST("GET /\x80\xff HTTP/1.1"), "GET /\x80\xff 3 1|Host=a"),
    GOOD("absolute target", REQUEST("GET http://a/h?q HTTP/1.1"), "GET http://a/h?q 10 1|Host=a"),
    GOOD("asterisk", REQUEST("OPTIONS * HTTP/1.1"), "OPTIONS * 1 1|Host=a"),
    GOOD("odd target", REQUEST("GET #\"<>\\^`{|} HTTP/1.1"), "GET #\"<>\\^`{|} 10 1|Host=a"),
    GOOD("42 HTTP/1.2", REQUEST("GET / HTTP/1.2"), "GET / 1 2|Host=a"),
    GOOD("42 HTTP/1.9", REQUEST("GET / HTTP/1.9"), "GET / 1 9|Host=a"),
    FAULT("40 tab in the target", REQUEST("GET /\ta HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("40 two spaces", REQUEST("GET  / HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("40 two spaces, b", REQUEST("GET /  HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("40 space in the target", REQUEST("GET /a b HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("tab for a space", REQUEST("GET\t/ HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("tab for a space, b", REQUEST("GET /\tHTTP/1.1"), REQUEST_LINE, ""),
    FAULT("leading space", REQUEST(" GET / HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("trailing space", REQUEST("GET / HTTP/1.1 "), REQUEST_LINE, ""),
    FAULT("NUL in the target", REQUEST("GET /\0 HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("DEL in the target", REQUEST("GET /\x7f HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("CR in the target", REQUEST("GET /\r HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("empty target", REQUEST("GET HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("empty target, b", REQUEST("GET  HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("no method", REQUEST(" / HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("bad method", REQUEST("G(T / HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("latin-1 method", REQUEST("G\xc9T / HTTP/1.1"), REQUEST_LINE, ""),
    FAULT("a response", REQUEST("HTTP/1.1 200 OK"), REQUEST_LINE, ""),
    FAULT("TLS", "\x16\x03\x01\x02\0\x01\0\x01\xfc\r\n\r\n", REQUEST_LINE, ""),
    FAULT("41 HTTP/0.9", REQUEST("GET /"), REQUEST_LINE, ""),
    FAULT("41 HTTP/2.0", REQUEST("GET / HTTP/2.0"), VERSION, "HTTP/2.0"),
    FAULT("HTTP/0.9 in full", REQUEST("GET / HTTP/0.9"), VERSION, "HTTP/0.9"),
    FAULT("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION, "HTTP/2.0"),
    FAULT("HTTP/1.10", REQUEST("GET / HTTP/1.10"), REQUEST_LINE, ""),
    FAULT("HTTP/11.1", REQUEST("GET / HTTP/11.1"), REQUEST_LINE, ""),
    FAULT("HTTP/1", REQUEST("GET / HTTP/1"), REQUEST_LINE, ""),
    FAULT("HTTP/1,1", REQUEST("GET / HTTP/1,1"), REQUEST_LINE, ""),
    FAULT("lower-case version", REQUEST("GET / http/1.1"), REQUEST_LINE, ""),
    FAULT("no version number", REQUEST("GET / HTTP/x.y"), REQUEST_LINE, ""),

    /* Leading empty lines. */
    GOOD("43 one", "\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1 1"),
    GOOD("43 one LF", "\nGET / HTTP/1.1\r\n\r\n", "GET / 1 1"),
    GOOD("43 several", "\r\n\r\n\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n", "GET / 1 1|A=b"),
    GOOD("43 eight", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\n\n", "GET / 1 1"),
    FAULT("43 nine", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", REQUEST_LINE, ""),
    FAULT("43 nine LF", "\n\n\n\n\n\n\n\n\n", REQUEST_LINE, ""),
    FAULT("43 a blank line is not empty", " \r\nGET / HTTP/1.1\r\n\r\n", NO_COLON, ""),
};

struct outcome {
    enum td_status status;
    enum td_fault fault;
    size_t consumed;
    char text[1024]; /* the head as render() writes it, or the subject */
};

static void put(struct outcome *outcome, const char *data, size_t len)
{
    size_t used = strlen(outcome->text);
    for (size_t i = 0; i < len && used + 3 < sizeof outcome->text; i++) {
        if (data[i] == '\0') {
            outcome->text[used++] = '\\';
            outcome->text[used++] = '0';
        }
        else {
            outcome->text[used++] = data[i];
        }
    }
    outcome->text[used] = '\0';
}

/* method SP target SP length of the path SP minor version, then |name=value for each field. */
static void render(struct outcome *outcome, const struct td_head *head)
{
    char numbers[32];
    struct td_span method = td_head_method(head);
    struct td_span target = td_head_target(head);
    put(outcome, method.data, method.len);
    put(outcome, " ", 1);
    put(outcome, target.data, target.len);
    put(outcome, numbers, (size_t)snprintf(numbers, sizeof numbers, " %u %u", head->path_len, head->version_minor));
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct td_span name = td_field_name(head, &head->fields[i]);
        struct td_span value = td_field_value(head, &head->fields[i]);
        put(outcome, "|", 1);
        put(outcome, name.data, name.len);
        put(outcome, "=", 1);
        put(outcome, value.data, value.len);
    }
}

static struct outcome parse(const char *data, size_t len, size_t limit, struct td_head_scan *scan)
{
    struct outcome outcome = {.consumed = 0};
    struct td_head *head = NULL;
    struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
    outcome.status = td_http_parse_head(data, len, limit, scan, &outcome.consumed, &head, &why);
    outcome.fault = why.fault;
    if (outcome.status == TD_OK) {
        CHECK(outcome.consumed > 0 && outcome.consumed <= len, "consumed %zu of %zu", outcome.consumed, len);
        CHECK(head->refs == 1, "one reference");
        CHECK(head->text_len <= outcome.consumed, "the text is the block");
        render(&outcome, head);
        td_head_release(head);
    }
    else if (why.subject.len > 0) {
        CHECK(why.subject.data >= data && why.subject.data + why.subject.len <= data + len, "the subject lies in the input");
        put(&outcome, why.subject.data, why.subject.len);
    }
    return outcome;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->status == b->status && a->fault == b->fault && a->consumed == b->consumed && strcmp(a->text, b->text) == 0;
}

static void test_case(const struct head_case *test, struct guarded *area)
{
    struct td_head_scan scan = {0, 0};
    struct outcome whole = parse(guarded_copy(area, test->data, test->len), test->len, HEADER_LIMIT, &scan);
    enum td_status status = test->fault == TD_FAULT_NONE ? TD_OK : TD_BAD;
    CHECK(whole.status == status && whole.fault == test->fault, "%s: status %d fault %d", test->name, whole.status, whole.fault);
    CHECK(strcmp(whole.text, test->expect) == 0, "%s: got \"%s\"", test->name, whole.text);
    struct td_head_scan crawl = {0, 0};
    bool crawling = true;
    for (size_t cut = 0; cut <= test->len; cut++) {
        struct td_head_scan two = {0, 0};
        const char *data = guarded_copy(area, test->data, cut);
        struct outcome part = parse(data, cut, HEADER_LIMIT, &two);
        if (crawling) {
            struct outcome step = parse(data, cut, HEADER_LIMIT, &crawl);
            CHECK(same(&step, &part), "%s: byte by byte to %zu", test->name, cut);
            CHECK(crawl.line + crawl.seen <= cut, "%s: the scan is inside", test->name);
            crawling = step.status == TD_PARTIAL;
        }
        if (part.status == TD_PARTIAL) {
            CHECK(status != TD_OK || cut < whole.consumed, "%s: partial at %zu", test->name, cut);
            part = parse(guarded_copy(area, test->data, test->len), test->len, HEADER_LIMIT, &two);
        }
        CHECK(same(&part, &whole), "%s: cut at %zu: status %d \"%s\"", test->name, cut, part.status, part.text);
    }
    CHECK(!crawling, "%s: byte by byte ends", test->name);
}

/* Every byte value at every place where one class of bytes is allowed. */
static void test_every_byte(struct guarded *area)
{
    static const struct {
        const char *before;
        const char *behind;
        enum td_fault fault;
        const char *also; /* bytes that mean something else there and are left out */
    } places[] = {
        {"GET / HTTP/1.1\r\nAb", "c: d\r\n\r\n", TD_FAULT_FIELD_NAME, ":\n"},
        {"GET / HTTP/1.1\r\n", "c: d\r\n\r\n", TD_FAULT_FIELD_NAME, ":\n \t"},
        {"GET / HTTP/1.1\r\nA: b", "c\r\n\r\n", TD_FAULT_FIELD_VALUE, "\n"},
        {"GET / HTTP/1.1\r\nA: ", "c\r\n\r\n", TD_FAULT_FIELD_VALUE, "\n"},
        {"GET / HTTP/1.1\r\nA: 0123456789", "0123456789\r\n\r\n", TD_FAULT_FIELD_VALUE, "\n"},
        {"GE", "T / HTTP/1.1\r\n\r\n", TD_FAULT_REQUEST_LINE, "\n"},
        {"GET /", "a HTTP/1.1\r\n\r\n", TD_FAULT_REQUEST_LINE, "\n"},
    };
    static const char symbols[] = "!#$%&'*+-.^_`|~";
    for (size_t p = 0; p < COUNT_OF(places); p++) {
        for (int byte = 0; byte < 256; byte++) {
            if (byte != 0 && strchr(places[p].also, byte) != NULL) {
                continue;
            }
            bool alnum = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
            bool token = alnum || (byte != 0 && strchr(symbols, byte) != NULL);
            bool visible = byte > 0x20 && byte != 0x7f;
            bool good = token;
            if (places[p].fault == TD_FAULT_FIELD_VALUE) {
                good = visible || byte == ' ' || byte == '\t';
            }
            else if (p == 6) {
                good = visible;
            }
            char raw[64];
            size_t before = strlen(places[p].before);
            size_t len = before + 1 + strlen(places[p].behind);
            memcpy(raw, places[p].before, before);
            raw[before] = (char)byte;
            memcpy(raw + before + 1, places[p].behind, len - before - 1);
            struct td_head_scan scan = {0, 0};
            struct outcome got = parse(guarded_copy(area, raw, len), len, HEADER_LIMIT, &scan);
            CHECK(got.fault == (good ? TD_FAULT_NONE : places[p].fault), "byte %#x at place %zu: fault %d", byte, p, got.fault);
        }
    }
}

static void test_header_limit(struct guarded *area)
{
    static const char raw[] = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    size_t end = sizeof raw - 1 - 4;
    for (size_t limit = 0; limit < sizeof raw; limit++) {
        for (size_t len = 0; len < sizeof raw; len++) {
            struct td_head_scan scan = {0, 0};
            struct outcome got = parse(guarded_copy(area, raw, len), len, limit, &scan);
            enum td_status status = TD_PARTIAL;
            if (len >= end && limit >= end) {
                status = TD_OK;
            }
            else if (len > limit) {
                status = TD_TOO_LARGE;
            }
            CHECK(got.status == status, "limit %zu length %zu: %d", limit, len, got.status);
            CHECK(status != TD_TOO_LARGE || got.fault == TD_FAULT_HEAD_TOO_LARGE, "limit %zu length %zu", limit, len);
        }
    }
    struct td_head_scan scan = {0, 0};
    struct outcome got = parse(raw, sizeof raw - 1, SIZE_MAX, &scan);
    CHECK(got.status == TD_OK, "no limit to speak of");
    struct td_head_scan none = {0, 0};
    got = parse(NULL, 0, HEADER_LIMIT, &none);
    CHECK(got.status == TD_PARTIAL, "no bytes at all");
}

static void test_field_limit(void)
{
    enum { LINES = 5000 };
    static char raw[32 + LINES * 6];
    static const int counts[] = {1, 999, 1000, 1001, 1002, 1003, LINES};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        size_t len = (size_t)snprintf(raw, sizeof raw, "GET / HTTP/1.1\r\n");
        for (int line = 0; line < counts[i]; line++) {
            memcpy(raw + len, "A: b\r\n", 6);
            len += 6;
        }
        memcpy(raw + len, "\r\n", 2);
        struct td_head_scan scan = {0, 0};
        struct outcome got = parse(raw, len + 2, SIZE_MAX, &scan);
        if (counts[i] <= TD_MAX_FIELDS) {
            CHECK(got.status == TD_OK && got.consumed == len + 2, "%d lines", counts[i]);
        }
        else {
            CHECK(got.status == TD_TOO_LARGE && got.fault == TD_FAULT_TOO_MANY_FIELDS, "%d lines", counts[i]);
        }
    }
}

/* A long line that arrives byte by byte is looked at once: what was seen is never less than what was given. */
static void test_scan_is_linear(void)
{
    enum { LENGTH = 60000 };
    char *raw = malloc(LENGTH);
    memset(raw, 'a', LENGTH);
    memcpy(raw, "GET / HTTP/1.1\r\nA: ", 19);
    struct td_head_scan scan = {0, 0};
    for (size_t len = 1; len <= LENGTH; len++) {
        struct outcome got = parse(raw, len, HEADER_LIMIT, &scan);
        CHECK(got.status == TD_PARTIAL, "at %zu", len);
        CHECK(scan.line + scan.seen == len, "seen to %zu of %zu", scan.line + scan.seen, len);
    }
    free(raw);
}

static void test_out_of_memory(void)
{
    static const char raw[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    long failures = 0;
    for (long allowed = 0; allowed < 20; allowed++) {
        struct td_head_scan scan = {0, 0};
        td_alloc_fail_after(allowed);
        struct outcome got = parse(raw, sizeof raw - 1, HEADER_LIMIT, &scan);
        td_alloc_fail_after(-1);
        if (got.status == TD_OK) {
            break;
        }
        failures++;
        CHECK(got.status == TD_NOMEM && got.fault == TD_FAULT_NONE, "status %d", got.status);
        got = parse(raw, sizeof raw - 1, HEADER_LIMIT, &scan);
        CHECK(got.status == TD_OK, "the same call works once there is memory");
    }
    CHECK(failures == 1, "one allocation for a head, %ld seen", failures);
}

static void test_lookup(void)
{
    static const char raw[] = "GET / HTTP/1.1\r\nAb: 1\r\nAbc: x\r\naB: 2\r\nC:\r\nAB:\r\n\r\n";
    struct td_head_scan scan = {0, 0};
    struct td_head *head = NULL;
    struct td_verdict why;
    size_t consumed;
    enum td_status status = td_http_parse_head(raw, sizeof raw - 1, HEADER_LIMIT, &scan, &consumed, &head, &why);
    CHECK(status == TD_OK, "status %d", status);
    td_head_retain(head);
    td_head_release(head);
    const struct td_field *field = td_head_find(head, "ab");
    CHECK(field == &head->fields[0], "first");
    field = td_head_find_next(head, field, "ab");
    CHECK(field == &head->fields[2], "second");
    field = td_head_find_next(head, field, "ab");
    CHECK(field == &head->fields[4], "third");
    CHECK(td_head_find_next(head, field, "ab") == NULL, "no fourth");
    CHECK(td_head_find(head, "a") == NULL && td_head_find(head, "d") == NULL, "absent");
    char out[8];
    CHECK(td_head_combine(head, "ab", NULL, 0) == 4, "combined length");
    for (size_t size = 0; size <= 6; size++) {
        memset(out, '#', sizeof out);
        size_t len = td_head_combine(head, "ab", out, size);
        size_t shown = size < len ? size : len;
        CHECK(len == 4 && memcmp(out, "1,2,", shown) == 0 && out[shown] == '#', "combined into %zu bytes", size);
    }
    CHECK(td_head_combine(head, "abc", out, sizeof out) == 1 && out[0] == 'x', "a single field");
    CHECK(td_head_combine(head, "d", out, sizeof out) == 0, "no field");
    td_head_release(head);
    td_head_release(NULL);
}

int main(void)
{
    struct guarded area = guarded_open(8192);
    for (size_t i = 0; i < COUNT_OF(head_cases); i++) {
        test_case(&head_cases[i], &area);
    }
    test_every_byte(&area);
    test_header_limit(&area);
    test_field_limit();
    test_scan_is_linear();
    test_out_of_memory();
    test_lookup();
    unsigned major = 0;
    CHECK(sscanf(td_http_parser_version(), "%u.", &major) == 1 && major == 2, "version %s", td_http_parser_version());
    guarded_close(&area);
    return check_result("http_parse");
}
