/* From bytes to a td_head: the end of the block, the header lines through http-parser, the request line by hand. */
#include "http_parse.h"

#include <assert.h>
#include <http_parser.h>
#include <pthread.h>
#include <stdio.h>

#include "alloc.h"
#include "http_rules.h"

/* http-parser is used as a tokenizer for one header line at a time. It knows too few methods, stops at CONNECT and Upgrade,
 * and judges framing differently from Tornado, so it never sees the request line, the end of the block, or a name whose first
 * letter would make it act. It is lenient (spaces in names, a control as a value's first byte, a CR within a line), so what it
 * found must cover the line exactly and pass Tornado's rules. */

static http_parser header_line_state; /* ready for a header line; copied for each one, written once */
static http_parser_settings tokenizer_settings;
static char version_text[16];
static pthread_once_t tokenizer_once = PTHREAD_ONCE_INIT;

/* What http-parser found in one line; borrowed from the head's text. */
struct tokens {
    struct td_span name;
    struct td_span value;
};

static int on_header_field(http_parser *parser, const char *at, size_t length)
{
    struct tokens *tokens = parser->data;
    tokens->name = td_span_of(at, length);
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t length)
{
    struct tokens *tokens = parser->data;
    tokens->value = td_span_of(at, length);
    return 0;
}

static void prepare_tokenizer(void)
{
    static const char request_line[] = "GET / HTTP/1.1\r\n";
    /* The limit is http-parser's own and process-wide; the one that counts is max_header_size, which is checked here. */
    http_parser_set_max_header_size(UINT32_MAX);
    http_parser_settings_init(&tokenizer_settings);
    tokenizer_settings.on_header_field = on_header_field;
    tokenizer_settings.on_header_value = on_header_value;
    http_parser_init(&header_line_state, HTTP_REQUEST);
    size_t done = http_parser_execute(&header_line_state, &tokenizer_settings, request_line, sizeof request_line - 1);
    assert(done == sizeof request_line - 1);
    (void)done;
    unsigned long version = http_parser_version();
    (void)snprintf(version_text, sizeof version_text, "%lu.%lu.%lu", (version >> 16) & 255, (version >> 8) & 255, version & 255);
}

const char *td_http_parser_version(void)
{
    pthread_once(&tokenizer_once, prepare_tokenizer);
    return version_text;
}

static enum td_status refuse(struct td_verdict *why, enum td_status status, enum td_fault fault)
{
    why->fault = fault;
    why->subject = td_span_of(NULL, 0);
    return status;
}

/* ----------------------------------------------------------------------------------------------- the end of the block */

/* The length of the empty line at data[at], terminator included; 0 if it is not one, or not yet. */
static size_t empty_line_at(const char *data, size_t len, size_t at)
{
    if (at < len && data[at] == '\n') {
        return 1;
    }
    return at + 1 < len && data[at] == '\r' && data[at + 1] == '\n' ? 2 : 0;
}

/* Where the request line starts. TD_PARTIAL: everything so far is empty lines, or might become one. */
static enum td_status skip_leading_lines(const char *data, size_t len, size_t *start, struct td_verdict *why)
{
    size_t at = 0;
    for (int lines = 0;; lines++) {
        size_t skip = empty_line_at(data, len, at);
        if (skip == 0) {
            break;
        }
        if (lines == TD_MAX_LEADING_LINES) {
            return refuse(why, TD_BAD, TD_FAULT_REQUEST_LINE);
        }
        at += skip;
    }
    *start = at;
    return at == len || (at + 1 == len && data[at] == '\r') ? TD_PARTIAL : TD_OK;
}

/* Looks for the first empty line behind data[start]; *end is then just behind it. Continues where *scan says. */
static bool find_block_end(const char *data, size_t len, size_t start, struct td_head_scan *scan, size_t *end)
{
    if (scan->line < start) {
        scan->line = start;
        scan->seen = 0;
    }
    for (;;) {
        size_t from = scan->line + scan->seen;
        assert(from <= len);
        const char *lf = memchr(data + from, '\n', len - from);
        if (lf == NULL) {
            scan->seen = len - scan->line;
            return false;
        }
        size_t at = (size_t)(lf - data);
        size_t line_len = at - scan->line;
        if (line_len == 0 || (line_len == 1 && data[scan->line] == '\r')) {
            *end = at + 1;
            return true;
        }
        scan->line = at + 1;
        scan->seen = 0;
    }
}

/* ------------------------------------------------------------------------------------------------------ header lines */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct td_span strip(const char *begin, const char *end)
{
    while (begin < end && is_blank(*begin)) {
        begin++;
    }
    while (end > begin && is_blank(end[-1])) {
        end--;
    }
    return td_span_of(begin, (size_t)(end - begin));
}

