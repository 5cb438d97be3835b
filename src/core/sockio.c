/* See sockio.h. */
#include "sockio.h"

#include <errno.h>

#define SEND_VECTOR 64
#define ACCEPT_PASSED_MAX 128

enum td_status td_sock_recv(int fd, char *data, size_t len, size_t *count)
{
    for (;;) {
        ssize_t received = recv(fd, data, len, 0);
        if (received > 0) {
            *count = (size_t)received;
            return TD_OK;
        }
        if (received == 0) {
            return TD_EOF;
        }
        if (errno != EINTR) {
            return errno == EAGAIN || errno == EWOULDBLOCK ? TD_AGAIN : TD_SYS;
        }
    }
}

enum td_status td_sock_send(int fd, struct td_outbuf *out)
{
    while (out->size > 0) {
        struct iovec vector[SEND_VECTOR];
        int count = td_outbuf_vector(out, vector, SEND_VECTOR);
        size_t offered = 0;
        for (int i = 0; i < count; i++) {
            offered += vector[i].iov_len;
        }
        ssize_t sent;
        if (count == 1) {
            sent = send(fd, vector[0].iov_base, vector[0].iov_len, MSG_NOSIGNAL);
        }
        else {
            struct msghdr message = {.msg_iov = vector, .msg_iovlen = (size_t)count};
            sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        }
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN || errno == EWOULDBLOCK ? TD_AGAIN : TD_SYS;
        }
        td_outbuf_advance(out, (size_t)sent);
        if ((size_t)sent < offered) {
            /* A short write means a full socket buffer: the edge will tell when it has room. */
            return TD_AGAIN;
        }
    }
    return TD_OK;
}

/* accept(2): errors of the connection that is gone, or of the network under it; the next one may be fine. */
static bool is_passing(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

enum td_status td_sock_accept(int listener, bool nonblocking, int *fd, struct sockaddr_storage *peer, socklen_t *peer_len)
{
    const int flags = SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
    /* Bounded: a network that fails every connection must not keep the caller from its other work. */
    for (int passed = 0; passed < ACCEPT_PASSED_MAX; passed++) {
        *peer_len = sizeof(*peer);
        int accepted = accept4(listener, (struct sockaddr *)peer, peer_len, flags);
        if (accepted >= 0) {
            *fd = accepted;
            return TD_OK;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return TD_AGAIN;
        }
        if (!is_passing(errno)) {
            return TD_SYS;
        }
    }
    return TD_AGAIN;
}

bool td_errno_is_connreset(int error)
{
    return error == ECONNRESET || error == ECONNABORTED || error == EPIPE || error == ETIMEDOUT;
}
