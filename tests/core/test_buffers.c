/* td_inbuf and td_outbuf beside a model of their bytes: order, ownership, memory held, and what is left without memory. */
#include <sys/uio.h>

#include "alloc.h"
#include "check.h"
#include "inbuf.h"
#include "outbuf.h"

static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d);

static size_t random_below(size_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 33) % limit;
}

/* A stream of bytes in which a lost, doubled or moved piece is seen. */
static char byte_at(uint64_t place)
{
    return (char)(unsigned char)(place * 131 + (place >> 8) * 7 + (place >> 16));
}

static void fill(char *data, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = byte_at(from + i);
    }
}

static bool is_stream(const char *data, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != byte_at(from + i)) {
            return false;
        }
    }
    return true;
}

/* -- inbuf -- */

static void check_inbuf(const struct td_inbuf *in, uint64_t from, size_t len, size_t most)
{
    CHECK(in->len == len, "%zu bytes, not %zu", in->len, len);
    if (len == 0) {
        CHECK(in->memory == NULL && in->capacity == 0 && in->start == 0, "empty, it holds no memory");
        return;
    }
    CHECK(in->start + in->len <= in->capacity, "inside its memory");
    CHECK(is_stream(td_inbuf_data(in), from, len), "bytes from %llu", (unsigned long long)from);
    CHECK(in->capacity <= 256 || in->capacity <= 4 * most, "capacity %zu for %zu at most", in->capacity, most);
}

static void test_inbuf_random(void)
{
    static const size_t sizes[] = {2, 20, 300, 5000, 70000};
    enum { LARGEST = 70000 };
    char *data = malloc(LARGEST);
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        struct td_inbuf in = {0};
        uint64_t begin = 0;
        uint64_t end = 0;
        size_t most = 0; /* most bytes held since it was empty */
        for (int step = 0; step < 2000; step++) {
            size_t len = random_below(sizes[s]);
            if (random_below(5) < 3 && in.len < 500000) {
                fill(data, end, len);
                CHECK(td_inbuf_append(&in, data, len) == TD_OK, "step %d", step);
                end += len;
            }
            else {
                size_t held = (size_t)(end - begin);
                len = random_below(8) == 0 || len > held ? held : len;
                td_inbuf_consume(&in, len);
                begin += len;
            }
            most = begin == end ? 0 : in.len > most ? in.len : most;
            check_inbuf(&in, begin, (size_t)(end - begin), most);
        }
        td_inbuf_clear(&in);
        check_inbuf(&in, 0, 0, 0);
    }
    free(data);
}

/* A slow message: many small pieces must not each move all that came before. */
static void test_inbuf_grows_in_steps(void)
{
    struct td_inbuf in = {0};
    size_t capacity = 0;
    int growths = 0;
    for (uint64_t i = 0; i < 1000000; i++) {
        char byte = byte_at(i);
        CHECK(td_inbuf_append(&in, &byte, 1) == TD_OK, "byte %llu", (unsigned long long)i);
        growths += in.capacity != capacity;
        capacity = in.capacity;
    }
    CHECK(growths <= 16, "%d growths", growths);
    check_inbuf(&in, 0, 1000000, 1000000);
    td_inbuf_consume(&in, 999999);
    check_inbuf(&in, 999999, 1, 1000000);
    td_inbuf_consume(&in, 1);
    check_inbuf(&in, 0, 0, 0);

    /* A window that slides on: its memory is bounded by the window, and is used again. */
    char data[100];
    fill(data, 0, 100);
    CHECK(td_inbuf_append(&in, data, 100) == TD_OK, "window");
    for (uint64_t i = 0; i < 100000; i += 50) {
        fill(data, 100 + i, 50);
        CHECK(td_inbuf_append(&in, data, 50) == TD_OK, "window");
        td_inbuf_consume(&in, 50);
    }
    check_inbuf(&in, 100000, 100, 150);
    td_inbuf_clear(&in);
}

static void test_inbuf_edges(void)
{
    struct td_inbuf in = {0};
    CHECK(td_inbuf_append(&in, NULL, 0) == TD_OK && in.memory == NULL, "nothing needs no memory");
    td_inbuf_consume(&in, 0);
    td_inbuf_clear(&in);
    check_inbuf(&in, 0, 0, 0);
    char data[1000];
    fill(data, 0, sizeof data);
    CHECK(td_inbuf_append(&in, data, sizeof data) == TD_OK, "1000");
    CHECK(td_inbuf_append(&in, NULL, 0) == TD_OK, "nothing more");
    td_inbuf_consume(&in, 0);
    check_inbuf(&in, 0, 1000, 1000);
    td_inbuf_clear(&in);
}

