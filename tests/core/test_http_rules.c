/* Tornado's verdicts on heads: connection reuse, Host, framing, Expect, and the byte classes. */
#include "http_rules.h"

#include "check.h"
#include "http_parse.h"

enum { MAX_BODY = 1000 };

static struct td_head *read_head(const char *raw, size_t len)
{
    struct td_head_scan scan = {0, 0};
    struct td_head *head = NULL;
    struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
    size_t consumed = 0;
    enum td_status status = td_http_parse_head(raw, len, 65536, &scan, &consumed, &head, &why);
    CHECK(status == TD_OK && consumed == len, "status %d fault %d for %s", status, why.fault, raw);
    if (status != TD_OK) {
        exit(1);
    }
    return head;
}

/* The subject as text; "(combine)" stands for a repeated field. */
static bool subject_is(const struct td_verdict *why, const char *expect)
{
    if (why->subject.data == NULL) {
        return strcmp(expect, "(combine)") == 0;
    }
    return td_span_is(why->subject, expect);
}

/* ------------------------------------------------------------------------------------------------ connection reuse */

static const struct {
    const char *head; /* method and version, then the fields */
    bool keep_alive;
    bool echo; /* td_rules_wants_keep_alive */
    enum td_fault fault;
} reuse_cases[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false, TD_FAULT_NONE},
    {"POST / HTTP/1.1\r\n\r\n", true, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: CLose\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", true, true, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection:\r\n\r\n", true, false, TD_FAULT_NONE},
    /* 45 */
    {"GET / HTTP/1.1\r\nConnection: keep-alive, close\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: close, keep-alive\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: a ,\tCLOSE\t, b\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: ,,close\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: keep-alive\r\nA: b\r\nconnection: close\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnection: closed, xclose, close x, clos\r\n\r\n", true, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nConnections: close\r\n\r\n", true, false, TD_FAULT_NONE},
    {"GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n", true, false, TD_FAULT_NONE},
    /* HTTP/1.0 and unknown minor versions (42) */
    {"GET / HTTP/1.0\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, true, TD_FAULT_NONE},
    {"HEAD / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, true, TD_FAULT_NONE},
    {"get / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, true, TD_FAULT_NONE},
    {"POST / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, true, TD_FAULT_NONE},
    {"POST / HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", true, true, TD_FAULT_NONE},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: keep-alive\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", false, false, TD_FAULT_NONE},
    {"GET / HTTP/1.9\r\nConnection: keep-alive\r\n\r\n", true, true, TD_FAULT_NONE},
    /* 10 */
    {"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", true, true, TD_FAULT_NONE},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: Chunked\r\n\r\n", true, true, TD_FAULT_NONE},
    {"POST / HTTP/1.0\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\n\r\n", false, false, TD_FAULT_NONE},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n", false, false, TD_FAULT_TRANSFER_ENCODING},
    {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", false, false,
     TD_FAULT_TRANSFER_ENCODING},
};

static void test_reuse(void)
{
    for (size_t i = 0; i < COUNT_OF(reuse_cases); i++) {
        const char *raw = reuse_cases[i].head;
        struct td_head *head = read_head(raw, strlen(raw));
        struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
        bool keep_alive = !reuse_cases[i].keep_alive;
        enum td_status status = td_rules_keep_alive(head, &keep_alive, &why);
        CHECK(why.fault == reuse_cases[i].fault, "fault %d for %s", why.fault, raw);
        CHECK(status == (why.fault == TD_FAULT_NONE ? TD_OK : TD_BAD), "status %d for %s", status, raw);
        CHECK(keep_alive == reuse_cases[i].keep_alive, "keep alive: %d for %s", keep_alive, raw);
        CHECK(td_rules_wants_keep_alive(head) == reuse_cases[i].echo, "echo for %s", raw);
        td_head_release(head);
    }
}

static void test_upgrade_and_close(void)
{
    static const struct {
        const char *head;
        bool expected;
    } cases[] = {
        {"GET / HTTP/1.1\r\nConnection: Upgrade, Close\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nConnection: upgrade\r\nConnection: close\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: close, x\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct td_head *head = read_head(cases[i].head, strlen(cases[i].head));
        CHECK(td_rules_upgrades_and_closes(head) == cases[i].expected, "upgrade and close for %s", cases[i].head);
        td_head_release(head);
    }
}

/* ------------------------------------------------------------------------------------------------------------ Host */

static const struct {
    const char *fields;
    enum td_fault fault;
    const char *value; /* the host, or the subject */
} host_cases[] = {
    {"Host: a\r\n", TD_FAULT_NONE, "a"},
    {"hOST: Example.COM:8888\r\n", TD_FAULT_NONE, "Example.COM:8888"},
    {"Host: [::1]:80\r\n", TD_FAULT_NONE, "[::1]:80"},
    {"Host: a%20b%aF\r\n", TD_FAULT_NONE, "a%20b%aF"},
    {"Host: -._~!$&'()*+;=09azAZ\r\n", TD_FAULT_NONE, "-._~!$&'()*+;=09azAZ"},
    /* 35 */
    {"Host: a:x\r\n", TD_FAULT_NONE, "a:x"},
    {"Host:\r\n", TD_FAULT_NONE, ""},
    {"Host: :\r\n", TD_FAULT_NONE, ":"},
    /* 34 */
    {"A: b\r\n", TD_FAULT_HOST_MISSING, "(combine)"},
    {"Host: a\r\nHost: a\r\n", TD_FAULT_HOST_MANY, "(combine)"},
    {"Host: a\r\nHost:\r\n", TD_FAULT_HOST_MANY, "(combine)"},
    {"Host: a, b\r\n", TD_FAULT_HOST_INVALID, "a, b"},
    {"Host: a,b\r\n", TD_FAULT_HOST_MANY, "a,b"},
    {"Host: ,\r\n", TD_FAULT_HOST_MANY, ","},
    {"Host: a\r\nHost: b/\r\n", TD_FAULT_HOST_INVALID, "(combine)"},
    {"Host: a/b\r\n", TD_FAULT_HOST_INVALID, "a/b"},
    {"Host: a b\r\n", TD_FAULT_HOST_INVALID, "a b"},
    {"Host: u@a\r\n", TD_FAULT_HOST_INVALID, "u@a"},
    {"Host: a\xe4\r\n", TD_FAULT_HOST_INVALID, "a\xe4"},
    {"Host: a%\r\n", TD_FAULT_HOST_INVALID, "a%"},
    {"Host: a%4\r\n", TD_FAULT_HOST_INVALID, "a%4"},
    {"Host: a%4g\r\n", TD_FAULT_HOST_INVALID, "a%4g"},
    {"Host: a%4\r\nHost: 1\r\n", TD_FAULT_HOST_INVALID, "(combine)"},
    {"Host: a?\r\n", TD_FAULT_HOST_INVALID, "a?"},
    {"Host: a#\r\n", TD_FAULT_HOST_INVALID, "a#"},
    {"Host: <a>\r\n", TD_FAULT_HOST_INVALID, "<a>"},
};

static void test_host(void)
{
    for (size_t i = 0; i < COUNT_OF(host_cases); i++) {
        for (int minor = 0; minor <= 2; minor++) {
            char raw[256];
            int len = snprintf(raw, sizeof raw, "GET / HTTP/1.%d\r\n%s\r\n", minor, host_cases[i].fields);
            struct td_head *head = read_head(raw, (size_t)len);
            struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
            struct td_span host = {NULL, 0};
            enum td_status status = td_rules_host(head, &host, &why);
            if (host_cases[i].fault == TD_FAULT_HOST_MISSING && minor == 0) {
                CHECK(status == TD_OK && td_span_is(host, "127.0.0.1"), "HTTP/1.0 needs no Host");
            }
            else if (host_cases[i].fault == TD_FAULT_NONE) {
                CHECK(status == TD_OK && td_span_is(host, host_cases[i].value), "status %d for %s", status, raw);
            }
            else {
                CHECK(status == TD_BAD && why.fault == host_cases[i].fault, "fault %d for %s", why.fault, raw);
                CHECK(subject_is(&why, host_cases[i].value), "subject of %s", raw);
            }
            td_head_release(head);
        }
    }
}

/* --------------------------------------------------------------------------------------------------------- framing */

/* clang-format off */
#define FRAMED(fields, framing, length) {fields, TD_FAULT_NONE, framing, length, NULL}
#define REFUSED(fields, fault, subject) {fields, TD_FAULT_##fault, TD_FRAMING_NONE, 0, subject}
/* clang-format on */

static const struct {
    const char *fields;
    enum td_fault fault;
    enum td_framing framing;
    uint64_t length;
    const char *subject;
} framing_cases[] = {
    FRAMED("", TD_FRAMING_NONE, 0),
    FRAMED("Content-Length: 0\r\n", TD_FRAMING_LENGTH, 0),
    FRAMED("content-length: 37\r\n", TD_FRAMING_LENGTH, 37),
    FRAMED("Content-Length: 1000\r\n", TD_FRAMING_LENGTH, 1000),
    FRAMED("Content-Length: 0000000000000000000000000000000000000000000003\r\n", TD_FRAMING_LENGTH, 3),
    REFUSED("Content-Length: 1001\r\n", LENGTH_TOO_LONG, "1001"),
    /* 11, 12, 14 */
    FRAMED("Content-Length: 3\r\nContent-Length: 3\r\n", TD_FRAMING_LENGTH, 3),
    FRAMED("Content-Length: 3, 3\r\n", TD_FRAMING_LENGTH, 3),
    FRAMED("Content-Length: 3,3,\t 3\r\ncontent-length: 3\r\n", TD_FRAMING_LENGTH, 3),
    FRAMED("Content-Length: 3\t\r\n", TD_FRAMING_LENGTH, 3),
    REFUSED("Content-Length: 3\r\nContent-Length: 4\r\n", LENGTHS_DIFFER, "(combine)"),
    REFUSED("Content-Length: 3, 4\r\n", LENGTHS_DIFFER, "3, 4"),
    REFUSED("Content-Length: 3, 33\r\n", LENGTHS_DIFFER, "3, 33"),
    REFUSED("Content-Length: 3 , 3\r\n", LENGTHS_DIFFER, "3 , 3"),
    REFUSED("Content-Length: 3,\r\n", LENGTHS_DIFFER, "3,"),
    REFUSED("Content-Length: ,3\r\n", LENGTHS_DIFFER, ",3"),
    REFUSED("Content-Length: 3\r\nContent-Length:\r\n", LENGTHS_DIFFER, "(combine)"),
    REFUSED("Content-Length: 3\r\nContent-Length: 03\r\n", LENGTHS_DIFFER, "(combine)"),
    REFUSED("Content-Length: ,\r\n", LENGTH_NOT_INTEGER, ""),
    REFUSED("Content-Length: a, a\r\n", LENGTH_NOT_INTEGER, "a"),
    REFUSED("Content-Length: a\r\nContent-Length: a\r\n", LENGTH_NOT_INTEGER, "a"),
    /* 13 */
    REFUSED("Content-Length: +3\r\n", LENGTH_NOT_INTEGER, "+3"),
    REFUSED("Content-Length: -3\r\n", LENGTH_NOT_INTEGER, "-3"),
    REFUSED("Content-Length: 0x3\r\n", LENGTH_NOT_INTEGER, "0x3"),
    REFUSED("Content-Length: 1_0\r\n", LENGTH_NOT_INTEGER, "1_0"),
    REFUSED("Content-Length: 3 4\r\n", LENGTH_NOT_INTEGER, "3 4"),
    REFUSED("Content-Length: 3.0\r\n", LENGTH_NOT_INTEGER, "3.0"),
    REFUSED("Content-Length: \xb3\r\n", LENGTH_NOT_INTEGER, "\xb3"),
    REFUSED("Content-Length:\r\n", LENGTH_NOT_INTEGER, ""),
    /* 16 */
    REFUSED("Content-Length: 9223372036854775808\r\n", LENGTH_TOO_LONG, "9223372036854775808"),
    REFUSED("Content-Length: 18446744073709551619\r\n", LENGTH_TOO_LONG, "18446744073709551619"),
    REFUSED("Content-Length: 99999999999999999999999999999999\r\n", LENGTH_TOO_LONG, "99999999999999999999999999999999"),
    REFUSED("Content-Length: 18446744073709551619x\r\n", LENGTH_NOT_INTEGER, "18446744073709551619x"),
    /* 1 */
    REFUSED("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", BOTH_FRAMINGS, "(combine)"),
    REFUSED("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", BOTH_FRAMINGS, "(combine)"),
    REFUSED("Transfer-Encoding: x\r\nContent-Length: 3\r\n", BOTH_FRAMINGS, "(combine)"),
    REFUSED("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", LENGTH_NOT_INTEGER, "x"),
    REFUSED("Transfer-Encoding: chunked\r\nContent-Length: 1001\r\n", LENGTH_TOO_LONG, "1001"),
    /* 2 to 7 */
    FRAMED("Transfer-Encoding: chunked\r\n", TD_FRAMING_CHUNKED, 0),
    FRAMED("transfer-encoding: CHUNKED\r\n", TD_FRAMING_CHUNKED, 0),
    FRAMED("Transfer-Encoding: \t chunked \t\r\n", TD_FRAMING_CHUNKED, 0),
    REFUSED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TRANSFER_ENCODING, "(combine)"),
    REFUSED("Transfer-Encoding: chunked, chunked\r\n", TRANSFER_ENCODING, "chunked, chunked"),
    REFUSED("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", TRANSFER_ENCODING, "(combine)"),
    REFUSED("Transfer-Encoding: gzip, chunked\r\n", TRANSFER_ENCODING, "gzip, chunked"),
    REFUSED("Transfer-Encoding: gzip\r\n", TRANSFER_ENCODING, "gzip"),
    REFUSED("Transfer-Encoding: identity\r\n", TRANSFER_ENCODING, "identity"),
    REFUSED("Transfer-Encoding:\r\n", TRANSFER_ENCODING, ""),
    REFUSED("Transfer-Encoding: xchunked\r\n", TRANSFER_ENCODING, "xchunked"),
    REFUSED("Transfer-Encoding: chunkedx\r\n", TRANSFER_ENCODING, "chunkedx"),
    REFUSED("Transfer-Encoding: chunked;p\r\n", TRANSFER_ENCODING, "chunked;p"),
    REFUSED("Transfer-Encoding: chunked,\r\n", TRANSFER_ENCODING, "chunked,"),
    REFUSED("Transfer-Encoding: ,chunked\r\n", TRANSFER_ENCODING, ",chunked"),
    REFUSED("Transfer-Encoding: \"chunked\"\r\n", TRANSFER_ENCODING, "\"chunked\""),
    REFUSED("Transfer-Encoding: c\xebunked\r\n", TRANSFER_ENCODING, "c\xebunked"),
    REFUSED("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", TRANSFER_ENCODING, "(combine)"),
};

static void test_framing(void)
{
    for (size_t i = 0; i < COUNT_OF(framing_cases); i++) {
        char raw[256];
        int len = snprintf(raw, sizeof raw, "POST / HTTP/1.1\r\n%s\r\n", framing_cases[i].fields);
        struct td_head *head = read_head(raw, (size_t)len);
        struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
        enum td_framing framing = TD_FRAMING_NONE;
        uint64_t length = 0;
        enum td_status status = td_rules_framing(head, MAX_BODY, &framing, &length, &why);
        CHECK(why.fault == framing_cases[i].fault, "fault %d for %s", why.fault, raw);
        if (framing_cases[i].fault == TD_FAULT_NONE) {
            CHECK(status == TD_OK && framing == framing_cases[i].framing, "framing %d for %s", framing, raw);
            CHECK(length == framing_cases[i].length, "length %llu for %s", (unsigned long long)length, raw);
        }
        else {
            CHECK(status == TD_BAD, "status %d for %s", status, raw);
            CHECK(subject_is(&why, framing_cases[i].subject), "subject of %s", raw);
        }
        td_head_release(head);
    }
}

/* Row 15: the digits are capped before they are counted; and the largest number that fits is read exactly. */
static void test_long_lengths(void)
{
    static char raw[8192];
    static const struct {
        size_t digits;
        enum td_fault fault;
    } cases[] = {{TD_MAX_LENGTH_DIGITS, TD_FAULT_NONE},
                 {TD_MAX_LENGTH_DIGITS + 1, TD_FAULT_LENGTH_NOT_INTEGER},
                 {5000, TD_FAULT_LENGTH_NOT_INTEGER}};
    struct td_verdict why;
    enum td_framing framing;
    uint64_t length = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t at = (size_t)snprintf(raw, sizeof raw, "POST / HTTP/1.1\r\nContent-Length: ");
        memset(raw + at, '0', cases[i].digits);
        at += cases[i].digits;
        raw[at - 1] = '3';
        memcpy(raw + at, "\r\n\r\n", 5);
        struct td_head *head = read_head(raw, at + 4);
        why.fault = TD_FAULT_NONE;
        enum td_status status = td_rules_framing(head, MAX_BODY, &framing, &length, &why);
        CHECK(why.fault == cases[i].fault, "%zu digits: status %d fault %d", cases[i].digits, status, why.fault);
        td_head_release(head);
    }
    static const char largest[] = "POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n";
    struct td_head *head = read_head(BYTES(largest));
    enum td_status status = td_rules_framing(head, UINT64_MAX, &framing, &length, &why);
    CHECK(status == TD_OK && length == (uint64_t)INT64_MAX, "2^63-1 fits");
    td_head_release(head);
    static const char beyond[] = "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n";
    head = read_head(BYTES(beyond));
    status = td_rules_framing(head, UINT64_MAX, &framing, &length, &why);
    CHECK(status == TD_BAD && why.fault == TD_FAULT_LENGTH_TOO_LONG, "2^63 does not, under any limit");
    td_head_release(head);
}

/* ---------------------------------------------------------------------------------------------- Expect, byte classes */

static void test_expect(void)
{
    static const struct {
        const char *raw;
        bool expects;
    } cases[] = {
        {"POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", true},
        {"POST / HTTP/1.1\r\nexpect: 100-Continue\r\n\r\n", true},
        {"POST / HTTP/1.2\r\nExpect: 100-continue\r\n\r\n", true},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false},
        {"POST / HTTP/1.1\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nExpect: 100-continue, x\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nExpect: 200-ok\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct td_head *head = read_head(cases[i].raw, strlen(cases[i].raw));
        CHECK(td_rules_expects_continue(head) == cases[i].expects, "%s", cases[i].raw);
        td_head_release(head);
    }
}

static bool is_value(const char *data, size_t len)
{
    return td_rules_is_field_value(td_span_of(data, len));
}

static void test_byte_classes(void)
{
    CHECK(!td_rules_is_token(td_span_of("", 0)), "an empty token");
    CHECK(td_rules_is_token(td_span_of(BYTES("X-Y_z9"))), "a token");
    CHECK(!td_rules_is_token(td_span_of(BYTES("X Y"))), "a space");
    CHECK(is_value("", 0), "an empty value");
    CHECK(!is_value(BYTES(" a")) && !is_value(BYTES("a\t")) && !is_value(BYTES(" ")), "values not stripped");
    CHECK(is_value(BYTES("a \t b")), "blanks inside");
    /* Each byte at each place of a long value: the fast test by words and the slow one must agree. */
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 20; at++) {
            char value[20];
            memset(value, (byte & 1) != 0 ? 'a' : '\xff', sizeof value);
            value[at] = (char)byte;
            bool blank = byte == ' ' || byte == '\t';
            bool good = blank ? at > 0 && at < 19 : byte > 0x20 && byte != 0x7f;
            CHECK(is_value(value, sizeof value) == good, "byte %#x at %zu", byte, at);
        }
    }
}

int main(void)
{
    test_reuse();
    test_upgrade_and_close();
    test_host();
    test_framing();
    test_long_lengths();
    test_expect();
    test_byte_classes();
    return check_result("http_rules");
}
