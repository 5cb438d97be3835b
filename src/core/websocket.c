/* See websocket.h. */
#include "websocket.h"

#include <string.h>

static uint64_t big_endian(const uint8_t *data, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

/* What the first two bytes show. */
static enum td_websocket_fault judge(uint8_t first, uint8_t second, const struct td_websocket_state *state)
{
    uint8_t opcode = first & TD_WEBSOCKET_OPCODE;
    bool control = opcode & TD_WEBSOCKET_CONTROL;
    bool begins = !control && opcode != 0;
    uint8_t reserved = first & TD_WEBSOCKET_RESERVED;
    if (state->compression && begins) {
        reserved &= (uint8_t)~TD_WEBSOCKET_RSV1;
    }
    if (reserved != 0) {
        return TD_WEBSOCKET_RESERVED_BITS;
    }
    if ((opcode & 7) > 2) {
        return TD_WEBSOCKET_UNKNOWN_OPCODE;
    }
    if (!(second & 0x80)) {
        return TD_WEBSOCKET_UNMASKED;
    }
    if (control) {
        bool is_long = (second & 0x7F) > 125;
        return is_long ? TD_WEBSOCKET_LONG_CONTROL
                       : (first & TD_WEBSOCKET_FIN ? TD_WEBSOCKET_NO_FAULT : TD_WEBSOCKET_FRAGMENTED_CONTROL);
    }
    if (begins == state->in_message) {
        return begins ? TD_WEBSOCKET_UNFINISHED : TD_WEBSOCKET_NOTHING_TO_CONTINUE;
    }
    return TD_WEBSOCKET_NO_FAULT;
}

enum td_status td_websocket_read_head(const char *data, size_t len, const struct td_websocket_state *state,
                                      struct td_websocket_head *head, enum td_websocket_fault *fault)
{
    const uint8_t *bytes = (const uint8_t *)data;
    head->size = 2;
    if (len < 2) {
        return TD_PARTIAL;
    }
    head->first = bytes[0];
    *fault = judge(bytes[0], bytes[1], state);
    if (*fault != TD_WEBSOCKET_NO_FAULT) {
        return TD_BAD;
    }
    uint8_t length = bytes[1] & 0x7F;
    size_t extended = length == 127 ? 8 : length == 126 ? 2 : 0;
    head->size = 2 + extended;
    if (len < head->size) {
        return TD_PARTIAL;
    }
    head->len = extended ? big_endian(bytes + 2, extended) : length;
    if (state->room < 0 || head->len > (uint64_t)state->room) {
        *fault = TD_WEBSOCKET_TOO_LARGE;
        return TD_TOO_LARGE;
    }
    head->size += sizeof(head->mask);
    if (len < head->size) {
        return TD_PARTIAL;
    }
    memcpy(head->mask, bytes + 2 + extended, sizeof(head->mask));
    return TD_OK;
}

int td_websocket_close_code(enum td_websocket_fault fault)
{
    return fault == TD_WEBSOCKET_TOO_LARGE ? 1009 : 1002;
}

const char *td_websocket_reason(enum td_websocket_fault fault)
{
    static const char *const reasons[TD_WEBSOCKET_FAULT_COUNT] = {
        [TD_WEBSOCKET_NO_FAULT] = "",
        [TD_WEBSOCKET_UNMASKED] = "frame without a mask",
        [TD_WEBSOCKET_RESERVED_BITS] = "reserved bits",
        [TD_WEBSOCKET_UNKNOWN_OPCODE] = "unknown opcode",
        [TD_WEBSOCKET_FRAGMENTED_CONTROL] = "fragmented control frame",
        [TD_WEBSOCKET_LONG_CONTROL] = "control frame too long",
        [TD_WEBSOCKET_NOTHING_TO_CONTINUE] = "nothing to continue",
        [TD_WEBSOCKET_UNFINISHED] = "message within a message",
        [TD_WEBSOCKET_TOO_LARGE] = "message too big", /* Tornado's */
    };
    return reasons[fault];
}

void td_websocket_mask(char *out, const char *data, size_t len, const uint8_t mask[4])
{
    uint64_t word;
    memcpy(&word, mask, 4);
    memcpy((char *)&word + 4, mask, 4);
    size_t i = 0;
    for (; len - i >= sizeof(word); i += sizeof(word)) {
        uint64_t part;
        memcpy(&part, data + i, sizeof(part));
        part ^= word;
        memcpy(out + i, &part, sizeof(part));
    }
    for (; i < len; i++) {
        out[i] = (char)((uint8_t)data[i] ^ mask[i & 3]);
    }
}

size_t td_websocket_write_head(char *out, uint8_t first, uint64_t len)
{
    size_t extended = len < 126 ? 0 : len <= 0xFFFF ? 2 : 8;
    out[0] = (char)first;
    out[1] = (char)(extended == 0 ? len : extended == 2 ? 126 : 127);
    for (size_t i = 0; i < extended; i++) {
        out[2 + i] = (char)(len >> 8 * (extended - 1 - i) & 0xFF);
    }
    return 2 + extended;
}
