/* Fuzzes td_body_next.
 *
 * Input: one byte that chooses framing, limit and cuts, then the bytes from the client. Whatever the cuts, the same data
 * comes out and the same verdict; pieces and counts stay inside the input. */
#include "fuzz.h"
#include "http_body.h"

struct result {
    enum td_status status;
    enum td_fault fault;
    size_t consumed;
    size_t size;
    uint64_t digest; /* of the data */
};

static void begin(struct td_body *body, uint8_t choice)
{
    static const uint64_t sizes[] = {1 << 20, 0, 5, UINT64_MAX};
    enum td_framing framing = (choice & 4) != 0 ? TD_FRAMING_LENGTH : TD_FRAMING_CHUNKED;
    td_body_start(body, framing, sizes[choice & 3], sizes[choice & 3]);
}

/* Gives the body one part; true: it wants more. */
static bool feed(struct td_body *body, const char *data, size_t len, struct result *result)
{
    char *input = exact_copy(data, len);
    size_t at = 0;
    for (;;) {
        struct td_span piece = {NULL, 0};
        struct td_verdict why = {TD_FAULT_NONE, {NULL, 0}};
        size_t consumed = SIZE_MAX;
        result->status = td_body_next(body, input + at, len - at, &consumed, &piece, &why);
        result->fault = why.fault;
        HOLDS(consumed <= len - at);
        if (result->status == TD_OK) {
            HOLDS(piece.len > 0 && piece.data >= input + at && piece.data + piece.len == input + at + consumed);
            for (size_t i = 0; i < piece.len; i++) {
                result->digest = (result->digest ^ (unsigned char)piece.data[i]) * 1099511628211u;
            }
            result->size += piece.len;
        }
        at += consumed;
        result->consumed += consumed;
        if (result->status != TD_OK) {
            break;
        }
    }
    switch (result->status) {
    case TD_PARTIAL:
        HOLDS(at == len && result->fault == TD_FAULT_NONE);
        break;
    case TD_EOF:
        HOLDS(result->fault == TD_FAULT_NONE);
        break;
    case TD_TOO_LARGE:
        HOLDS(result->fault == TD_FAULT_CHUNKED_TOO_LARGE);
        break;
    default:
        HOLDS(result->status == TD_BAD);
        HOLDS(result->fault == TD_FAULT_CHUNK_SIZE || result->fault == TD_FAULT_CHUNK_END ||
              result->fault == TD_FAULT_CHUNKED_END);
    }
    HOLDS(result->size <= result->consumed);
    HOLDS(body->total <= body->max_size);
    free(input);
    return result->status == TD_PARTIAL;
}

/* The input in parts of `first` bytes, then of `step`. */
static struct result run(uint8_t choice, const char *data, size_t len, size_t first, size_t step)
{
    struct td_body body;
    struct result result = {.status = TD_OK};
    begin(&body, choice);
    bool more = feed(&body, data, first, &result);
    for (size_t at = first; more && at < len; at += step) {
        more = feed(&body, data + at, step < len - at ? step : len - at, &result);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const char *data = (const char *)input + 1;
    size_t len = size - 1;
    struct result whole = run(input[0], data, len, len, 1);
    size_t step = len <= 128 ? 1 : len / 16;
    for (size_t cut = len <= 128 ? 0 : input[0] % step; cut <= len; cut += step) {
        struct result got = run(input[0], data, len, cut, len);
        HOLDS(memcmp(&got, &whole, sizeof got) == 0);
    }
    struct result got = run(input[0], data, len, 0, len <= 4096 ? 1 : 1 + input[0]);
    HOLDS(memcmp(&got, &whole, sizeof got) == 0);
    return 0;
}
