/* Tornado's verdicts on a request head. Combined values of repeated fields are judged line by line, never built. */
#include "http_rules.h"

/* What a byte may be part of. */
enum {
    IN_TOKEN = 1, /* RFC 9110 5.6.2 tchar */
    IN_HOST = 2,  /* httputil._ABNF.uri_host but for percent-encoding */
    IN_VALUE = 4, /* inside a field value: TAB, SP, VCHAR, obs-text */
    IN_HEX = 8
};

#define H (IN_TOKEN | IN_HOST | IN_VALUE | IN_HEX) /* hexadecimal digit */
#define B (IN_TOKEN | IN_HOST | IN_VALUE)          /* in both token and host */
#define T (IN_TOKEN | IN_VALUE)                    /* in a token only */
#define U (IN_HOST | IN_VALUE)                     /* in a host only */
#define V IN_VALUE

/* clang-format off */
static const unsigned char byte_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /*  SP  !  "  #  $  %  &  '  (  )  *  +  ,  -  .  / */
    V, B, V, T, B, T, B, B, U, U, B, B, U, B, B, V,
    /*  0  1  2  3  4  5  6  7  8  9  :  ;  <  =  >  ? */
    H, H, H, H, H, H, H, H, H, H, U, U, V, U, V, V,
    /*  @  A ... */
    V, H, H, H, H, H, H, B, B, B, B, B, B, B, B, B,
    /*  P ...                         Z  [  \  ]  ^  _ */
    B, B, B, B, B, B, B, B, B, B, B, U, V, U, T, B,
    /*  `  a ... */
    T, H, H, H, H, H, H, B, B, B, B, B, B, B, B, B,
    /*  p ...                         z  {  |  }  ~  DEL */
    B, B, B, B, B, B, B, B, B, B, B, V, T, V, B, 0,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
};
/* clang-format on */

#undef H
#undef B
#undef T
#undef U
#undef V

static bool byte_in(char c, unsigned char kind)
{
    return (byte_class[(unsigned char)c] & kind) != 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool td_rules_is_token(struct td_span span)
{
    for (size_t i = 0; i < span.len; i++) {
        if (!byte_in(span.data[i], IN_TOKEN)) {
            return false;
        }
    }
    return span.len > 0;
}

/* Might one of these eight bytes be a control or DEL? TAB counts as one; never says no wrongly. */
static bool may_hold_control(const char *bytes)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    uint64_t del = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & (ones * 0x80)) != 0;
}

bool td_rules_is_field_value(struct td_span span)
{
    if (span.len == 0) {
        return true;
    }
    if (is_blank(span.data[0]) || is_blank(span.data[span.len - 1])) {
        return false;
    }
    size_t i = 0;
    while (span.len - i >= 8 && !may_hold_control(span.data + i)) {
        i += 8;
    }
    for (; i < span.len; i++) {
        if (!byte_in(span.data[i], IN_VALUE)) {
            return false;
        }
    }
    return true;
}

static enum td_status refuse(struct td_verdict *why, enum td_fault fault, struct td_span subject)
{
    why->fault = fault;
    why->subject = subject;
    return TD_BAD;
}

static bool is_repeated(const struct td_head *head, const struct td_field *field, const char *lower_name)
{
    return td_head_find_next(head, field, lower_name) != NULL;
}

/* The subject of a fault about a whole field: its value, or nothing where only the caller can combine it. */
static struct td_span sole_value(const struct td_head *head, const struct td_field *field, const char *lower_name)
{
    return is_repeated(head, field, lower_name) ? td_span_of(NULL, 0) : td_field_value(head, field);
}

/* The combined value of a field is that word, in any case. A repeated field has a comma in it, so it is no word. */
static bool field_is_word(const struct td_head *head, const char *lower_name, const char *lower_word)
{
    const struct td_field *field = td_head_find(head, lower_name);
    return field != NULL && td_span_is_nocase(td_field_value(head, field), lower_word) && !is_repeated(head, field, lower_name);
}

/* ------------------------------------------------------------------------------------------------ connection reuse */

/* Is that one among the comma-separated options of one Connection line? */
static bool names(struct td_span value, const char *option)
{
    const char *p = value.data;
    const char *end = value.data + value.len;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *option_end = comma != NULL ? comma : end;
        const char *last = option_end;
        while (p < last && is_blank(*p)) {
            p++;
        }
        while (last > p && is_blank(last[-1])) {
            last--;
        }
        if (td_span_is_nocase(td_span_of(p, (size_t)(last - p)), option)) {
            return true;
        }
        p = comma != NULL ? comma + 1 : end;
    }
    return false;
}

static bool has_option(const struct td_head *head, const char *option)
{
    const struct td_field *field = td_head_find(head, "connection");
    for (; field != NULL; field = td_head_find_next(head, field, "connection")) {
        if (names(td_field_value(head, field), option)) {
            return true;
        }
    }
    return false;
}

bool td_rules_upgrades_and_closes(const struct td_head *head)
{
    return has_option(head, "close") && has_option(head, "upgrade");
}

bool td_rules_wants_keep_alive(const struct td_head *head)
{
    return field_is_word(head, "connection", "keep-alive");
}

