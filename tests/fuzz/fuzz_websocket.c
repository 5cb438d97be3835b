/* Fuzzes td_websocket_read_head.
 *
 * Input: a byte for the state, then what a client sends. Frames are taken as long as they are whole; the verdict on a head does
 * not depend on how its bytes came; a payload lies in the input, and masking it twice gives it back. */
#include "fuzz.h"
#include "websocket.h"

static struct td_websocket_head head;

/* The verdict on the first len bytes, which are in a block of just that size. */
static enum td_status verdict(const char *data, size_t len, const struct td_websocket_state *state,
                              enum td_websocket_fault *fault)
{
    char *copy = exact_copy(data, len);
    enum td_status status = td_websocket_read_head(copy, len, state, &head, fault);
    free(copy);
    return status;
}

static void check_payload(const char *data, size_t len)
{
    char *once = exact_copy(data, len);
    char *twice = exact_copy(data, len);
    td_websocket_mask(once, data, len, head.mask);
    td_websocket_mask(twice, once, len, head.mask);
    for (size_t i = 0; i < len; i++) {
        HOLDS((uint8_t)once[i] == ((uint8_t)data[i] ^ head.mask[i % 4]));
    }
    HOLDS(memcmp(twice, data, len) == 0);
    free(once);
    free(twice);
}

/* The head that is written for a payload of that length is read as the same, but for the mask. */
static void check_written(uint8_t first, uint64_t len)
{
    char out[TD_WEBSOCKET_HEAD_MAX] = {0};
    size_t size = td_websocket_write_head(out, first, len);
    out[1] = (char)(out[1] | (char)0x80);
    struct td_websocket_state state = {(first & TD_WEBSOCKET_RSV1) != 0, (first & TD_WEBSOCKET_OPCODE) == 0, INT64_MAX};
    struct td_websocket_head read;
    enum td_websocket_fault fault;
    HOLDS(td_websocket_read_head(out, sizeof out, &state, &read, &fault) == TD_OK);
    HOLDS(read.first == first && read.len == len && read.size == size + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct td_websocket_state state = {input[0] & 1, input[0] & 2, (int64_t)(input[0] >> 2) * 1000 - 1000};
    const char *data = (const char *)input + 1;
    size_t len = size - 1;
    for (;;) {
        size_t most = len < TD_WEBSOCKET_HEAD_MAX ? len : TD_WEBSOCKET_HEAD_MAX;
        enum td_websocket_fault fault = TD_WEBSOCKET_NO_FAULT;
        enum td_status status = verdict(data, most, &state, &fault);
        size_t needed = head.size;
        HOLDS(needed >= 2 && needed <= TD_WEBSOCKET_HEAD_MAX);
        HOLDS((status == TD_BAD || status == TD_TOO_LARGE) == (fault != TD_WEBSOCKET_NO_FAULT));
        HOLDS((status == TD_TOO_LARGE) == (fault == TD_WEBSOCKET_TOO_LARGE));
        HOLDS(status != TD_PARTIAL || needed > most);
        for (size_t i = 0; i < most; i++) {
            enum td_websocket_fault early = TD_WEBSOCKET_NO_FAULT;
            enum td_status before = verdict(data, i, &state, &early);
            HOLDS(before == TD_PARTIAL || (before == status && early == fault));
            HOLDS(before != TD_PARTIAL || head.size > i);
        }
        HOLDS(verdict(data, most, &state, &fault) == status);
        if (status != TD_OK || len - head.size < head.len) {
            return 0;
        }
        HOLDS(head.size <= len && state.room >= 0 && head.len <= (uint64_t)state.room);
        check_payload(data + head.size, (size_t)head.len);
        check_written(head.first, head.len);
        if (!(head.first & TD_WEBSOCKET_CONTROL)) {
            state.in_message = !(head.first & TD_WEBSOCKET_FIN);
        }
        data += head.size + head.len;
        len -= head.size + (size_t)head.len;
    }
}
