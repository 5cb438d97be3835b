/* The system calls of sockets, over socket pairs and a loopback listener: what each end of a call is reported as. */
#include "sockio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "alloc.h"
#include "check.h"

static char buffer[1 << 16];

static char byte_at(size_t place)
{
    return (char)(unsigned char)(place * 131 + (place >> 8) * 7 + (place >> 16));
}

static bool wait_for(int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    return poll(&entry, 1, 10000) == 1;
}

static void open_pair(int ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "socketpair: %d", errno);
}

static int open_listener(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0, "listen: %d", errno);
    return fd;
}

static int open_client(int listener)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "getsockname: %d", errno);
    CHECK(connect(fd, (struct sockaddr *)&address, len) == 0, "connect: %d", errno);
    return fd;
}

/* Closing sends a reset. */
static void reset(int fd)
{
    struct linger abort_it = {.l_onoff = 1, .l_linger = 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it) == 0, "SO_LINGER: %d", errno);
    close(fd);
}

/* A connection over loopback: ends[0] the client, ends[1] what was accepted. */
static void open_connection(int ends[2])
{
    struct sockaddr_storage peer;
    socklen_t len;
    int listener = open_listener();
    ends[0] = open_client(listener);
    ends[1] = -1;
    CHECK(wait_for(listener, POLLIN) && td_sock_accept(listener, true, &ends[1], &peer, &len) == TD_OK, "accept: %d", errno);
    close(listener);
}

static int released;

static void count_release(void *owner)
{
    free(owner);
    released++;
}

static void test_receive(void)
{
    int ends[2];
    open_pair(ends);
    size_t count = 77;
    CHECK(td_sock_recv(ends[0], buffer, sizeof buffer, &count) == TD_AGAIN, "nothing yet");
    CHECK(send(ends[1], "abcdef", 6, 0) == 6, "send");
    CHECK(td_sock_recv(ends[0], buffer, 4, &count) == TD_OK && count == 4 && memcmp(buffer, "abcd", 4) == 0, "%zu", count);
    CHECK(td_sock_recv(ends[0], buffer, 4, &count) == TD_OK && count == 2 && memcmp(buffer, "ef", 2) == 0, "%zu", count);
    CHECK(td_sock_recv(ends[0], buffer, 4, &count) == TD_AGAIN, "all was taken");
    CHECK(send(ends[1], "last", 4, 0) == 4, "send");
    close(ends[1]);
    CHECK(td_sock_recv(ends[0], buffer, 10, &count) == TD_OK && count == 4, "what was sent before the end");
    CHECK(td_sock_recv(ends[0], buffer, 10, &count) == TD_EOF, "the end");
    CHECK(td_sock_recv(ends[0], buffer, 10, &count) == TD_EOF, "and again");
    close(ends[0]);
    errno = 0;
    CHECK(td_sock_recv(-1, buffer, 10, &count) == TD_SYS && errno == EBADF, "errno %d", errno);
}

static void test_half_closed(void)
{
    int ends[2];
    open_connection(ends);
    size_t count;
    struct td_outbuf out = {0};
    CHECK(shutdown(ends[0], SHUT_WR) == 0 && wait_for(ends[1], POLLIN), "shutdown");
    CHECK(td_sock_recv(ends[1], buffer, 10, &count) == TD_EOF, "no more input");
    CHECK(td_outbuf_append(&out, "answer", 6) == TD_OK && td_sock_send(ends[1], &out) == TD_OK, "but output goes out");
    CHECK(wait_for(ends[0], POLLIN) && recv(ends[0], buffer, 10, 0) == 6, "received");
    close(ends[0]);
    close(ends[1]);
}

static void test_reset(void)
{
    int ends[2];
    size_t count;
    struct td_outbuf out = {0};
    open_connection(ends);
    reset(ends[0]);
    CHECK(wait_for(ends[1], POLLIN), "told");
    errno = 0;
    CHECK(td_sock_recv(ends[1], buffer, 10, &count) == TD_SYS && errno == ECONNRESET && td_errno_is_connreset(errno), "errno %d",
          errno);
    CHECK(td_outbuf_append(&out, "answer", 6) == TD_OK, "append");
    errno = 0;
    CHECK(td_sock_send(ends[1], &out) == TD_SYS && errno == EPIPE && td_errno_is_connreset(errno), "errno %d", errno);
    CHECK(out.size == 6, "nothing was sent");
    td_outbuf_clear(&out);
    close(ends[1]);

    open_connection(ends);
    reset(ends[0]);
    CHECK(wait_for(ends[1], POLLIN), "told");
    CHECK(td_outbuf_append(&out, "a", 1) == TD_OK && td_outbuf_append_held(&out, "b", 1, malloc(1), count_release) == TD_OK,
          "two segments");
    errno = 0;
    CHECK(td_sock_send(ends[1], &out) == TD_SYS && td_errno_is_connreset(errno), "a vector of them; errno %d", errno);
    td_outbuf_clear(&out);
    close(ends[1]);
}