enum td_status td_rules_keep_alive(const struct td_head *head, bool *keep_alive, struct td_verdict *why)
{
    if (head->version_minor == 1) {
        *keep_alive = !has_option(head, "close");
        return TD_OK;
    }
    *keep_alive = false;
    bool has_length = td_head_find(head, "content-length") != NULL;
    const struct td_field *coding = td_head_find(head, "transfer-encoding");
    if (coding != NULL) {
        if (!has_length && !field_is_word(head, "transfer-encoding", "chunked")) {
            return refuse(why, TD_FAULT_TRANSFER_ENCODING, sole_value(head, coding, "transfer-encoding"));
        }
    }
    struct td_span method = td_head_method(head);
    if (has_length || coding != NULL || td_span_is(method, "GET") || td_span_is(method, "HEAD")) {
        *keep_alive = td_rules_wants_keep_alive(head);
    }
    return TD_OK;
}

/* ------------------------------------------------------------------------------------------------------------ Host */

static bool is_host(struct td_span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (byte_in(value.data[i], IN_HOST)) {
            continue;
        }
        if (value.data[i] != '%' || value.len - i < 3 || !byte_in(value.data[i + 1], IN_HEX) ||
            !byte_in(value.data[i + 2], IN_HEX)) {
            return false;
        }
        i += 2;
    }
    return true;
}

enum td_status td_rules_host(const struct td_head *head, struct td_span *host, struct td_verdict *why)
{
    const struct td_field *first = td_head_find(head, "host");
    if (first == NULL) {
        if (head->version_minor != 0) {
            return refuse(why, TD_FAULT_HOST_MISSING, td_span_of(NULL, 0));
        }
        *host = td_span_of("127.0.0.1", 9);
        return TD_OK;
    }
    bool many = false;
    for (const struct td_field *field = first; field != NULL; field = td_head_find_next(head, field, "host")) {
        struct td_span value = td_field_value(head, field);
        if (!is_host(value)) {
            return refuse(why, TD_FAULT_HOST_INVALID, sole_value(head, first, "host"));
        }
        many = many || field != first || memchr(value.data, ',', value.len) != NULL;
    }
    *host = td_field_value(head, first);
    if (many) {
        return refuse(why, TD_FAULT_HOST_MANY, sole_value(head, first, "host"));
    }
    return TD_OK;
}

/* --------------------------------------------------------------------------------------------------------- framing */

/* Cuts *rest at its first comma; blanks behind the comma go with it, blanks before it stay. False when nothing is left. */
static bool next_piece(struct td_span *rest, struct td_span *piece)
{
    if (rest->data == NULL) {
        return false;
    }
    const char *end = rest->data + rest->len;
    const char *comma = memchr(rest->data, ',', rest->len);
    if (comma == NULL) {
        *piece = *rest;
        *rest = td_span_of(NULL, 0);
        return true;
    }
    *piece = td_span_of(rest->data, (size_t)(comma - rest->data));
    const char *next = comma + 1;
    while (next < end && is_blank(*next)) {
        next++;
    }
    *rest = td_span_of(next, (size_t)(end - next));
    return true;
}

/* The one length that all Content-Length lines, and all items in them, agree on. False if they differ. */
static bool agreed_length(const struct td_head *head, const struct td_field *first, struct td_span *agreed)
{
    bool known = false;
    for (const struct td_field *field = first; field != NULL; field = td_head_find_next(head, field, "content-length")) {
        struct td_span rest = td_field_value(head, field);
        struct td_span piece;
        while (next_piece(&rest, &piece)) {
            if (!known) {
                *agreed = piece;
                known = true;
            }
            else if (piece.len != agreed->len || memcmp(piece.data, agreed->data, piece.len) != 0) {
                return false;
            }
        }
    }
    return true;
}

/* Digits to a number; one past INT64_MAX stands for everything above it. False if it is not a number at all. */
static bool parse_length(struct td_span digits, uint64_t *length)
{
    if (digits.len == 0 || digits.len > TD_MAX_LENGTH_DIGITS) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.data[i];
        if (c < '0' || c > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(c - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10) {
            value = (uint64_t)INT64_MAX + 1;
        }
        else {
            value = value * 10 + digit;
        }
    }
    *length = value;
    return true;
}

enum td_status td_rules_framing(const struct td_head *head, uint64_t max_body_size, enum td_framing *framing, uint64_t *length,
                                struct td_verdict *why)
{
    const struct td_field *size = td_head_find(head, "content-length");
    const struct td_field *coding = td_head_find(head, "transfer-encoding");
    uint64_t value = 0;
    *framing = TD_FRAMING_NONE;
    if (size != NULL) {
        struct td_span digits = td_field_value(head, size);
        if (!agreed_length(head, size, &digits)) {
            return refuse(why, TD_FAULT_LENGTHS_DIFFER, sole_value(head, size, "content-length"));
        }
        if (!parse_length(digits, &value)) {
            return refuse(why, TD_FAULT_LENGTH_NOT_INTEGER, digits);
        }
        if (value > (uint64_t)INT64_MAX || value > max_body_size) {
            return refuse(why, TD_FAULT_LENGTH_TOO_LONG, sole_value(head, size, "content-length"));
        }
        if (coding != NULL) {
            return refuse(why, TD_FAULT_BOTH_FRAMINGS, td_span_of(NULL, 0));
        }
        *framing = TD_FRAMING_LENGTH;
        *length = value;
        return TD_OK;
    }
    if (coding != NULL) {
        if (!field_is_word(head, "transfer-encoding", "chunked")) {
            return refuse(why, TD_FAULT_TRANSFER_ENCODING, sole_value(head, coding, "transfer-encoding"));
        }
        *framing = TD_FRAMING_CHUNKED;
    }
    return TD_OK;
}

bool td_rules_expects_continue(const struct td_head *head)
{
    return head->version_minor >= 1 && field_is_word(head, "expect", "100-continue");
}