static void test_inbuf_out_of_memory(void)
{
    struct td_inbuf in = {0};
    char data[5000];
    td_alloc_fail_after(0);
    CHECK(td_inbuf_append(&in, "a", 1) == TD_NOMEM, "at first");
    check_inbuf(&in, 0, 0, 0);
    for (size_t consumed = 0; consumed <= 100; consumed += 50) {
        fill(data, 0, sizeof data);
        CHECK(td_inbuf_append(&in, data, 300) == TD_OK, "300");
        td_inbuf_consume(&in, consumed);
        struct td_inbuf before = in;
        td_alloc_fail_after(0);
        CHECK(td_inbuf_append(&in, data, sizeof data) == TD_NOMEM, "growing");
        td_alloc_fail_after(-1);
        CHECK(memcmp(&before, &in, sizeof in) == 0, "it is as it was");
        check_inbuf(&in, consumed, 300 - consumed, 300);
        fill(data, 300, sizeof data);
        CHECK(td_inbuf_append(&in, data, sizeof data) == TD_OK, "and goes on");
        check_inbuf(&in, consumed, 5300 - consumed, 5300);
        td_inbuf_clear(&in);
    }
}

/* -- outbuf -- */

enum { OWNERS = 64, HELD_MAX = 3000 };

/* Memory that a buffer holds. */
struct owner {
    char *memory;
    int released;
    struct td_outbuf *buffer;           /* what `action` works on */
    void (*action)(struct owner *self); /* NULL: none */
};

static struct owner owners[OWNERS];
static int owner_count;

static size_t held_bytes(const struct td_outbuf *out)
{
    size_t sum = 0;
    for (const struct td_outseg *segment = out->first; segment != NULL; segment = segment->next) {
        sum += segment->len;
    }
    return sum;
}

static void check_links(const struct td_outbuf *out, const char *what)
{
    const struct td_outseg *last = NULL;
    for (const struct td_outseg *segment = out->first; segment != NULL; segment = segment->next) {
        last = segment;
    }
    CHECK(out->last == last, "%s: last", what);
    CHECK(held_bytes(out) == out->size, "%s: %zu bytes in segments, size %zu", what, held_bytes(out), out->size);
}

static void release(void *pointer)
{
    struct owner *self = pointer;
    CHECK(self->released == 0, "released once");
    self->released++;
    for (const struct td_outseg *segment = self->buffer->first; segment != NULL; segment = segment->next) {
        CHECK(segment->owner != self, "unlinked before it is released");
    }
    free(self->memory); /* whoever looks at it from here on is caught */
    self->memory = NULL;
    if (self->action != NULL) {
        self->action(self);
    }
}

/* The next `len` bytes of the stream, as memory with an owner. */
static enum td_status append_held(struct td_outbuf *out, size_t len, void (*action)(struct owner *))
{
    struct owner *owner = &owners[owner_count];
    *owner = (struct owner){.memory = malloc(len), .buffer = out, .action = action};
    fill(owner->memory, out->written, len);
    enum td_status status = td_outbuf_append_held(out, owner->memory, len, owner, release);
    if (status == TD_OK) {
        owner_count++;
    }
    else {
        free(owner->memory);
    }
    return status;
}

static enum td_status append_copied(struct td_outbuf *out, size_t len)
{
    char *data = malloc(len + 1);
    fill(data, out->written, len);
    enum td_status status = td_outbuf_append(out, data, len);
    free(data);
    return status;
}

static int released_count(void)
{
    int count = 0;
    for (int i = 0; i < owner_count; i++) {
        count += owners[i].released;
    }
    return count;
}

/* Copied and held, small and larger than a block, next to each other in every order. */
static void build(struct td_outbuf *out)
{
    owner_count = 0;
    *out = (struct td_outbuf){0};
    static const struct {
        bool held;
        size_t len;
    } parts[] = {{false, 1},  {true, 1},   {true, 70},   {false, 40}, {false, 60}, {true, 300},
                 {false, 17}, {true, 900}, {false, 333}, {true, 2},   {true, 5},   {false, 16500}};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        enum td_status status = parts[i].held ? append_held(out, parts[i].len, NULL) : append_copied(out, parts[i].len);
        CHECK(status == TD_OK, "part %zu", i);
    }
    check_links(out, "built");
}

