/* The epoll set: which callback an event reaches while callbacks remove, close, reuse, add, free and stop. */
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#include "alloc.h"
#include "check.h"

enum { MANY = 300 };

#define EVENTS (EPOLLIN | EPOLLET)

struct watch {
    int fd;
    uint32_t slot;
    int calls;
    uint32_t events;
    int result;
    void (*action)(struct watch *self); /* NULL: none */
};

static struct td_poller poller;
static struct watch watches[MANY];

static int on_event(void *owner, uint32_t events)
{
    struct watch *self = owner;
    self->calls++;
    self->events = events;
    int result = self->result;
    if (self->action != NULL) {
        self->action(self); /* may free self */
    }
    return result;
}

static void start(void)
{
    CHECK(td_poller_init(&poller) == TD_OK, "init: %d", errno);
    memset(watches, 0, sizeof watches);
    for (int i = 0; i < MANY; i++) {
        watches[i].fd = -1;
    }
}

static void finish(void)
{
    for (int i = 0; i < MANY; i++) {
        if (watches[i].fd >= 0) {
            close(watches[i].fd);
        }
    }
    td_poller_destroy(&poller);
}

static void add(struct watch *watch)
{
    watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(watch->fd >= 0, "eventfd: %d", errno);
    CHECK(td_poller_add(&poller, watch->fd, EVENTS, on_event, watch, &watch->slot) == TD_OK, "add: %d", errno);
}

static void signal_it(const struct watch *watch)
{
    uint64_t one = 1;
    ssize_t written = write(watch->fd, &one, sizeof one);
    CHECK(written == sizeof one, "write: %d", errno);
}

static void remove_it(struct watch *watch)
{
    td_poller_remove(&poller, watch->fd, watch->slot);
    close(watch->fd);
    watch->fd = -1;
}

static int total_calls(void)
{
    int sum = 0;
    for (int i = 0; i < MANY; i++) {
        sum += watches[i].calls;
    }
    return sum;
}

static void test_events_reach_their_owner(void)
{
    start();
    CHECK(td_poller_fetch(&poller) == 0 && td_poller_dispatch(&poller) == 0, "nothing is registered");
    for (int i = 0; i < 10; i++) {
        add(&watches[i]);
    }
    CHECK(td_poller_fetch(&poller) == 0, "nothing is ready");
    signal_it(&watches[3]);
    signal_it(&watches[7]);
    CHECK(td_poller_fetch(&poller) == 2 && td_poller_dispatch(&poller) == 0, "two are ready");
    for (int i = 0; i < 10; i++) {
        CHECK(watches[i].calls == (i == 3 || i == 7), "watch %d: %d calls", i, watches[i].calls);
    }
    CHECK(watches[3].events == EPOLLIN, "%#x", watches[3].events);
    CHECK(td_poller_fetch(&poller) == 0, "edges are told once");
    signal_it(&watches[3]);
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0 && watches[3].calls == 2, "a new edge");
    finish();
}

/* Input and output of one registration come together. */
static void test_both_directions_at_once(void)
{
    start();
    int ends[2];
    CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "pipe");
    watches[0].fd = ends[1];
    CHECK(td_poller_add(&poller, ends[1], EPOLLIN | EPOLLOUT | EPOLLET, on_event, &watches[0], &watches[0].slot) == TD_OK, "add");
    close(ends[0]);
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0, "ready");
    CHECK((watches[0].events & (EPOLLOUT | EPOLLERR)) == (EPOLLOUT | EPOLLERR), "%#x", watches[0].events);
    finish();
}

/* -- removing -- */

static struct watch *const pair[] = {&watches[0], &watches[1]};

