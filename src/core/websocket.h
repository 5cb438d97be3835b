/* WebSocket frames (RFC 6455 section 5): their heads, read and written, and the masking of what is in them. */
#ifndef TD_WEBSOCKET_H
#define TD_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define TD_WEBSOCKET_HEAD_MAX 14 /* bytes of a head: two, a length of eight, and a mask */

/* Of a frame's first byte. */
enum { TD_WEBSOCKET_FIN = 0x80, TD_WEBSOCKET_RSV1 = 0x40, TD_WEBSOCKET_RESERVED = 0x70, TD_WEBSOCKET_OPCODE = 0x0F };
/* Of an opcode. */
enum { TD_WEBSOCKET_CONTROL = 0x08 };

enum td_websocket_fault {
    TD_WEBSOCKET_NO_FAULT,
    TD_WEBSOCKET_UNMASKED,
    TD_WEBSOCKET_RESERVED_BITS,
    TD_WEBSOCKET_UNKNOWN_OPCODE,
    TD_WEBSOCKET_FRAGMENTED_CONTROL,
    TD_WEBSOCKET_LONG_CONTROL,
    TD_WEBSOCKET_NOTHING_TO_CONTINUE, /* a fragment, and no message has begun */
    TD_WEBSOCKET_UNFINISHED,          /* a message begins within another */
    TD_WEBSOCKET_TOO_LARGE,
    TD_WEBSOCKET_FAULT_COUNT
};

/* What decides about a client's frame besides its bytes. */
struct td_websocket_state {
    bool compression; /* permessage-deflate was agreed on: RSV1 may be set where a message begins */
    bool in_message;  /* a fragmented message has begun */
    int64_t room;     /* payload bytes that there may be; negative: not even none */
};

struct td_websocket_head {
    uint8_t first; /* FIN, reserved bits, opcode */
    uint8_t mask[4];
    uint64_t len; /* payload bytes */
    size_t size;  /* bytes of the head; with TD_PARTIAL: as far as is known */
};

/* Reads the head of a frame that a client has sent, from its first bytes (more may follow, and partial ones may come again with
 * more). TD_OK with *head; TD_PARTIAL: at least head->size bytes are needed; TD_BAD or TD_TOO_LARGE with *fault, as soon as the
 * bytes show it. */
TD_MUST_CHECK enum td_status td_websocket_read_head(const char *data, size_t len, const struct td_websocket_state *state,
                                                    struct td_websocket_head *head, enum td_websocket_fault *fault);
/* The code (RFC 6455 7.4.1) and the reason of the close frame that answers a fault. */
int td_websocket_close_code(enum td_websocket_fault fault);
const char *td_websocket_reason(enum td_websocket_fault fault);

/* Masks or unmasks: out gets len bytes, and may be data itself. */
void td_websocket_mask(char *out, const char *data, size_t len, const uint8_t mask[4]);

/* Writes the head of an unmasked frame; returns its size, at most 10. */
size_t td_websocket_write_head(char *out, uint8_t first, uint64_t len);

#endif
