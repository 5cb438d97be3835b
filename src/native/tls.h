/* TLS of one accepted socket, over the standard library's ssl.
 *
 * OpenSSL works on two memory BIOs, and the system calls are tornadoc's own: what one recv() gives goes into the incoming BIO,
 * the records that the outgoing BIO has for an answer leave in one send(). An ssl.SSLSocket on the descriptor would read each
 * record's header and body apart, ask once more for what is not there, and send each record by itself; it could not be
 * edge-triggered without an exception for each EAGAIN. */
#ifndef NATIVE_TLS_H
#define NATIVE_TLS_H

#include "module.h"

#include <stdbool.h>

#include "core/outbuf.h"
#include "core/status.h"

struct tls {
    struct native_state *state;
    PyObject
        *object;   /* owned ssl.SSLObject, which the ssl module gives to callbacks; this and the next three NULL once cleared */
    PyObject *ssl; /* owned: its _sslobj */
    PyObject *incoming;       /* owned ssl.MemoryBIO */
    PyObject *outgoing;       /* the same */
    PyObject *failure;        /* owned exception that came behind good input, or NULL */
    struct td_outbuf records; /* to be sent */
    size_t in_flight;         /* bytes at the front of the plaintext output whose records are not all sent */
    size_t received;          /* bytes of the last recv() */
    bool handshaking;
    bool unread;  /* incoming may hold more than has been taken out */
    bool arrived; /* the kernel may have input: set by events */
    bool ended;   /* the peer has said that it is done */
};

/* TLS of the server's side in a context (borrowed). NULL with an exception. */
struct tls *tls_new(struct native_state *state, PyObject *context);
/* Lets go of what is held. Pointers to it stay valid until tls_free. */
void tls_clear(struct tls *self);
void tls_free(struct tls *self);
int tls_traverse(const struct tls *self, visitproc visit, void *arg);

/* Does the handshake and receives: up to size bytes of plaintext. TD_OK with *count > 0; TD_AGAIN: nothing until an event;
 * TD_PARTIAL: nothing yet, call again (at once if the handshake is done since, else in another turn); TD_EOF: also because it was
 * cleared meanwhile; TD_SYS with errno; TD_BAD with an exception. peer_ended: an event said that there is an end of file to read.
 */
TD_MUST_CHECK enum td_status tls_receive(struct tls *self, int fd, char *room, size_t size, bool peer_ended, size_t *count);
/* Sends as much of out (plaintext) as the kernel takes; what is not sent stays in it. Statuses as of td_sock_send, and TD_BAD
 * with an exception. */
TD_MUST_CHECK enum td_status tls_send(struct tls *self, int fd, struct td_outbuf *out);
/* Tells the peer that nothing more comes (RFC 9112 9.8), as far as the socket takes it. Keeps a pending exception. */
void tls_say_goodbye(struct tls *self, int fd);

#endif
