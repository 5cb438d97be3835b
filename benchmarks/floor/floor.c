/* The floor: the least a keep-alive HTTP/1.1 server can do in user space here.  An edge-triggered epoll loop over
 * http-parser that answers with canned bytes: one recv and one send for a request, one send for a pipelined batch.
 * It has no timeouts, no limits and no errors worth the name: it is a yardstick, not a server.
 *
 *     floor PATH FILE [PATH FILE]...
 *
 * Each FILE is a whole response, sent for GET PATH (the query is ignored).  A POST gets the file's header with a
 * Content-Length of its own, and its body back.  Listens on a free port of 127.0.0.1 and prints it as one JSON line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <http_parser.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PAGES = 16, MAX_PATH = 120, MAX_EVENTS = 256, RECV_SIZE = 65536 };

struct page {
    const char *path; /* borrowed from argv */
    size_t path_len;
    char *answer; /* owned, for the life of the process */
    size_t answer_len;
    size_t echo_head_len; /* bytes of echo_head */
    char *echo_head;      /* owned: the answer's header up to where Content-Length goes */
};

struct conn {
    int fd;
    unsigned char path_len;
    char close_after;
    http_parser parser;
    char *body; /* owned: a request body that came in several pieces, or NULL */
    size_t body_len;
    char *unsent; /* owned: what the kernel did not take, or NULL */
    size_t unsent_at, unsent_len;
    char path[MAX_PATH];
};

/* Shared by all connections: one batch is parsed, answered and sent before the next begins. */
static struct page pages[MAX_PAGES];
static size_t page_count;
static char in[RECV_SIZE];
static char *out;
static size_t out_len, out_cap;
static const char *direct_body; /* a body that lies whole in `in` */
static size_t direct_len;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void out_append(const char *data, size_t len)
{
    if (out_len + len > out_cap) {
        out_cap = (out_len + len) * 2;
        out = realloc(out, out_cap);
        if (!out)
            die("realloc");
    }
    memcpy(out + out_len, data, len);
    out_len += len;
}

static int on_message_begin(http_parser *parser)
{
    struct conn *conn = parser->data;
    conn->path_len = 0;
    direct_body = NULL;
    direct_len = 0;
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct conn *conn = parser->data;
    if (conn->path_len + len > MAX_PATH)
        return -1;
    memcpy(conn->path + conn->path_len, at, len);
    conn->path_len += (unsigned char)len;
    return 0;
}

/* Moves what has come of the body to memory of its own, when the rest is still on its way. */
static int body_keep(struct conn *conn, const char *at, size_t len)
{
    if (len == 0)
        return 0;
    char *grown = realloc(conn->body, conn->body_len + len);
    if (!grown)
        return -1;
    memcpy(grown + conn->body_len, at, len);
    conn->body = grown;
    conn->body_len += len;
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct conn *conn = parser->data;
    if (!conn->body && !direct_body) {
        direct_body = at;
        direct_len = len;
        return 0;
    }
    if (direct_body && body_keep(conn, direct_body, direct_len))
        return -1;
    direct_body = NULL;
    direct_len = 0;
    return body_keep(conn, at, len);
}

static const struct page *find_page(const struct conn *conn)
{
    const char *query = memchr(conn->path, '?', conn->path_len);
    size_t len = query ? (size_t)(query - conn->path) : conn->path_len;
    for (size_t i = 0; i < page_count; i++)
        if (pages[i].path_len == len && !memcmp(pages[i].path, conn->path, len))
            return &pages[i];
    return NULL;
}

