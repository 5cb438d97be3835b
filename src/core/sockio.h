/* The system calls of a connected or listening socket, each in one place with its errors sorted. */
#ifndef TD_SOCKIO_H
#define TD_SOCKIO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "outbuf.h"
#include "status.h"

/* Receives up to len bytes. TD_OK with *count > 0, TD_AGAIN, TD_EOF, TD_SYS with errno. */
TD_MUST_CHECK enum td_status td_sock_recv(int fd, char *data, size_t len, size_t *count);
/* Sends as much of out as the kernel takes. TD_OK: all of it; TD_AGAIN: the kernel is full; TD_SYS with errno. */
TD_MUST_CHECK enum td_status td_sock_send(int fd, struct td_outbuf *out);
/* Accepts one connection, close-on-exec. TD_OK, TD_AGAIN (none is waiting), TD_SYS with errno. Connections that were gone before
 * they could be accepted are passed over; after many of them in a row, TD_AGAIN gives other work its turn. */
TD_MUST_CHECK enum td_status td_sock_accept(int listener, bool nonblocking, int *fd, struct sockaddr_storage *peer,
                                            socklen_t *peer_len);
/* Did the peer (or the network) end the connection? IOStream._is_connreset. */
bool td_errno_is_connreset(int error);

#endif
