/* td_body: a table of encoded bodies, each read whole, cut in two at every point, and byte by byte. */
#include "http_body.h"

#include "check.h"

enum { MAX_SIZE = 100 };

struct body_case {
    const char *name;
    const char *raw;
    size_t len;
    enum td_fault fault; /* NONE: complete, or open if end is past the input */
    const char *data;    /* what comes out of it, up to the fault */
    size_t end;          /* bytes that belong to the body */
};

/* clang-format off */
#define WHOLE(name, raw, data) {name, BYTES(raw), TD_FAULT_NONE, data, sizeof(raw) - 1}
#define BEFORE(name, raw, data, rest) {name, BYTES(raw rest), TD_FAULT_NONE, data, sizeof(raw) - 1}
#define OPEN(name, raw, data) {name, BYTES(raw), TD_FAULT_NONE, data, SIZE_MAX}
#define FAULT(name, raw, fault, data) {name, BYTES(raw), TD_FAULT_##fault, data, 0}
/* clang-format on */

#define ZEROS_10 "0000000000"
#define ZEROS_60 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10

static const struct body_case chunked_cases[] = {
    WHOLE("empty", "0\r\n\r\n", ""),
    WHOLE("one chunk", "3\r\nabc\r\n0\r\n\r\n", "abc"),
    WHOLE("two chunks", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd"),
    WHOLE("hexadecimal", "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0A\r\n0123456789\r\n0\r\n\r\n",
          "abcdefghijklmnopqrstuvwxyz0123456789"),
    WHOLE("line ends as data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
    WHOLE("several zeros", "000\r\n\r\n", ""),
    WHOLE("62 digits", ZEROS_60 "03\r\nabc\r\n0\r\n\r\n", "abc"),
    WHOLE(
        "exactly the limit",
        "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n0\r\n\r\n",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"),
    BEFORE("the next request stays", "1\r\na\r\n0\r\n\r\n", "a", "GET / HTTP/1.1\r\n"),
    BEFORE("an empty line stays", "0\r\n\r\n", "", "\r\n\r\n"),
    OPEN("nothing yet", "", ""),
    OPEN("half a size", "1", ""),
    OPEN("half a chunk", "5\r\nabc", "abc"),
    OPEN("no last chunk", "3\r\nabc\r\n", "abc"),
    OPEN("no last line", "0\r\n", ""),
    OPEN("half a trailer", "0\r\nA: b", ""),
    /* 17, 18, 23 */
    FAULT("17 underscore", "0_3\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("17 plus", "+3\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("17 minus", "-3\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("17 0x", "0x3\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("17 space first", " 3\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("17 empty", "\r\nabc", CHUNK_SIZE, ""),
    FAULT("17 empty with extension", ";a\r\nabc", CHUNK_SIZE, ""),
    FAULT("17 a letter", "g\r\n", CHUNK_SIZE, ""),
    FAULT("17 behind a chunk", "1\r\na\r\nx\r\n", CHUNK_SIZE, "a"),
    FAULT("18 space behind", "3 \r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("18 tab behind", "3\t\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("space before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("63 digits", ZEROS_60 "003\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("23 many zeros", ZEROS_60 ZEROS_60 ZEROS_60 "\r\n\r\n", CHUNK_SIZE, ""),
    /* 19, 20, 21 */
    WHOLE("19 extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc"),
    WHOLE("19 odd extension", "3;\r\nabc\r\n0;\"\xff\t ;;=\r\n\r\n", "abc"),
    FAULT("20 extension, LF", "3;a\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("20 size, LF", "3\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("21 CR and no LF", "3\rXabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("21 two CR", "3\r\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("21 CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("NUL in an extension", "3;\0\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("control in an extension", "3;\x1b\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    FAULT("DEL in an extension", "3;\x7f\r\nabc\r\n0\r\n\r\n", CHUNK_SIZE, ""),
    /* 22 */
    FAULT("22 chunk too long", "3\r\nabcd\r\n0\r\n\r\n", CHUNK_END, "abc"),
    FAULT("22 LF only", "3\r\nabc\n0\r\n\r\n", CHUNK_END, "abc"),
    FAULT("22 CR only", "3\r\nabc\r0\r\n\r\n", CHUNK_END, "abc"),
    FAULT("22 nothing", "3\r\nabc0\r\n\r\n", CHUNK_END, "abc"),
    /* 24, 25, 26 */
    WHOLE("24 trailers", "1\r\na\r\n0\r\nA: b\r\nContent-MD5:\t\xff\r\nC:\r\n\r\n", "a"),
    WHOLE("24 names like framing",
          "0\r\nContent-Lengt: 1\r\nContent-Length2: 1\r\nTransfer-Encodings: a\r\nx-content-length: 1\r\n\r\n", ""),
    WHOLE("24 a very long name", "0\r\nTransfer-Encoding-and-then-so-much-more-of-it: a\r\nB: c\r\n\r\n", ""),
    FAULT("25 Content-Length", "0\r\nContent-Length: 3\r\n\r\n", CHUNKED_END, ""),
    FAULT("25 second trailer", "0\r\nA: b\r\ncontent-LENGTH: 3\r\n\r\n", CHUNKED_END, ""),
    FAULT("25 Transfer-Encoding", "0\r\nTRANSFER-encoding: chunked\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 no colon", "0\r\nabc\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 empty name", "0\r\n: b\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 space in a name", "0\r\nA : b\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 folded", "0\r\nA: b\r\n c\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 LF in a trailer", "0\r\nA: b\n\r\n", CHUNKED_END, ""),
    FAULT("24 CR in a trailer", "0\r\nA: b\rc\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 NUL in a trailer", "0\r\nA: \0\r\n\r\n", CHUNKED_END, ""),
    FAULT("24 a request for trailers", "0\r\nGET / HTTP/1.1\r\n\r\n", CHUNKED_END, ""),
    FAULT("26 LF LF", "0\n\n", CHUNK_SIZE, ""),
    FAULT("26 LF as the last line", "0\r\n\n", CHUNKED_END, ""),
    FAULT("26 CR and no LF", "0\r\n\rX", CHUNKED_END, ""),
    /* Limits. */
    FAULT("too large at once", "65\r\nabc", CHUNKED_TOO_LARGE, ""),
    FAULT("too large together", "60\r\n" ZEROS_60 ZEROS_10 ZEROS_10 ZEROS_10 "000000\r\n5\r\n", CHUNKED_TOO_LARGE,
          ZEROS_60 ZEROS_10 ZEROS_10 ZEROS_10 "000000"),
    FAULT("64 bits", "ffffffffffffffff\r\n", CHUNKED_TOO_LARGE, ""),
    FAULT("65 bits", "10000000000000000\r\n", CHUNKED_TOO_LARGE, ""),
    FAULT("many bits", "fffffffffffffffffffffffffffffff3\r\nabc", CHUNKED_TOO_LARGE, ""),
    FAULT("wraps to 3 if one is careless", "100000000000000000000000000000003\r\nabc\r\n0\r\n\r\n", CHUNKED_TOO_LARGE, ""),
    FAULT("a bad line before its size", "ffff x\r\n", CHUNK_SIZE, ""),
};

struct outcome {
    enum td_status status;
    enum td_fault fault;
    size_t consumed;
    size_t size; /* of data */
    char data[512];
};

/* Gives the body one part of its input; true: it wants more. */
static bool feed(struct td_body *body, const char *data, size_t len, struct outcome *outcome)
{
    size_t at = 0;
    for (;;) {
        size_t consumed = SIZE_MAX;
        struct td_span piece = {NULL, 0};
        struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
        outcome->status = td_body_next(body, data + at, len - at, &consumed, &piece, &why);
        outcome->fault = why.fault;
        CHECK(consumed <= len - at, "consumed %zu of %zu", consumed, len - at);
        if (consumed > len - at) {
            exit(1);
        }
        if (outcome->status == TD_OK) {
            CHECK(piece.len > 0 && piece.data >= data + at && piece.data + piece.len == data + at + consumed,
                  "the piece ends what was consumed");
            if (outcome->size + piece.len <= sizeof outcome->data) {
                memcpy(outcome->data + outcome->size, piece.data, piece.len);
            }
            outcome->size += piece.len;
        }
        at += consumed;
        outcome->consumed += consumed;
        if (outcome->status != TD_OK) {
            CHECK(outcome->status != TD_PARTIAL || at == len, "partial leaves nothing");
            return outcome->status == TD_PARTIAL;
        }
    }
}

static void check_outcome(const struct body_case *test, const struct outcome *got, const char *how, size_t cut)
{
    enum td_status status = TD_BAD;
    if (test->fault == TD_FAULT_CHUNKED_TOO_LARGE) {
        status = TD_TOO_LARGE;
    }
    else if (test->fault == TD_FAULT_NONE) {
        status = test->end == SIZE_MAX ? TD_PARTIAL : TD_EOF;
    }
    size_t size = strlen(test->data);
    CHECK(got->status == status && got->fault == test->fault, "%s, %s %zu: status %d fault %d", test->name, how, cut, got->status,
          got->fault);
    CHECK(got->size == size && memcmp(got->data, test->data, size) == 0, "%s, %s %zu: data", test->name, how, cut);
    CHECK(test->fault != TD_FAULT_NONE || got->consumed == (test->end == SIZE_MAX ? test->len : test->end),
          "%s, %s %zu: consumed %zu", test->name, how, cut, got->consumed);
}

static void test_case(const struct body_case *test, struct guarded *area)
{
    for (size_t cut = 0; cut <= test->len; cut++) {
        struct td_body body;
        struct outcome got = {.size = 0};
        td_body_start(&body, TD_FRAMING_CHUNKED, 0, MAX_SIZE);
        if (feed(&body, guarded_copy(area, test->raw, cut), cut, &got)) {
            feed(&body, guarded_copy(area, test->raw + cut, test->len - cut), test->len - cut, &got);
        }
        check_outcome(test, &got, "cut at", cut);
    }
    struct td_body body;
    struct outcome got = {.size = 0};
    td_body_start(&body, TD_FRAMING_CHUNKED, 0, MAX_SIZE);
    bool more = feed(&body, "", 0, &got);
    for (size_t i = 0; more && i < test->len; i++) {
        more = feed(&body, guarded_copy(area, test->raw + i, 1), 1, &got);
    }
    check_outcome(test, &got, "byte by byte", 0);
}

/* Content-Length and no body at all. */
static void test_fixed(struct guarded *area)
{
    static const char raw[] = "0123456789rest";
    for (size_t length = 0; length <= 12; length++) {
        for (size_t cut = 0; cut < sizeof raw; cut++) {
            struct td_body body;
            struct outcome got = {.size = 0};
            td_body_start(&body, TD_FRAMING_LENGTH, length, 5);
            bool more = feed(&body, guarded_copy(area, raw, cut), cut, &got);
            CHECK(more == (cut < length), "length %zu cut %zu", length, cut);
            if (more) {
                more = feed(&body, guarded_copy(area, raw + cut, sizeof raw - 1 - cut), sizeof raw - 1 - cut, &got);
            }
            CHECK(!more && got.status == TD_EOF && got.consumed == length, "length %zu cut %zu", length, cut);
            CHECK(got.size == length && memcmp(got.data, raw, length) == 0, "length %zu cut %zu", length, cut);
        }
    }
    struct td_body body;
    struct outcome got = {.size = 0};
    td_body_start(&body, TD_FRAMING_NONE, 7, 7);
    CHECK(!feed(&body, raw, 5, &got) && got.status == TD_EOF && got.consumed == 0, "no body");
    CHECK(!feed(&body, raw, 5, &got) && got.status == TD_EOF && got.consumed == 0, "still none");
    /* A size that does not fit 64 bits is over any limit, even the largest. */
    static const char *const sizes[] = {"ffffffffffffffff\r\n", "1ffffffffffffffff\r\n", "fffffffffffffffe\r\n"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        td_body_start(&body, TD_FRAMING_CHUNKED, 0, UINT64_MAX);
        feed(&body, sizes[i], strlen(sizes[i]), &got);
        CHECK(got.status == (i < 2 ? TD_TOO_LARGE : TD_PARTIAL), "size %zu: %d", i, got.status);
    }
    td_body_start(&body, TD_FRAMING_LENGTH, UINT64_MAX, 0);
    CHECK(feed(&body, raw, 5, &got) && body.remaining == UINT64_MAX - 5, "a length of 64 bits");
}

/* Sums of extensions and of trailers, over many lines. */
static void test_overhead(void)
{
    enum { EXTENSION = 64 };
    char line[EXTENSION + 16];
    for (int over = 0; over <= 1; over++) {
        struct td_body body;
        struct outcome got = {.size = 0};
        td_body_start(&body, TD_FRAMING_CHUNKED, 0, 1 << 20);
        bool more = true;
        for (int i = 0; more && i < TD_MAX_CHUNK_EXTENSIONS / EXTENSION; i++) {
            int extra = i == 0 ? over : 0;
            int len = snprintf(line, sizeof line, "1;%0*d\r\na\r\n", EXTENSION - 1 + extra, 7);
            more = feed(&body, line, (size_t)len, &got);
        }
        CHECK(more == (over == 0), "extensions of the limit and %d", over);
        CHECK(over == 0 || (got.status == TD_BAD && got.fault == TD_FAULT_CHUNK_SIZE), "one extension byte too many");
        if (more) {
            more = feed(&body, BYTES("0\r\nA: b\r\n\r\n"), &got);
            CHECK(!more && got.status == TD_EOF, "extensions do not count as trailers");
        }
    }
    for (int over = 0; over <= 1; over++) {
        struct td_body body;
        struct outcome got = {.size = 0};
        td_body_start(&body, TD_FRAMING_CHUNKED, 0, 1 << 20);
        bool more = feed(&body, BYTES("0\r\n"), &got);
        for (int i = 0; more && i < TD_MAX_TRAILERS / 64; i++) {
            /* The empty line at the end counts too. */
            int len = snprintf(line, sizeof line, "A:%0*d\r\n", 60 - (i == 0 ? 2 - over : 0), 7);
            more = feed(&body, line, (size_t)len, &got);
        }
        CHECK(more, "the lines fit");
        more = feed(&body, BYTES("\r\n"), &got);
        CHECK(!more && got.status == (over == 0 ? TD_EOF : TD_BAD), "trailers of the limit and %d: %d", over, got.status);
        CHECK(over == 0 || got.fault == TD_FAULT_CHUNKED_END, "fault %d", got.fault);
    }
}

/* Every byte in every place where a class of bytes is allowed. */
static void test_every_byte(void)
{
    for (int byte = 0; byte < 256; byte++) {
        char raw[] = "3;a_b\r\nabc\r\n0\r\nA_: b_\r\n\r\n";
        bool text = byte >= 0x20 ? byte != 0x7f : byte == '\t';
        static const size_t places[] = {3, 16, 20};
        char c = (char)byte;
        bool good[] = {text, td_rules_is_token(td_span_of(&c, 1)), text};
        for (size_t p = 0; p < COUNT_OF(places); p++) {
            struct td_body body;
            struct outcome got = {.size = 0};
            CHECK(raw[places[p]] == '_', "place %zu", p);
            raw[places[p]] = c;
            td_body_start(&body, TD_FRAMING_CHUNKED, 0, MAX_SIZE);
            feed(&body, raw, sizeof raw - 1, &got);
            raw[places[p]] = '_';
            bool colon_in_name = p == 1 && byte == ':';
            CHECK((got.status == TD_EOF) == (good[p] || colon_in_name), "byte %#x at place %zu: %d", byte, p, got.status);
        }
    }
}

int main(void)
{
    struct guarded area = guarded_open(4096);
    for (size_t i = 0; i < COUNT_OF(chunked_cases); i++) {
        test_case(&chunked_cases[i], &area);
    }
    test_fixed(&area);
    test_overhead();
    test_every_byte();
    guarded_close(&area);
    return check_result("http_body");
}