/* Closes the other one; a new descriptor gets its number, and with it, most likely, its slot. */
static void replace_other(struct watch *self)
{
    struct watch *other = self == pair[0] ? pair[1] : pair[0];
    int number = other->fd;
    uint32_t slot = other->slot;
    remove_it(other);
    struct watch *heir = &watches[2];
    add(heir);
    if (heir->fd != number) {
        CHECK(fcntl(number, F_GETFD) < 0, "the number is free");
        td_poller_remove(&poller, heir->fd, heir->slot);
        CHECK(dup3(heir->fd, number, O_CLOEXEC) == number, "dup3: %d", errno);
        close(heir->fd);
        heir->fd = number;
        CHECK(td_poller_add(&poller, number, EVENTS, on_event, heir, &heir->slot) == TD_OK, "add");
    }
    CHECK(heir->fd == number && heir->slot == slot, "number and slot are used again");
    self->action = NULL;
}

static void test_stale_event_does_not_reach_the_heir_of_its_descriptor(void)
{
    start();
    add(pair[0]);
    add(pair[1]);
    pair[0]->action = replace_other;
    pair[1]->action = replace_other;
    signal_it(pair[0]);
    signal_it(pair[1]);
    CHECK(td_poller_fetch(&poller) == 2, "one batch");
    CHECK(td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(pair[0]->calls + pair[1]->calls == 1, "one removed the other: %d", pair[0]->calls + pair[1]->calls);
    CHECK(watches[2].calls == 0, "the heir has no event yet");
    signal_it(&watches[2]);
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0 && watches[2].calls == 1, "its own event reaches it");
    finish();
}

static void remove_everything(struct watch *self)
{
    (void)self;
    for (int i = 0; i < 20; i++) {
        remove_it(&watches[i]);
    }
}