/* The first bytes that are to be sent continue the stream where the sent ones ended. */
static void check_front(const struct td_outbuf *out)
{
    struct iovec vector[64];
    uint64_t place = out->written - out->size;
    int count = td_outbuf_vector(out, vector, (int)COUNT_OF(vector));
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        CHECK(vector[i].iov_len > 0, "no empty entries");
        CHECK(is_stream(vector[i].iov_base, place, vector[i].iov_len), "entry %d at byte %llu", i, (unsigned long long)place);
        place += vector[i].iov_len;
        sum += vector[i].iov_len;
    }
    CHECK(sum == out->size, "%zu bytes to send, size %zu", sum, out->size);
}

static void check_empty(struct td_outbuf *out, const char *what)
{
    CHECK(out->first == NULL && out->last == NULL && out->size == 0, "%s: empty, it holds no memory", what);
    CHECK(released_count() == owner_count, "%s: %d of %d released", what, released_count(), owner_count);
}

static void test_outbuf_advance_to_every_byte(void)
{
    struct td_outbuf out;
    build(&out);
    size_t total = out.size;
    td_outbuf_clear(&out);
    check_empty(&out, "cleared");
    for (size_t offset = 0; offset <= total; offset += offset < 2000 || offset > total - 300 ? 1 : 97) {
        build(&out);
        td_outbuf_advance(&out, offset);
        check_links(&out, "advanced");
        check_front(&out);
        CHECK(out.written == total && out.size == total - offset, "offset %zu: size %zu", offset, out.size);
        CHECK(append_copied(&out, 3) == TD_OK && append_held(&out, 4, NULL) == TD_OK && append_copied(&out, 3) == TD_OK, "more");
        check_front(&out);
        td_outbuf_advance(&out, out.size);
        check_empty(&out, "all was sent");
    }
    build(&out);
    int released = 0;
    for (size_t sent = 0; sent < total; sent++) {
        td_outbuf_advance(&out, 1);
        int now = released_count();
        CHECK(now == released || now == released + 1, "one at a time");
        released = now;
    }
    check_empty(&out, "byte by byte");
    CHECK(out.written == total, "what was written is not forgotten");
}

static void test_outbuf_random(void)
{
    struct td_outbuf out = {0};
    owner_count = 0;
    for (int step = 0; step < 20000; step++) {
        size_t len = random_below(random_below(20) == 0 ? 20000 : 200);
        switch (random_below(6)) {
        case 0:
        case 1:
            CHECK(append_copied(&out, len) == TD_OK, "copied");
            break;
        case 2:
            if (owner_count == OWNERS && released_count() == OWNERS) {
                owner_count = 0;
            }
            if (owner_count < OWNERS) {
                CHECK(append_held(&out, len % HELD_MAX + 1, NULL) == TD_OK, "held");
            }
            break;
        case 3: {
            len = len % TD_OUTBUF_ROOM + 1;
            char *place = td_outbuf_reserve(&out, len);
            CHECK(place != NULL, "reserved");
            fill(place, out.written, len);
            td_outbuf_commit(&out, random_below(2) ? len : len / 2);
            break;
        }
        default:
            td_outbuf_advance(&out, random_below(4) == 0 ? out.size : out.size ? random_below(out.size + 1) : 0);
            break;
        }
        if (step % 8 == 0) {
            check_links(&out, "random");
            check_front(&out);
        }
    }
    td_outbuf_clear(&out);
    check_empty(&out, "random");
}

static void test_outbuf_vector_limits(void)
{
    struct td_outbuf out = {0};
    owner_count = 0;
    struct iovec vector[OWNERS + 1];
    CHECK(td_outbuf_vector(&out, vector, OWNERS) == 0, "empty");
    for (int i = 0; i < 10; i++) {
        CHECK(append_held(&out, 5, NULL) == TD_OK, "held");
    }
    for (int max = 0; max <= 12; max++) {
        vector[max].iov_len = 12345;
        int count = td_outbuf_vector(&out, vector, max);
        CHECK(count == (max < 10 ? max : 10), "%d of %d", count, max);
        CHECK(vector[max].iov_len == 12345, "nothing behind the limit");
    }
    CHECK(td_outbuf_reserve(&out, 10) != NULL && td_outbuf_vector(&out, vector, OWNERS) == 10, "a reservation is not sent");
    td_outbuf_advance(&out, out.size);
    check_empty(&out, "sent, with a reservation behind");

    CHECK(td_outbuf_reserve(&out, TD_OUTBUF_ROOM) != NULL, "reserved");
    td_outbuf_commit(&out, 0);
    CHECK(out.size == 0 && td_outbuf_vector(&out, vector, OWNERS) == 0, "nothing was committed");
    td_outbuf_clear(&out);
    check_empty(&out, "cleared");
    CHECK(td_outbuf_append(&out, NULL, 0) == TD_OK && out.first == NULL, "appending nothing takes no memory");
    td_outbuf_advance(&out, 0);
    td_outbuf_clear(&out);
}