/* Reads a header line without http-parser, and says what is wrong with it. */
static enum td_fault split_line(struct td_span line, struct tokens *tokens, struct td_span *subject)
{
    *subject = td_span_of(NULL, 0);
    if (line.len > 0 && is_blank(line.data[0])) {
        return TD_FAULT_FOLDED;
    }
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL) {
        return TD_FAULT_NO_COLON;
    }
    tokens->name = td_span_of(line.data, (size_t)(colon - line.data));
    tokens->value = strip(colon + 1, line.data + line.len);
    if (!td_rules_is_token(tokens->name)) {
        *subject = tokens->name;
        return TD_FAULT_FIELD_NAME;
    }
    if (!td_rules_is_field_value(tokens->value)) {
        *subject = tokens->value;
        return TD_FAULT_FIELD_VALUE;
    }
    return TD_FAULT_NONE;
}

/* The letters at which http-parser starts to match Connection, Content-Length, Proxy-Connection, Transfer-Encoding, Upgrade. */
static bool starts_special_name(char c)
{
    char lower = td_ascii_lower(c);
    return lower == 'c' || lower == 'p' || lower == 't' || lower == 'u';
}

/* Reads a header line with http-parser. full_len counts the terminator, which lies behind the line. False: it may be bad. */
static bool tokenize_line(char *text, struct td_span line, size_t full_len, struct tokens *tokens)
{
    http_parser parser = header_line_state;
    parser.data = tokens;
    tokens->name = td_span_of(NULL, 0);
    tokens->value = td_span_of(NULL, 0);
    char first = text[0];
    if (starts_special_name(first)) {
        text[0] = 'x';
    }
    size_t done = http_parser_execute(&parser, &tokenizer_settings, text, full_len);
    text[0] = first;
    if (done != full_len || HTTP_PARSER_ERRNO(&parser) != HPE_OK) {
        return false;
    }
    if (tokens->name.data != line.data || !td_rules_is_token(tokens->name)) {
        return false;
    }
    const char *line_end = line.data + line.len;
    const char *colon = line.data + tokens->name.len;
    if (colon >= line_end || *colon != ':') {
        return false;
    }
    struct td_span value = strip(colon + 1, line_end);
    if (tokens->value.len > 0) {
        /* http-parser keeps trailing blanks. */
        if (tokens->value.data != value.data || tokens->value.data + tokens->value.len != line_end) {
            return false;
        }
    }
    else if (value.len > 0) {
        /* It reports an empty value with the next line only; this one is not empty. */
        return false;
    }
    tokens->value = value;
    return td_rules_is_field_value(value);
}

/* The line at text[at], without its terminator (LF and one CR before it). */
static struct td_span line_at(const char *text, size_t at, size_t text_len, size_t *full_len)
{
    const char *lf = memchr(text + at, '\n', text_len - at);
    assert(lf != NULL);
    size_t len = (size_t)(lf - (text + at));
    *full_len = len + 1;
    if (len > 0 && text[at + len - 1] == '\r') {
        len--;
    }
    return td_span_of(text + at, len);
}

/* Fills head->fields from the lines of text[at..text_len - empty line). Offsets fit, as text_len does. */
static enum td_fault read_fields(struct td_head *head, size_t at, struct td_span *subject)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        size_t full_len;
        struct tokens tokens;
        struct td_span line = line_at(head->text, at, head->text_len, &full_len);
        if (!tokenize_line(head->text + at, line, full_len, &tokens)) {
            enum td_fault fault = split_line(line, &tokens, subject);
            if (fault != TD_FAULT_NONE) {
                return fault;
            }
        }
        struct td_field *field = &head->fields[i];
        field->name = (uint32_t)at;
        field->name_len = (uint32_t)tokens.name.len;
        head->names |= td_head_name_bit(head->text + at, tokens.name.len);
        field->value = (uint32_t)(tokens.value.data - head->text);
        field->value_len = (uint32_t)tokens.value.len;
        at += full_len;
    }
    return TD_FAULT_NONE;
}

/* -------------------------------------------------------------------------------------------------- the request line */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Anything but controls, SP and DEL. */
static bool is_target(struct td_span span)
{
    for (size_t i = 0; i < span.len; i++) {
        unsigned char c = (unsigned char)span.data[i];
        if (c <= 0x20 || c == 0x7f) {
            return false;
        }
    }
    return span.len > 0;
}

