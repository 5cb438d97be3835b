/* Fuzzes td_http_parse_head and the rules on what it reads.
 *
 * Input: one byte that chooses the header limit and the cuts, then the bytes from the client. Whatever the cuts, the verdict is
 * the one on the whole input; spans and counts stay inside it. */
#include "fuzz.h"
#include "http_parse.h"
#include "http_rules.h"

struct result {
    enum td_status status;
    enum td_fault fault;
    size_t consumed;
    size_t subject; /* offset of a subject in the input, plus one; 0 without */
    size_t subject_len;
    uint64_t digest; /* of the head's lengths and text */
};

static uint64_t mix(uint64_t digest, const char *data, size_t len)
{
    digest = (digest ^ len) * 1099511628211u;
    for (size_t i = 0; i < len; i++) {
        digest = (digest ^ (unsigned char)data[i]) * 1099511628211u;
    }
    return digest;
}

static uint64_t mix_span(uint64_t digest, const struct td_head *head, struct td_span span)
{
    HOLDS(span.data >= head->text && span.data + span.len <= head->text + head->text_len);
    return mix(digest, span.data, span.len);
}

/* A head that was accepted keeps its promises to the binding. */
static uint64_t check_head(const struct td_head *head)
{
    uint64_t digest = head->version_minor;
    HOLDS(head->refs == 1 && head->version_minor <= 9);
    HOLDS(head->field_count <= TD_MAX_FIELDS);
    HOLDS(head->path_len <= head->target_len);
    HOLDS(td_rules_is_token(td_head_method(head)));
    digest = mix_span(digest, head, td_head_method(head));
    digest = mix_span(digest, head, td_head_target(head));
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct td_span name = td_field_name(head, &head->fields[i]);
        struct td_span value = td_field_value(head, &head->fields[i]);
        HOLDS(td_rules_is_token(name) && td_rules_is_field_value(value));
        HOLDS(memchr(value.data, '\r', value.len) == NULL && memchr(value.data, '\n', value.len) == NULL);
        digest = mix_span(digest, head, name);
        digest = mix_span(digest, head, value);
    }
    return digest;
}

/* A refused subject is readable: in the head, static, or left to td_head_combine. */
static void check_verdict(enum td_status status, const struct td_head *head, const struct td_verdict *why)
{
    HOLDS(status == TD_OK || (status == TD_BAD && why->fault != TD_FAULT_NONE));
    if (status == TD_BAD && why->subject.data != NULL) {
        (void)mix_span(0, head, why->subject);
    }
}

static void check_rules(const struct td_head *head)
{
    struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
    bool keep_alive = false;
    check_verdict(td_rules_keep_alive(head, &keep_alive, &why), head, &why);
    struct td_span host = {NULL, 0};
    enum td_status status = td_rules_host(head, &host, &why);
    check_verdict(status, head, &why);
    HOLDS(status != TD_OK || memchr(host.data, ',', host.len) == NULL);
    enum td_framing framing = TD_FRAMING_NONE;
    uint64_t length = 0;
    status = td_rules_framing(head, 1 << 20, &framing, &length, &why);
    check_verdict(status, head, &why);
    HOLDS(status != TD_OK || framing != TD_FRAMING_LENGTH || length <= 1 << 20);
    HOLDS(status != TD_OK || framing == TD_FRAMING_NONE || td_head_find(head, "transfer-encoding") == NULL ||
          td_head_find(head, "content-length") == NULL);
    HOLDS(!td_rules_expects_continue(head) || head->version_minor > 0);
    (void)td_rules_wants_keep_alive(head);
    char out[64];
    (void)td_head_combine(head, "host", out, sizeof out);
}

static struct result parse(const char *data, size_t len, size_t limit, struct td_head_scan *scan)
{
    char *input = exact_copy(data, len);
    struct result result = {.status = TD_OK};
    struct td_head *head = NULL;
    struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
    result.status = td_http_parse_head(input, len, limit, scan, &result.consumed, &head, &why);
    result.fault = why.fault;
    switch (result.status) {
    case TD_OK:
        HOLDS(result.consumed > 0 && result.consumed <= len && result.consumed <= limit);
        result.digest = check_head(head);
        check_rules(head);
        td_head_release(head);
        break;
    case TD_BAD:
    case TD_TOO_LARGE:
        HOLDS(why.fault != TD_FAULT_NONE && head == NULL);
        if (why.subject.data != NULL) {
            HOLDS(why.subject.data >= input && why.subject.data + why.subject.len <= input + len);
            result.subject = (size_t)(why.subject.data - input) + 1;
            result.subject_len = why.subject.len;
        }
        break;
    default:
        HOLDS(result.status == TD_PARTIAL && why.fault == TD_FAULT_NONE && len <= limit);
        break;
    }
    free(input);
    return result;
}

static void check_cut(const char *data, size_t len, size_t limit, size_t cut, const struct result *whole)
{
    struct td_head_scan scan = {0, 0};
    struct result got = parse(data, cut, limit, &scan);
    if (got.status == TD_PARTIAL) {
        got = parse(data, len, limit, &scan);
    }
    HOLDS(memcmp(&got, whole, sizeof got) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const size_t limits[] = {65536, 64, 256, 0};
    if (size == 0) {
        return 0;
    }
    const char *data = (const char *)input + 1;
    size_t len = size - 1;
    size_t limit = limits[input[0] & 3];
    struct td_head_scan scan = {0, 0};
    struct result whole = parse(data, len, limit, &scan);
    /* Every cut of a short input, a choice of them in a long one. */
    size_t step = len <= 128 ? 1 : len / 16;
    for (size_t cut = len <= 128 ? 0 : input[0] % step; cut <= len; cut += step) {
        check_cut(data, len, limit, cut, &whole);
    }
    struct td_head_scan crawl = {0, 0};
    step = len <= 128 ? 1 : 1 + input[0] % 64;
    for (size_t cut = 0;; cut += step) {
        struct result got = parse(data, cut < len ? cut : len, limit, &crawl);
        if (got.status != TD_PARTIAL || cut >= len) {
            HOLDS(memcmp(&got, &whole, sizeof got) == 0);
            break;
        }
    }
    return 0;
}