static void look(struct owner *self)
{
    check_links(self->buffer, "seen from a release function");
    check_front(self->buffer);
}

static void append_some(struct owner *self)
{
    CHECK(append_copied(self->buffer, 3) == TD_OK, "appended while releasing");
}

static void append_more_held(struct owner *self)
{
    CHECK(append_held(self->buffer, 2, NULL) == TD_OK, "held while releasing");
}

static void clear_it(struct owner *self)
{
    td_outbuf_clear(self->buffer);
}

/* Releasing is a call out: it may look at the buffer, add to it, or clear it. */
static void test_outbuf_release_uses_the_buffer(void)
{
    static void (*const actions[])(struct owner *) = {look, append_some, append_more_held, clear_it};
    for (size_t a = 0; a < COUNT_OF(actions); a++) {
        for (size_t sent = 0; sent <= 36; sent++) {
            struct td_outbuf out = {0};
            owner_count = 0;
            CHECK(append_copied(&out, 4) == TD_OK && append_held(&out, 9, actions[a]) == TD_OK &&
                      append_held(&out, 8, NULL) == TD_OK && append_held(&out, 7, actions[a]) == TD_OK &&
                      append_copied(&out, 8) == TD_OK,
                  "built");
            td_outbuf_advance(&out, sent);
            check_links(&out, "after advancing");
            check_front(&out);
            td_outbuf_clear(&out);
            check_links(&out, "after clearing");
            /* What a release function appended to a buffer that is being cleared may stay. */
            td_outbuf_clear(&out);
            check_empty(&out, "cleared again");
        }
    }
}

static void test_outbuf_out_of_memory(void)
{
    struct td_outbuf out = {0};
    owner_count = 0;
    td_alloc_fail_after(0);
    CHECK(append_copied(&out, 5) == TD_NOMEM, "copied");
    check_empty(&out, "copied");
    td_alloc_fail_after(0);
    CHECK(td_outbuf_reserve(&out, 5) == NULL, "reserved");
    check_empty(&out, "reserved");
    td_alloc_fail_after(0);
    CHECK(append_held(&out, 5, NULL) == TD_NOMEM && owner_count == 0, "held, and not released");
    check_empty(&out, "held");

    CHECK(append_copied(&out, 100) == TD_OK && append_held(&out, 100, NULL) == TD_OK, "some");
    td_alloc_fail_after(0);
    CHECK(append_held(&out, 50, NULL) == TD_NOMEM, "held");
    CHECK(out.size == 200 && out.written == 200, "it is as it was");
    td_alloc_fail_after(1);
    CHECK(append_copied(&out, 40000) == TD_NOMEM, "a part");
    check_links(&out, "a part");
    check_front(&out);
    td_alloc_fail_after(-1);
    td_outbuf_clear(&out);
    check_empty(&out, "given up");
}

static void test_outbuf_splice(void)
{
    struct td_outbuf out = {0};
    struct td_outbuf added = {0};
    owner_count = 0;
    td_outbuf_splice(&out, &added);
    check_empty(&out, "nothing to nothing");
    CHECK(append_copied(&added, 10) == TD_OK && append_held(&added, 20, NULL) == TD_OK, "some");
    td_outbuf_splice(&out, &added);
    CHECK(added.first == NULL && added.last == NULL && added.size == 0, "moved");
    CHECK(out.size == 30 && out.written == 30, "to an empty one");
    check_links(&out, "to an empty one");
    CHECK(append_copied(&added, 5) == TD_OK, "more");
    td_outbuf_splice(&out, &added);
    check_links(&out, "to a full one");
    CHECK(append_copied(&out, 7) == TD_OK && out.size == 42 && out.written == 42, "and on");
    check_links(&out, "and on");
    td_outbuf_advance(&out, out.size);
    check_empty(&out, "sent");
}

int main(void)
{
    test_inbuf_random();
    test_inbuf_grows_in_steps();
    test_inbuf_edges();
    test_inbuf_out_of_memory();
    test_outbuf_advance_to_every_byte();
    test_outbuf_random();
    test_outbuf_vector_limits();
    test_outbuf_release_uses_the_buffer();
    test_outbuf_out_of_memory();
    test_outbuf_splice();
    return check_result("buffers");
}
