/* See wakeup.h. */
#include "wakeup.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum td_status td_wakeup_init(struct td_wakeup *wakeup)
{
    wakeup->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return wakeup->fd < 0 ? TD_SYS : TD_OK;
}

void td_wakeup_destroy(struct td_wakeup *wakeup)
{
    if (wakeup->fd >= 0) {
        close(wakeup->fd);
        wakeup->fd = -1;
    }
}

void td_wakeup_raise(const struct td_wakeup *wakeup)
{
    int saved = errno;
    /* 2**64 of them are needed to fill the counter. */
    uint64_t one = 1;
    ssize_t ignored = write(wakeup->fd, &one, sizeof(one));
    (void)ignored;
    errno = saved;
}
