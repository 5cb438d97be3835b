/* What ends a wait in the epoll set: edges of an eventfd that nobody reads. */
#include "wakeup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#include "check.h"
#include "poller.h"

static struct td_poller poller;
static struct td_wakeup wakeup;
static uint32_t slot;
static int calls;

static int on_wakeup(void *owner, uint32_t events)
{
    CHECK(owner == &wakeup && (events & EPOLLIN), "an input event of the owner: %u", events);
    calls++;
    return 0;
}

static void start(void)
{
    calls = 0;
    CHECK(td_poller_init(&poller) == TD_OK && td_wakeup_init(&wakeup) == TD_OK, "init: %d", errno);
    CHECK(td_poller_add(&poller, wakeup.fd, EPOLLIN | EPOLLET, on_wakeup, &wakeup, &slot) == TD_OK, "add: %d", errno);
}

static void finish(void)
{
    td_poller_remove(&poller, wakeup.fd, slot);
    td_wakeup_destroy(&wakeup);
    CHECK(wakeup.fd == -1, "destroyed");
    td_wakeup_destroy(&wakeup); /* a second time does nothing */
    td_poller_destroy(&poller);
}

static void test_each_raise_is_an_edge(void)
{
    start();
    CHECK(td_poller_wait(&poller, 0) == 0, "quiet at first");
    for (int i = 1; i <= 3; i++) {
        td_wakeup_raise(&wakeup);
        CHECK(td_poller_wait(&poller, -1) == 1 && td_poller_dispatch(&poller) == 0 && calls == i, "edge %d: %d calls", i, calls);
        CHECK(td_poller_wait(&poller, 0) == 0, "told once");
    }
    td_wakeup_raise(&wakeup);
    td_wakeup_raise(&wakeup);
    CHECK(td_poller_wait(&poller, -1) == 1 && td_poller_dispatch(&poller) == 0 && calls == 4, "two before a wait are one event");
    finish();
}

static void *raise_it(void *unused)
{
    (void)unused;
    td_wakeup_raise(&wakeup);
    return NULL;
}

static void test_another_thread_ends_a_wait(void)
{
    start();
    for (int i = 1; i <= 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, raise_it, NULL) == 0, "a thread");
        CHECK(td_poller_wait(&poller, -1) == 1 && td_poller_dispatch(&poller) == 0, "woken");
        CHECK(pthread_join(thread, NULL) == 0 && calls == i, "calls: %d", calls);
    }
    finish();
}

static void test_errno_is_left_alone(void)
{
    struct td_wakeup none = {.fd = -1};
    errno = ENOTDIR;
    td_wakeup_raise(&none);
    CHECK(errno == ENOTDIR, "errno: %d", errno);
}

static void test_descriptors_run_out(void)
{
    struct rlimit before, small;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0, "the limit");
    small = before;
    small.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0, "a smaller one");
    struct td_wakeup none;
    enum td_status status = td_wakeup_init(&none);
    int error = errno;
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0, "as before");
    CHECK(status == TD_SYS && error == EMFILE && none.fd == -1, "status %d, errno %d, fd %d", status, error, none.fd);
}

int main(void)
{
    test_each_raise_is_an_edge();
    test_another_thread_ends_a_wait();
    test_errno_is_left_alone();
    test_descriptors_run_out();
    return check_result("wakeup");
}
