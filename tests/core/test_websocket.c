/* Heads of WebSocket frames, at every split point and at the end of readable memory; masking against a slow model. */
#include "websocket.h"

#include "check.h"

static struct guarded area;

static const struct td_websocket_state plain = {false, false, 1 << 20};
static const struct td_websocket_state within = {false, true, 1 << 20};
static const struct td_websocket_state deflate = {true, false, 1 << 20};
static const struct td_websocket_state deflate_within = {true, true, 1 << 20};

static enum td_status read_head(const char *data, size_t len, const struct td_websocket_state *state,
                                struct td_websocket_head *head, enum td_websocket_fault *fault)
{
    return td_websocket_read_head(guarded_copy(&area, data, len), len, state, head, fault);
}

static void test_good_heads(void)
{
    static const struct {
        const char *data;
        size_t size;
        const struct td_websocket_state *state;
        uint64_t len;
    } cases[] = {
        {BYTES("\x81\x80\1\2\3\4"), &plain, 0},
        {BYTES("\x82\x85\1\2\3\4"), &plain, 5},
        {BYTES("\x82\xfd\1\2\3\4"), &plain, 125},
        {BYTES("\x01\xfe\x01\x02\1\2\3\4"), &plain, 0x102},
        {BYTES("\x01\xfe\x00\x02\1\2\3\4"), &plain, 2},
        {BYTES("\x81\xff\0\0\0\0\0\1\2\3\1\2\3\4"), &plain, 0x10203},
        {BYTES("\x81\xff\0\0\0\0\0\x10\0\0\1\2\3\4"), &plain, 1 << 20},
        {BYTES("\x00\x81\1\2\3\4"), &within, 1},
        {BYTES("\x80\x81\1\2\3\4"), &within, 1},
        {BYTES("\x88\x82\1\2\3\4"), &within, 2},
        {BYTES("\x89\xfd\1\2\3\4"), &within, 125},
        {BYTES("\x8a\x80\1\2\3\4"), &plain, 0},
        {BYTES("\xc1\x81\1\2\3\4"), &deflate, 1},
        {BYTES("\x42\x81\1\2\3\4"), &deflate, 1},
        {BYTES("\x81\x81\1\2\3\4"), &deflate, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct td_websocket_head head;
        enum td_websocket_fault fault = TD_WEBSOCKET_NO_FAULT;
        for (size_t len = 0; len < cases[i].size; len++) {
            enum td_status status = read_head(cases[i].data, len, cases[i].state, &head, &fault);
            CHECK(status == TD_PARTIAL, "case %zu, %zu bytes: %d", i, len, status);
            CHECK(head.size > len && head.size <= cases[i].size, "case %zu, %zu bytes: %zu needed", i, len, head.size);
        }
        enum td_status status = read_head(cases[i].data, cases[i].size, cases[i].state, &head, &fault);
        CHECK(status == TD_OK && fault == TD_WEBSOCKET_NO_FAULT, "case %zu: %d", i, status);
        CHECK(head.size == cases[i].size && head.len == cases[i].len, "case %zu: %zu and %llu bytes", i, head.size,
              (unsigned long long)head.len);
        CHECK(head.first == (uint8_t)cases[i].data[0] && memcmp(head.mask, "\1\2\3\4", 4) == 0, "case %zu", i);
    }
}

static void test_faults(void)
{
    static const struct {
        const char *data;
        size_t size; /* of which the last byte shows the fault */
        const struct td_websocket_state *state;
        enum td_websocket_fault fault;
        int code;
    } cases[] = {
        {BYTES("\x81\x05"), &plain, TD_WEBSOCKET_UNMASKED, 1002},
        {BYTES("\x89\x00"), &within, TD_WEBSOCKET_UNMASKED, 1002},
        {BYTES("\xc1\x85"), &plain, TD_WEBSOCKET_RESERVED_BITS, 1002},
        {BYTES("\xa1\x85"), &plain, TD_WEBSOCKET_RESERVED_BITS, 1002},
        {BYTES("\x91\x85"), &deflate, TD_WEBSOCKET_RESERVED_BITS, 1002},
        {BYTES("\xe1\x85"), &deflate, TD_WEBSOCKET_RESERVED_BITS, 1002},
        {BYTES("\xc0\x85"), &deflate_within, TD_WEBSOCKET_RESERVED_BITS, 1002},
        {BYTES("\xc9\x85"), &deflate, TD_WEBSOCKET_RESERVED_BITS, 1002},
        {BYTES("\x09\x85"), &plain, TD_WEBSOCKET_FRAGMENTED_CONTROL, 1002},
        {BYTES("\x08\x80"), &plain, TD_WEBSOCKET_FRAGMENTED_CONTROL, 1002},
        {BYTES("\x89\xfe"), &plain, TD_WEBSOCKET_LONG_CONTROL, 1002},
        {BYTES("\x88\xff"), &plain, TD_WEBSOCKET_LONG_CONTROL, 1002},
        {BYTES("\x80\x85"), &plain, TD_WEBSOCKET_NOTHING_TO_CONTINUE, 1002},
        {BYTES("\x00\x85"), &deflate, TD_WEBSOCKET_NOTHING_TO_CONTINUE, 1002},
        {BYTES("\x81\x85"), &within, TD_WEBSOCKET_UNFINISHED, 1002},
        {BYTES("\x02\x85"), &within, TD_WEBSOCKET_UNFINISHED, 1002},
        {BYTES("\x82\xff\0\0\0\0\0\x10\0\1"), &plain, TD_WEBSOCKET_TOO_LARGE, 1009},
        {BYTES("\x82\xff\x80\0\0\0\0\0\0\0"), &plain, TD_WEBSOCKET_TOO_LARGE, 1009},
        {BYTES("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"), &plain, TD_WEBSOCKET_TOO_LARGE, 1009},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t len = 0; len <= cases[i].size; len++) {
            struct td_websocket_head head;
            enum td_websocket_fault fault = TD_WEBSOCKET_NO_FAULT;
            enum td_status status = read_head(cases[i].data, len, cases[i].state, &head, &fault);
            if (len < cases[i].size) {
                CHECK(status == TD_PARTIAL && fault == TD_WEBSOCKET_NO_FAULT, "case %zu, %zu bytes: %d", i, len, status);
                continue;
            }
            enum td_status expected = cases[i].fault == TD_WEBSOCKET_TOO_LARGE ? TD_TOO_LARGE : TD_BAD;
            CHECK(status == expected && fault == cases[i].fault, "case %zu: %d, fault %d", i, status, fault);
            CHECK(td_websocket_close_code(fault) == cases[i].code, "case %zu: %d", i, td_websocket_close_code(fault));
            CHECK(td_websocket_reason(fault)[0] != '\0' && strlen(td_websocket_reason(fault)) <= 123, "case %zu", i);
        }
    }
}