static int on_message_complete(http_parser *parser)
{
    static const char not_found[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    struct conn *conn = parser->data;
    const struct page *page = find_page(conn);
    if (!page) {
        out_append(not_found, sizeof not_found - 1);
    }
    else if (parser->method == HTTP_POST) {
        char length[48];
        const char *body = conn->body ? conn->body : direct_body;
        size_t body_len = conn->body ? conn->body_len : direct_len;
        int n = snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", body_len);
        out_append(page->echo_head, page->echo_head_len);
        out_append(length, (size_t)n);
        if (body_len)
            out_append(body, body_len);
    }
    else {
        out_append(page->answer, page->answer_len);
    }
    free(conn->body);
    conn->body = NULL;
    conn->body_len = 0;
    direct_body = NULL;
    direct_len = 0;
    if (!http_should_keep_alive(parser))
        conn->close_after = 1;
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void conn_close(struct conn *conn)
{
    close(conn->fd);
    free(conn->body);
    free(conn->unsent);
    free(conn);
}

/* Sends the batch; 0 when the kernel took it all, 1 when some is left for later, -1 on error. */
static int conn_send(struct conn *conn)
{
    ssize_t sent = send(conn->fd, out, out_len, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            return -1;
        sent = 0;
    }
    if ((size_t)sent == out_len)
        return 0;
    conn->unsent_len = out_len - (size_t)sent;
    conn->unsent_at = 0;
    conn->unsent = malloc(conn->unsent_len);
    if (!conn->unsent)
        return -1;
    memcpy(conn->unsent, out + sent, conn->unsent_len);
    return 1;
}

static int conn_send_rest(struct conn *conn)
{
    while (conn->unsent_at < conn->unsent_len) {
        ssize_t sent = send(conn->fd, conn->unsent + conn->unsent_at, conn->unsent_len - conn->unsent_at, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN ? 1 : -1;
        conn->unsent_at += (size_t)sent;
    }
    free(conn->unsent);
    conn->unsent = NULL;
    return 0;
}

/* Returns -1 when the connection is over.  A recv that fills less than the buffer has drained the socket, so an
 * edge-triggered wait needs no second recv that says EAGAIN. */
static int conn_ready(struct conn *conn)
{
    if (conn->unsent) {
        int left = conn_send_rest(conn);
        if (left)
            return left < 0 ? -1 : 0;
        if (conn->close_after)
            return -1;
    }
    for (;;) {
        ssize_t n = recv(conn->fd, in, sizeof in, 0);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        if (n == 0)
            return -1;
        out_len = 0;
        direct_body = NULL;
        direct_len = 0;
        if (http_parser_execute(&conn->parser, &settings, in, (size_t)n) != (size_t)n)
            return -1;
        if (direct_body && body_keep(conn, direct_body, direct_len))
            return -1;
        if (out_len) {
            int left = conn_send(conn);
            if (left)
                return left < 0 ? -1 : 0;
            if (conn->close_after)
                return -1;
        }
        if ((size_t)n < sizeof in)
            return 0;
    }
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *conn = calloc(1, sizeof *conn);
        if (!conn)
            die("calloc");
        conn->fd = fd;
        http_parser_init(&conn->parser, HTTP_REQUEST);
        conn->parser.data = conn;
        /* Registered for both directions once: edge-triggered, so readiness to write wakes nobody until it was lost. */
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = conn};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
            die("epoll_ctl");
    }
}

static char *read_file(const char *name, size_t *len)
{
    FILE *file = fopen(name, "rb");
    if (!file)
        die(name);
    size_t cap = 1 << 20;
    char *data = malloc(cap + 1);
    if (!data)
        die("malloc");
    *len = fread(data, 1, cap, file);
    fclose(file);
    data[*len] = 0;
    return realloc(data, *len + 1);
}

/* The header of a canned answer without its Content-Length line and without the blank line. */
static void page_make_echo_head(struct page *page)
{
    const char *end = strstr(page->answer, "\r\n\r\n");
    if (!end) {
        fprintf(stderr, "no header in the answer for %s\n", page->path);
        exit(1);
    }
    page->echo_head = malloc((size_t)(end + 2 - page->answer));
    if (!page->echo_head)
        die("malloc");
    for (const char *line = page->answer; line < end + 2;) {
        const char *next = strstr(line, "\r\n") + 2;
        if (strncasecmp(line, "Content-Length:", 15)) {
            memcpy(page->echo_head + page->echo_head_len, line, (size_t)(next - line));
            page->echo_head_len += (size_t)(next - line);
        }
        line = next;
    }
}

static int listen_local(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        die("listen");
    *port = ntohs(address.sin_port);
    return fd;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc < 3 || argc % 2 == 0 || (argc - 1) / 2 > MAX_PAGES) {
        fprintf(stderr, "usage: floor PATH FILE [PATH FILE]...\n");
        return 2;
    }
    for (int i = 1; i < argc; i += 2) {
        struct page *page = &pages[page_count++];
        page->path = argv[i];
        page->path_len = strlen(argv[i]);
        page->answer = read_file(argv[i + 1], &page->answer_len);
        page_make_echo_head(page);
    }
    unsigned port;
    int listener = listen_local(&port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event accept_event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &accept_event))
        die("epoll");
    printf("{\"port\": %u, \"pid\": %d, \"loop\": \"epoll\", \"native\": true}\n", port, (int)getpid());
    fflush(stdout);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (!conn)
                accept_all(epoll, listener);
            else if (conn_ready(conn))
                conn_close(conn);
        }
    }
}