static void test_everything_is_removed_by_the_first(void)
{
    start();
    for (int i = 0; i < 20; i++) {
        add(&watches[i]);
        watches[i].action = remove_everything;
        signal_it(&watches[i]);
    }
    CHECK(td_poller_fetch(&poller) == 20 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(total_calls() == 1, "%d calls", total_calls());
    finish();
}

static struct watch *heap_watches[10];
static int heap_calls;

/* Frees itself and its neighbour: their memory is not looked at again. */
static void free_two(struct watch *self)
{
    heap_calls++;
    for (int i = 0; i < 10; i++) {
        if (heap_watches[i] == self) {
            struct watch *neighbour = heap_watches[i ^ 1];
            remove_it(neighbour);
            remove_it(self);
            free(neighbour);
            free(self);
            heap_watches[i] = heap_watches[i ^ 1] = NULL;
            return;
        }
    }
    CHECK(false, "called after it was removed");
}

static void test_owners_are_freed_while_dispatching(void)
{
    start();
    heap_calls = 0;
    for (int i = 0; i < 10; i++) {
        heap_watches[i] = calloc(1, sizeof(struct watch));
        heap_watches[i]->action = free_two;
        add(heap_watches[i]);
        signal_it(heap_watches[i]);
    }
    CHECK(td_poller_fetch(&poller) == 10 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(heap_calls == 5, "%d calls", heap_calls);
    finish();
}

static void test_closed_before_it_is_removed(void)
{
    start();
    add(&watches[0]);
    signal_it(&watches[0]);
    CHECK(td_poller_fetch(&poller) == 1, "in the batch");
    close(watches[0].fd);
    td_poller_remove(&poller, watches[0].fd, watches[0].slot);
    watches[0].fd = -1;
    CHECK(td_poller_dispatch(&poller) == 0 && watches[0].calls == 0, "dropped");
    finish();
}

/* -- stopping -- */

static void test_stop_keeps_the_rest_of_the_batch(void)
{
    start();
    for (int i = 0; i < 10; i++) {
        add(&watches[i]);
        watches[i].result = -1;
        signal_it(&watches[i]);
    }
    CHECK(td_poller_fetch(&poller) == 10, "a batch");
    for (int done = 1; done <= 10; done++) {
        CHECK(td_poller_dispatch(&poller) == -1, "stopped");
        CHECK(total_calls() == done, "%d calls", total_calls());
        /* An edge that comes now has to wait: fetching would overwrite those of the batch. */
        CHECK(done == 10 || td_poller_fetch(&poller) == 10 - done, "what is left of it");
    }
    for (int i = 0; i < 10; i++) {
        CHECK(watches[i].calls == 1, "watch %d: %d calls", i, watches[i].calls);
    }
    CHECK(td_poller_dispatch(&poller) == 0 && td_poller_fetch(&poller) == 0, "nothing is left");
    finish();
}

static void test_removed_between_a_stop_and_the_rest(void)
{
    start();
    for (int i = 0; i < 4; i++) {
        add(&watches[i]);
        signal_it(&watches[i]);
        watches[i].result = -1;
    }
    CHECK(td_poller_fetch(&poller) == 4 && td_poller_dispatch(&poller) == -1, "stopped");
    for (int i = 0; i < 4; i++) {
        remove_it(&watches[i]);
    }
    for (int i = 4; i < 8; i++) {
        add(&watches[i]);
    }
    CHECK(td_poller_dispatch(&poller) == 0 && total_calls() == 1, "%d calls", total_calls());
    finish();
}

static void destroy(struct watch *self)
{
    (void)self;
    td_poller_destroy(&poller);
}

static void test_destroyed_by_a_callback(void)
{
    start();
    for (int i = 0; i < 5; i++) {
        add(&watches[i]);
        watches[i].action = destroy;
        signal_it(&watches[i]);
    }
    CHECK(td_poller_fetch(&poller) == 5 && td_poller_dispatch(&poller) == 0 && total_calls() == 1, "%d calls", total_calls());
    CHECK(td_poller_dispatch(&poller) == 0 && td_poller_fetch(&poller) == 0 && total_calls() == 1, "nothing is left");
    finish();
}

static int on_other_event(void *owner, uint32_t events)
{
    return on_event(owner, events);
}

static void remove_the_next(struct watch *self)
{
    if (self[1].fd >= 0) {
        remove_it(&self[1]);
    }
}

static void test_one_kind_of_callback_ahead_of_the_others(void)
{
    start();
    for (int i = 0; i < 10; i++) {
        add(&watches[i]);
        if (i % 2) {
            poller.slots[watches[i].slot].fn = on_other_event;
        }
        signal_it(&watches[i]);
    }
    watches[5].action = remove_the_next;
    watches[7].result = -1;
    CHECK(td_poller_fetch(&poller) == 10, "a batch");
    CHECK(td_poller_dispatch_only(&poller, on_other_event) == -1 && total_calls() == 4, "%d calls", total_calls());
    CHECK(td_poller_dispatch_only(&poller, on_other_event) == 0 && total_calls() == 5, "the rest of its kind");
    CHECK(td_poller_dispatch_only(&poller, on_other_event) == 0 && total_calls() == 5, "once each");
    CHECK(td_poller_fetch(&poller) == 10, "the batch is still there");
    CHECK(td_poller_dispatch(&poller) == 0, "dispatched");
    for (int i = 0; i < 10; i++) {
        CHECK(watches[i].calls == (i != 6), "watch %d: %d calls", i, watches[i].calls);
    }
    finish();
}

/* -- slots -- */

static void add_many(struct watch *self)
{
    (void)self;
    for (int i = 2; i < MANY; i++) {
        add(&watches[i]);
    }
}

static void test_slots_grow_while_dispatching(void)
{
    start();
    add(&watches[0]);
    add(&watches[1]);
    watches[0].action = add_many;
    signal_it(&watches[0]);
    signal_it(&watches[1]);
    CHECK(poller.slot_count < MANY, "it has to grow");
    CHECK(td_poller_fetch(&poller) == 2 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(watches[0].calls == 1 && watches[1].calls == 1 && poller.slot_count >= MANY, "%u slots", poller.slot_count);
    static bool taken[4 * MANY];
    memset(taken, 0, sizeof taken);
    for (int i = 0; i < MANY; i++) {
        CHECK(watches[i].slot < poller.slot_count && !taken[watches[i].slot], "slot %u", watches[i].slot);
        taken[watches[i].slot] = true;
        signal_it(&watches[i]);
    }
    watches[0].action = NULL;
    int fetched = td_poller_fetch(&poller);
    CHECK(fetched == TD_POLL_BATCH && td_poller_dispatch(&poller) == 0, "a full batch: %d", fetched);
    fetched = td_poller_fetch(&poller);
    CHECK(fetched == MANY - TD_POLL_BATCH && td_poller_dispatch(&poller) == 0, "and the rest: %d", fetched);
    for (int i = 0; i < MANY; i++) {
        CHECK(watches[i].calls == (i < 2 ? 2 : 1), "watch %d: %d calls", i, watches[i].calls);
    }
    finish();
}

static void test_slots_are_used_again(void)
{
    start();
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 60; i++) {
            watches[i] = (struct watch){.fd = -1};
            add(&watches[i]);
        }
        for (int i = 0; i < 60; i += 7) {
            signal_it(&watches[i]);
        }
        CHECK(td_poller_fetch(&poller) == 9 && td_poller_dispatch(&poller) == 0 && total_calls() == 9, "%d calls", total_calls());
        for (int i = 0; i < 60; i++) {
            remove_it(&watches[(i * 7 + round) % 60]);
        }
    }
    CHECK(poller.slot_count == 64, "%u slots for 60", poller.slot_count);
    for (int i = 0; i < 5000; i++) {
        watches[0] = (struct watch){.fd = -1};
        add(&watches[0]);
        signal_it(&watches[0]);
        CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0 && watches[0].calls == 1, "use %d", i);
        remove_it(&watches[0]);
    }
    CHECK(poller.slot_count == 64, "%u slots for one", poller.slot_count);
    finish();
}