/* -- sending -- */

/* `count` segments whose bytes go on where those before ended. Every third is held, the others copied, which may join them. */
static size_t build(struct td_outbuf *out, int count, size_t len)
{
    size_t place = (size_t)out->written;
    for (int i = 0; i < count; i++) {
        size_t part = len + (size_t)i % 3;
        char *data = malloc(part);
        for (size_t j = 0; j < part; j++) {
            data[j] = byte_at(place + j);
        }
        if (i % 3 == 0) {
            CHECK(td_outbuf_append_held(out, data, part, data, count_release) == TD_OK, "held");
        }
        else {
            CHECK(td_outbuf_append(out, data, part) == TD_OK, "copied");
            free(data);
        }
        place += part;
    }
    return place;
}

/* Takes what is there; the new place in the stream. */
static size_t take(int fd, size_t place, size_t most)
{
    size_t count;
    while (most > 0 && td_sock_recv(fd, buffer, most < sizeof buffer ? most : sizeof buffer, &count) == TD_OK) {
        size_t good = 0;
        while (good < count && buffer[good] == byte_at(place + good)) {
            good++;
        }
        CHECK(good == count, "byte %zu", place + good);
        place += count;
        most -= count;
    }
    return place;
}

static void test_send_nothing_and_a_little(void)
{
    int ends[2];
    open_pair(ends);
    struct td_outbuf out = {0};
    CHECK(td_sock_send(ends[0], &out) == TD_OK && td_sock_send(-1, &out) == TD_OK, "nothing needs no call");
    size_t total = build(&out, 1, 10);
    CHECK(td_sock_send(ends[0], &out) == TD_OK && out.size == 0 && out.first == NULL, "sent");
    CHECK(take(ends[1], 0, SIZE_MAX) == total, "received");
    CHECK(td_outbuf_append(&out, "a", 1) == TD_OK, "append");
    errno = 0;
    CHECK(td_sock_send(-1, &out) == TD_SYS && errno == EBADF && out.size == 1, "errno %d", errno);
    CHECK(!td_errno_is_connreset(errno), "a mistake, not a peer that left");
    td_outbuf_clear(&out);
    close(ends[0]);
    close(ends[1]);
}

/* More segments than one system call takes, all of which fit the socket's buffer. */
static void test_send_many_segments(void)
{
    static const int counts[] = {63, 64, 65, 127, 128, 129, 400};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        int ends[2];
        open_connection(ends);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        struct td_outbuf out = {0};
        released = 0;
        size_t total = build(&out, counts[i], 5);
        CHECK(td_sock_send(ends[1], &out) == TD_OK && out.size == 0, "%d segments", counts[i]);
        CHECK(released == (counts[i] + 2) / 3, "%d released", released);
        size_t place = 0;
        while (place < total && wait_for(ends[0], POLLIN)) {
            place = take(ends[0], place, SIZE_MAX);
        }
        CHECK(place == total, "%zu of %zu", place, total);
        close(ends[0]);
        close(ends[1]);
    }
}

/* A socket that is full takes the output in pieces that end anywhere in a segment. */
static void test_short_writes(int ends[2], int count, size_t len)
{
    struct td_outbuf out = {0};
    released = 0;
    size_t total = build(&out, count, len);
    enum td_status status = td_sock_send(ends[0], &out);
    CHECK(status == TD_AGAIN && out.size > 0 && out.size < total, "the socket is full");
    size_t left = out.size;
    CHECK(td_sock_send(ends[0], &out) == TD_AGAIN && out.size == left, "still full");
    size_t place = 0;
    int rounds = 0;
    while (status == TD_AGAIN && rounds++ < 100000) {
        CHECK(wait_for(ends[1], POLLIN), "bytes come through");
        place = take(ends[1], place, 40001);
        if (rounds % 7 == 0) {
            total = build(&out, rounds < 50 ? 2 : 0, 10);
        }
        status = td_sock_send(ends[0], &out);
        CHECK(status == TD_OK || status == TD_AGAIN, "status %d, errno %d", status, errno);
        CHECK(place + out.size <= total, "no byte twice");
    }
    CHECK(status == TD_OK && out.size == 0 && out.first == NULL, "all was sent");
    while (place < total && wait_for(ends[1], POLLIN)) {
        place = take(ends[1], place, SIZE_MAX);
    }
    CHECK(place == total && out.written == total, "%zu of %zu", place, total);
    close(ends[0]);
    close(ends[1]);
}

