/* The client of the echo, stream and WebSocket benchmarks: many connections on one epoll set, and as little work as can be, so
 * that the server sets the rate.  What it receives it discards in the kernel (MSG_TRUNC): the runner compares contents before.
 *
 *     load PORT CONNECTIONS SIZE SECONDS echo LINE    sends messages of SIZE bytes, each when the one before has come back
 *     load PORT CONNECTIONS SIZE SECONDS pull         receives whatever comes; SIZE bytes count as a message
 *     load PORT CONNECTIONS SIZE SECONDS websocket    the first, with text messages of SIZE bytes in frames of RFC 6455, after
 *                                                     a handshake for /
 *
 * Each LINE bytes of a message end with a line feed.  Prints one JSON line: messages, seconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1000, MAX_SIZE = 1 << 26, MAX_EVENTS = 256, PULL_SIZE = 1 << 20, WAIT_MS = 20 };

/* How long the last messages may take, once the time is over. */
static const double grace_seconds = 10.0;

struct conn {
    int fd;
    size_t to_send; /* bytes of the message under way */
    size_t to_recv; /* bytes of its echo; 0 between messages */
};

static char *message;
static size_t size;       /* of the message as it is sent */
static size_t reply_size; /* and as it comes back */
static unsigned long long messages;
static size_t under_way;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void conn_open(struct conn *conn, in_port_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Asks for a WebSocket, and reads no further than the answer's head. */
static void websocket_open(struct conn *conn)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
    static const char end[] = "\r\n\r\n";
    if (send(conn->fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1)
        die("send");
    char c;
    for (size_t matched = 0; matched < sizeof end - 1;) {
        if (recv(conn->fd, &c, 1, 0) != 1)
            die("the answer to a handshake");
        matched = c == end[matched] ? matched + 1 : c == end[0];
    }
}

/* The frame of a text message: a head, a mask, and the masked text. */
static void websocket_frame(size_t text_size)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t extended = text_size < 126 ? 0 : text_size <= 0xFFFF ? 2 : 8, head = 2 + extended;
    reply_size = head + text_size;
    size = reply_size + sizeof mask;
    message = malloc(size);
    if (!message)
        die("malloc");
    message[0] = (char)0x81;
    message[1] = (char)(0x80 | (extended == 0 ? text_size : extended == 2 ? 126 : 127));
    for (size_t i = 0; i < extended; i++)
        message[2 + i] = (char)(text_size >> 8 * (extended - 1 - i));
    memcpy(message + head, mask, sizeof mask);
    for (size_t i = 0; i < text_size; i++)
        message[head + sizeof mask + i] = (char)('x' ^ mask[i % sizeof mask]);
}

/* A message whose lines end with a line feed. */
static void plain_message(size_t line)
{
    reply_size = size;
    message = malloc(size);
    if (!message)
        die("malloc");
    memset(message, 'x', size);
    for (size_t end = line; end <= size; end += line)
        message[end - 1] = '\n';
}

static void echo_send(struct conn *conn)
{
    while (conn->to_send) {
        ssize_t n = send(conn->fd, message + (size - conn->to_send), conn->to_send, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EAGAIN)
                return;
            die("send");
        }
        conn->to_send -= (size_t)n;
    }
}

static void echo_start(struct conn *conn)
{
    conn->to_send = size;
    conn->to_recv = reply_size;
    under_way++;
    echo_send(conn);
}

/* A recv that fills less than it asked for has drained the socket, so an edge-triggered wait needs no second one.  While
 * `again`, a message that has come back whole is followed by the next. */
static void echo_ready(struct conn *conn, int again)
{
    echo_send(conn);
    while (conn->to_recv) {
        size_t asked = conn->to_recv;
        ssize_t n = recv(conn->fd, NULL, asked, MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EAGAIN)
                return;
            die("recv");
        }
        if (n == 0) {
            errno = ECONNRESET;
            die("the server closed a connection");
        }
        conn->to_recv -= (size_t)n;
        if (conn->to_recv == 0) {
            messages++;
            under_way--;
            if (again)
                echo_start(conn);
            return;
        }
        if ((size_t)n < asked)
            return;
    }
}

static size_t pull_ready(const struct conn *conn)
{
    ssize_t n = recv(conn->fd, NULL, PULL_SIZE, MSG_TRUNC | MSG_DONTWAIT);
    if (n > 0)
        return (size_t)n;
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n == 0)
        errno = ECONNRESET;
    die("recv");
    return 0;
}

static unsigned long number(const char *text, unsigned long most)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || value < 1 || value > most) {
        fprintf(stderr, "load: not a number from 1 to %lu: %s\n", most, text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    int websocket = argc == 6 && !strcmp(argv[5], "websocket");
    int echo = websocket || (argc == 7 && !strcmp(argv[5], "echo"));
    if (!echo && (argc != 6 || strcmp(argv[5], "pull"))) {
        fprintf(stderr, "usage: load PORT CONNECTIONS SIZE SECONDS echo LINE | pull | websocket\n");
        return 2;
    }
    in_port_t port = (in_port_t)number(argv[1], 65535);
    size_t count = number(argv[2], MAX_CONNECTIONS);
    size = number(argv[3], MAX_SIZE);
    double seconds = strtod(argv[4], NULL);
    struct conn *conns = calloc(count, sizeof *conns);
    if (!conns)
        die("malloc");
    if (websocket)
        websocket_frame(size);
    else
        plain_message(echo ? number(argv[6], size) : size);

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1");
    for (size_t i = 0; i < count; i++) {
        conn_open(&conns[i], port);
        if (websocket)
            websocket_open(&conns[i]);
        struct epoll_event event = {.events = echo ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN, .data.ptr = &conns[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &event))
            die("epoll_ctl");
    }

    double started = now(), stopped = started;
    unsigned long long pulled = 0;
    if (echo)
        for (size_t i = 0; i < count; i++)
            echo_start(&conns[i]);
    while (stopped - started < seconds || under_way) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll, events, MAX_EVENTS, WAIT_MS);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        int again = stopped - started < seconds;
        for (int i = 0; i < n; i++) {
            if (echo)
                echo_ready(events[i].data.ptr, again);
            else
                pulled += pull_ready(events[i].data.ptr);
        }
        stopped = now();
        if (stopped - started > seconds + grace_seconds) {
            fprintf(stderr, "load: %zu messages did not come back\n", under_way);
            return 1;
        }
    }
    double counted = echo ? (double)messages : (double)pulled / (double)size;
    printf("{\"messages\": %.6f, \"seconds\": %.6f}\n", counted, stopped - started);
    free(message);
    free(conns);
    return 0;
}