/* method SP target SP HTTP/d.d, with nothing before, between or behind. */
static enum td_fault read_request_line(struct td_head *head, struct td_span line, struct td_span *subject)
{
    static const size_t version_len = 8;
    *subject = td_span_of(NULL, 0);
    const char *end = line.data + line.len;
    const char *space = memchr(line.data, ' ', line.len);
    if (space == NULL || (size_t)(end - space) < version_len + 3) {
        return TD_FAULT_REQUEST_LINE;
    }
    const char *version = end - version_len;
    struct td_span method = td_span_of(line.data, (size_t)(space - line.data));
    struct td_span target = td_span_of(space + 1, (size_t)(version - 1 - (space + 1)));
    if (memcmp(version, "HTTP/", 5) != 0 || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7]) ||
        version[-1] != ' ' || !td_rules_is_token(method) || !is_target(target)) {
        return TD_FAULT_REQUEST_LINE;
    }
    if (version[5] != '1') {
        *subject = td_span_of(version, version_len);
        return TD_FAULT_VERSION;
    }
    const char *question = memchr(target.data, '?', target.len);
    head->method_len = (uint32_t)method.len;
    head->target = (uint32_t)(target.data - head->text);
    head->target_len = (uint32_t)target.len;
    head->path_len = question != NULL ? (uint32_t)(question - target.data) : (uint32_t)target.len;
    head->version_minor = (uint8_t)(version[7] - '0');
    return TD_FAULT_NONE;
}

/* ---------------------------------------------------------------------------------------------------------- the head */

/* Lines between the request line and the empty line; one more than TD_MAX_FIELDS stands for any number above. */
static uint32_t count_fields(const char *block, size_t len)
{
    uint32_t lines = 0;
    const char *end = block + len;
    for (const char *p = block; p < end && lines < TD_MAX_FIELDS + 3; lines++) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        assert(lf != NULL);
        p = lf + 1;
    }
    assert(lines >= 2);
    return lines - 2;
}

static struct td_head *new_head(const char *block, size_t len, uint32_t field_count)
{
    size_t fields_size = field_count * sizeof(struct td_field);
    struct td_head *head = td_malloc(sizeof *head + fields_size + len);
    if (head == NULL) {
        return NULL;
    }
    memset(head, 0, sizeof *head);
    head->refs = 1;
    head->field_count = field_count;
    head->text_len = (uint32_t)len;
    head->fields = (struct td_field *)(head + 1);
    head->text = (char *)(head + 1) + fields_size;
    memcpy(head->text, block, len);
    return head;
}

_Static_assert(sizeof(struct td_head) % _Alignof(struct td_field) == 0, "fields follow the head in its allocation");

/* Reads the complete block of len bytes at data, which is one request line, header lines and the empty line. */
static enum td_status read_block(const char *block, size_t len, struct td_head **result, struct td_verdict *why)
{
    uint32_t field_count = count_fields(block, len);
    if (field_count > TD_MAX_FIELDS) {
        return refuse(why, TD_TOO_LARGE, TD_FAULT_TOO_MANY_FIELDS);
    }
    struct td_head *head = new_head(block, len, field_count);
    if (head == NULL) {
        return TD_NOMEM;
    }
    size_t line_len;
    struct td_span subject;
    struct td_span line = line_at(head->text, 0, len, &line_len);
    enum td_fault fault = read_fields(head, line_len, &subject);
    if (fault == TD_FAULT_NONE) {
        fault = read_request_line(head, line, &subject);
    }
    if (fault == TD_FAULT_NONE) {
        *result = head;
        return TD_OK;
    }
    why->fault = fault;
    /* The text goes away with the head, so the subject is lent from the same place in the input. */
    why->subject = subject.data != NULL ? td_span_of(block + (subject.data - head->text), subject.len) : subject;
    td_head_release(head);
    return TD_BAD;
}

enum td_status td_http_parse_head(const char *data, size_t len, size_t max_header_size, struct td_head_scan *scan,
                                  size_t *consumed, struct td_head **head, struct td_verdict *why)
{
    /* Offsets in a head are 32 bits wide. */
    size_t limit = max_header_size < UINT32_MAX ? max_header_size : UINT32_MAX;
    size_t visible = len < limit ? len : limit;
    size_t start = 0;
    size_t end = 0;
    enum td_status status = skip_leading_lines(data, visible, &start, why);
    if (status == TD_BAD) {
        return status;
    }
    if (status == TD_PARTIAL || !find_block_end(data, visible, start, scan, &end)) {
        return len > limit ? refuse(why, TD_TOO_LARGE, TD_FAULT_HEAD_TOO_LARGE) : TD_PARTIAL;
    }
    pthread_once(&tokenizer_once, prepare_tokenizer);
    status = read_block(data + start, end - start, head, why);
    if (status == TD_OK) {
        *consumed = end;
    }
    return status;
}
