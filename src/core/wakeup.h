/* What another thread or a signal handler writes to, so that a wait in the epoll set ends: an eventfd. */
#ifndef TD_WAKEUP_H
#define TD_WAKEUP_H

#include "status.h"

struct td_wakeup {
    int fd; /* to be watched edge-triggered, so that nobody reads it; -1 when there is none */
};

/* TD_SYS with errno; fd is then -1. */
TD_MUST_CHECK enum td_status td_wakeup_init(struct td_wakeup *wakeup);
void td_wakeup_destroy(struct td_wakeup *wakeup);
/* Gives the descriptor an edge: each call ends a wait. Safe in any thread and in signal handlers; errno is left alone. */
void td_wakeup_raise(const struct td_wakeup *wakeup);

#endif