static void test_opcodes(void)
{
    for (int opcode = 0; opcode < 16; opcode++) {
        char data[6] = {(char)(0x80 | opcode), (char)0x80, 1, 2, 3, 4};
        struct td_websocket_head head;
        enum td_websocket_fault fault = TD_WEBSOCKET_NO_FAULT;
        enum td_status status = read_head(data, sizeof(data), opcode == 0 ? &within : &plain, &head, &fault);
        bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
        CHECK(status == (known ? TD_OK : TD_BAD), "opcode %d: %d", opcode, status);
        CHECK(known || fault == TD_WEBSOCKET_UNKNOWN_OPCODE, "opcode %d: fault %d", opcode, fault);
    }
}

static void test_room(void)
{
    static const int64_t rooms[] = {-1, 0, 4, 5, 6, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(rooms); i++) {
        struct td_websocket_state state = {false, false, rooms[i]};
        struct td_websocket_head head;
        enum td_websocket_fault fault;
        bool fits = rooms[i] >= 5;
        CHECK(read_head(BYTES("\x82\x85\1\2\3\4"), &state, &head, &fault) == (fits ? TD_OK : TD_TOO_LARGE), "%zu", i);
        CHECK(read_head(BYTES("\x82\x80\1\2\3\4"), &state, &head, &fault) == (rooms[i] >= 0 ? TD_OK : TD_TOO_LARGE), "%zu", i);
        /* The sign bit, which RFC 6455 forbids. */
        CHECK(read_head(BYTES("\x82\xff\x80\0\0\0\0\0\0\0\1\2\3\4"), &state, &head, &fault) == TD_TOO_LARGE, "%zu", i);
    }
}

static void test_masking(void)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x00, 0xff};
    char data[64], out[64];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 41);
    }
    for (size_t len = 0; len <= sizeof(data); len++) {
        const char *input = guarded_copy(&area, data, len);
        memset(out, 0x55, sizeof(out));
        td_websocket_mask(out, input, len, mask);
        size_t right = 0;
        while (right < len && (uint8_t)out[right] == ((uint8_t)data[right] ^ mask[right % 4])) {
            right++;
        }
        CHECK(right == len, "%zu bytes: byte %zu is wrong", len, right);
        CHECK(len == sizeof(out) || out[len] == 0x55, "%zu bytes: one more was written", len);
        /* In place, up to the last byte that there is. */
        char *place = area.pages + area.size - len;
        td_websocket_mask(place, place, len, mask);
        CHECK(memcmp(place, out, len) == 0, "%zu bytes in place", len);
        td_websocket_mask(place, place, len, mask);
        CHECK(memcmp(place, data, len) == 0, "%zu bytes back", len);
    }
}

static void test_written_heads(void)
{
    static const struct {
        uint64_t len;
        const char *head;
        size_t size;
    } cases[] = {
        {0, BYTES("\x81\0")},
        {125, BYTES("\x81\x7d")},
        {126, BYTES("\x81\x7e\0\x7e")},
        {0xFFFF, BYTES("\x81\x7e\xff\xff")},
        {0x10000, BYTES("\x81\x7f\0\0\0\0\0\1\0\0")},
        {UINT64_C(0x123456789a), BYTES("\x81\x7f\0\0\0\x12\x34\x56\x78\x9a")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[TD_WEBSOCKET_HEAD_MAX];
        size_t size = td_websocket_write_head(out, 0x81, cases[i].len);
        CHECK(size == cases[i].size && memcmp(out, cases[i].head, size) == 0, "case %zu: %zu bytes", i, size);
    }
}

int main(void)
{
    area = guarded_open(4096);
    test_good_heads();
    test_faults();
    test_opcodes();
    test_room();
    test_masking();
    test_written_heads();
    guarded_close(&area);
    return check_result("websocket");
}