/* -- accepting -- */

static void test_accept(void)
{
    int listener = open_listener();
    int fd = 77;
    struct sockaddr_storage peer;
    struct sockaddr_in own;
    socklen_t len;
    CHECK(td_sock_accept(listener, true, &fd, &peer, &len) == TD_AGAIN && fd == 77, "none is waiting");
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = open_client(listener);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(wait_for(listener, POLLIN) && td_sock_accept(listener, true, &fd, &peer, &len) == TD_OK, "errno %d", errno);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC, "flags");
        socklen_t own_len = sizeof own;
        getsockname(clients[i], (struct sockaddr *)&own, &own_len);
        CHECK(peer.ss_family == AF_INET && len == sizeof own && ((struct sockaddr_in *)&peer)->sin_port == own.sin_port,
              "the client's address");
        close(fd);
        close(clients[i]);
    }
    CHECK(td_sock_accept(listener, true, &fd, &peer, &len) == TD_AGAIN, "no more");

    /* Linux hands over a connection that is gone already; another system may pass over it. */
    reset(open_client(listener));
    wait_for(listener, POLLIN);
    enum td_status status = td_sock_accept(listener, true, &fd, &peer, &len);
    CHECK(status == TD_OK || status == TD_AGAIN, "status %d, errno %d", status, errno);
    if (status == TD_OK) {
        size_t count;
        CHECK(wait_for(fd, POLLIN) && td_sock_recv(fd, buffer, 10, &count) == TD_SYS && td_errno_is_connreset(errno), "errno %d",
              errno);
        close(fd);
    }
    int client = open_client(listener);
    CHECK(send(client, "hello", 5, 0) == 5, "send");
    close(client);
    CHECK(wait_for(listener, POLLIN) && td_sock_accept(listener, true, &fd, &peer, &len) == TD_OK,
          "a client that sent and closed");
    size_t count;
    CHECK(wait_for(fd, POLLIN) && td_sock_recv(fd, buffer, 10, &count) == TD_OK && count == 5, "its bytes");
    CHECK(wait_for(fd, POLLIN) && td_sock_recv(fd, buffer, 10, &count) == TD_EOF, "its end");
    close(fd);
    close(listener);
    errno = 0;
    CHECK(td_sock_accept(-1, true, &fd, &peer, &len) == TD_SYS && errno == EBADF, "errno %d", errno);
}

static void test_accept_without_descriptors(void)
{
    int listener = open_listener();
    int client = open_client(listener);
    int fd = -1;
    struct sockaddr_storage peer;
    socklen_t len;
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit tight = before;
    tight.rlim_cur = 0;
    CHECK(wait_for(listener, POLLIN), "a client");
    CHECK(setrlimit(RLIMIT_NOFILE, &tight) == 0, "errno %d", errno);
    enum td_status status = td_sock_accept(listener, true, &fd, &peer, &len);
    int error = errno;
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(status == TD_SYS && error == EMFILE, "status %d, errno %d", status, error);
    CHECK(td_sock_accept(listener, true, &fd, &peer, &len) == TD_OK, "the client was kept; errno %d", errno);
    close(fd);
    close(client);
    close(listener);
}

static void test_accept_unix(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address;
    /* A name that the kernel picks, in no folder. */
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(listener, 4) == 0, "errno %d", errno);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "errno %d", errno);
    CHECK(connect(client, (struct sockaddr *)&address, len) == 0, "errno %d", errno);
    int fd = -1;
    struct sockaddr_storage peer;
    CHECK(td_sock_accept(listener, true, &fd, &peer, &len) == TD_OK, "errno %d", errno);
    CHECK(peer.ss_family == AF_UNIX && len == sizeof(sa_family_t), "a client without a name: %u bytes", (unsigned)len);
    close(fd);
    close(client);
    close(listener);
}

static void test_errors_sorted(void)
{
    static const int resets[] = {ECONNRESET, ECONNABORTED, EPIPE, ETIMEDOUT};
    for (int error = 0; error < 200; error++) {
        bool is_reset = false;
        for (size_t i = 0; i < 4; i++) {
            is_reset |= resets[i] == error;
        }
        CHECK(td_errno_is_connreset(error) == is_reset, "%d", error);
    }
}

int main(void)
{
    int ends[2];
    test_receive();
    test_half_closed();
    test_reset();
    test_send_nothing_and_a_little();
    test_send_many_segments();
    open_pair(ends);
    test_short_writes(ends, 100, 20000);
    open_pair(ends);
    test_short_writes(ends, 30000, 30);
    open_connection(ends);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    test_short_writes(ends, 400, 70000);
    test_accept();
    test_accept_without_descriptors();
    test_accept_unix();
    test_errors_sorted();
    return check_result("sockio");
}