/* -- changing, failing -- */

static void test_modify(void)
{
    start();
    watches[0].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(td_poller_add(&poller, watches[0].fd, EPOLLIN, on_event, &watches[0], &watches[0].slot) == TD_OK, "add");
    signal_it(&watches[0]);
    for (int i = 1; i <= 3; i++) {
        CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0 && watches[0].calls == i,
              "as long as it is ready");
    }
    CHECK(td_poller_modify(&poller, watches[0].fd, 0, watches[0].slot) == TD_OK, "no events");
    CHECK(td_poller_fetch(&poller) == 0, "silent");
    CHECK(td_poller_modify(&poller, watches[0].fd, EPOLLIN, watches[0].slot) == TD_OK, "events again");
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0 && watches[0].calls == 4, "told again");
    errno = 0;
    CHECK(td_poller_modify(&poller, -1, EPOLLIN, watches[0].slot) == TD_SYS && errno == EBADF, "errno %d", errno);
    finish();
}

static void test_failures(void)
{
    start();
    uint32_t slot = 12345;
    errno = 0;
    CHECK(td_poller_add(&poller, -1, EVENTS, on_event, &watches[0], &slot) == TD_SYS && errno == EBADF, "errno %d", errno);
    int file = memfd_create("file", MFD_CLOEXEC);
    CHECK(td_poller_add(&poller, file, EVENTS, on_event, &watches[0], &slot) == TD_SYS && errno == EPERM, "errno %d", errno);
    close(file);
    add(&watches[0]);
    CHECK(td_poller_add_new(&poller, watches[0].fd, EVENTS, on_event, &watches[1], &slot) == TD_SYS && errno == EEXIST,
          "errno %d", errno);
    CHECK(slot == 12345, "no slot was given");
    for (int i = 1; i < 64; i++) {
        add(&watches[i]);
    }
    CHECK(poller.slot_count == 64, "failures take no slots: %u", poller.slot_count);
    watches[64].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    td_alloc_fail_after(0);
    CHECK(td_poller_add(&poller, watches[64].fd, EVENTS, on_event, &watches[64], &watches[64].slot) == TD_NOMEM, "no memory");
    td_alloc_fail_after(-1);
    CHECK(poller.slot_count == 64, "%u slots", poller.slot_count);
    CHECK(td_poller_add(&poller, watches[64].fd, EVENTS, on_event, &watches[64], &watches[64].slot) == TD_OK, "with memory");
    signal_it(&watches[64]);
    signal_it(&watches[0]);
    CHECK(td_poller_fetch(&poller) == 2 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(watches[0].calls == 1 && watches[1].calls == 0 && watches[64].calls == 1, "the first registration stands");
    finish();
}

static void test_a_registration_that_must_be_new(void)
{
    start();
    add(&watches[0]);
    uint32_t slot;
    CHECK(td_poller_add_new(&poller, watches[0].fd, EVENTS, on_event, &watches[1], &slot) == TD_SYS && errno == EEXIST,
          "it is there already");
    signal_it(&watches[0]);
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(watches[0].calls == 1 && watches[1].calls == 0, "the first registration stands");
    watches[1].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(td_poller_add_new(&poller, watches[1].fd, EVENTS, on_event, &watches[1], &watches[1].slot) == TD_OK, "new");
    signal_it(&watches[1]);
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(watches[1].calls == 1, "called");
    finish();
}

static void test_forgotten_leaves_the_heir_of_its_descriptor_alone(void)
{
    start();
    add(&watches[0]);
    int number = watches[0].fd;
    int other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(dup3(other, number, O_CLOEXEC) == number && close(other) == 0, "the number is another's");
    CHECK(td_poller_add(&poller, number, EVENTS, on_event, &watches[1], &watches[1].slot) == TD_OK, "registered");
    td_poller_forget(&poller, watches[0].slot);
    watches[0].fd = -1;
    watches[1].fd = number;
    signal_it(&watches[1]);
    CHECK(td_poller_fetch(&poller) == 1 && td_poller_dispatch(&poller) == 0, "dispatched");
    CHECK(watches[0].calls == 0 && watches[1].calls == 1, "the heir is called");
    finish();
}

static void on_alarm(int number)
{
    (void)number;
}

static void test_wait(void)
{
    start();
    add(&watches[0]);
    CHECK(td_poller_wait(&poller, 0) == 0, "nothing to wait for");
    CHECK(td_poller_wait(&poller, 1) == 0, "the time is over");
    signal_it(&watches[0]);
    CHECK(td_poller_wait(&poller, -1) == 1, "ready");
    CHECK(td_poller_wait(&poller, -1) == 1, "the batch that waits is not fetched over");
    CHECK(td_poller_dispatch(&poller) == 0 && watches[0].calls == 1, "dispatched once: %d", watches[0].calls);
    finish();
}

static void test_signal_ends_a_wait(void)
{
    start();
    struct sigaction action = {.sa_handler = on_alarm}, before;
    CHECK(sigaction(SIGALRM, &action, &before) == 0, "a handler");
    /* Again and again: the first may come before the wait. */
    struct itimerval timer = {.it_interval.tv_usec = 2000, .it_value.tv_usec = 2000}, off = {0};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0, "an alarm");
    int count = td_poller_wait(&poller, -1);
    int error = errno;
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0 && sigaction(SIGALRM, &before, NULL) == 0, "as before");
    CHECK(count == -1 && error == EINTR, "count %d, errno %d", count, error);
    CHECK(td_poller_fetch(&poller) == 0, "and nothing is there");
    finish();
}

int main(void)
{
    test_wait();
    test_signal_ends_a_wait();
    test_events_reach_their_owner();
    test_both_directions_at_once();
    test_stale_event_does_not_reach_the_heir_of_its_descriptor();
    test_everything_is_removed_by_the_first();
    test_owners_are_freed_while_dispatching();
    test_closed_before_it_is_removed();
    test_stop_keeps_the_rest_of_the_batch();
    test_removed_between_a_stop_and_the_rest();
    test_destroyed_by_a_callback();
    test_one_kind_of_callback_ahead_of_the_others();
    test_slots_grow_while_dispatching();
    test_slots_are_used_again();
    test_modify();
    test_failures();
    test_a_registration_that_must_be_new();
    test_forgotten_leaves_the_heir_of_its_descriptor_alone();
    return check_result("poller");
}
