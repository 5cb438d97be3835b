/* The heap of deadlines: order, changes from inside callbacks, and random operations beside a naive model. */
#include "timers.h"

#include "alloc.h"
#include "check.h"
#include "clock.h"

enum { MANY = 300 };

struct entry {
    struct td_timer timer;
    int id;
    void (*action)(struct entry *self); /* NULL: none */
    int result;
};

static struct td_timers timers;
static struct entry entries[MANY];
static int ran[4096]; /* ids, in the order they ran */
static size_t ran_count;

static int run_entry(void *owner)
{
    struct entry *self = owner;
    CHECK(self->timer.index == TD_TIMER_IDLE, "timer %d is out of the heap while it runs", self->id);
    if (ran_count < COUNT_OF(ran)) {
        ran[ran_count++] = self->id;
    }
    if (self->action != NULL) {
        self->action(self);
    }
    return self->result;
}

static void start(void)
{
    timers = (struct td_timers){0};
    ran_count = 0;
    for (int i = 0; i < MANY; i++) {
        entries[i] = (struct entry){.id = i};
        td_timer_init(&entries[i].timer, run_entry, &entries[i]);
    }
}

static void set(int id, uint64_t deadline)
{
    CHECK(td_timers_set(&timers, &entries[id].timer, deadline) == TD_OK, "timer %d", id);
}

static void check_ran(const char *what, size_t count, const int *ids)
{
    CHECK(ran_count == count, "%s: %zu ran, not %zu", what, ran_count, count);
    for (size_t i = 0; i < count && i < ran_count; i++) {
        CHECK(ran[i] == ids[i], "%s: place %zu has timer %d, not %d", what, i, ran[i], ids[i]);
    }
    ran_count = 0;
}

#define RAN(what, ...) check_ran(what, COUNT_OF(((int[]){__VA_ARGS__})), (int[]){__VA_ARGS__})
#define RAN_NOTHING(what) check_ran(what, 0, NULL)

static void test_order(void)
{
    start();
    CHECK(td_timers_next(&timers) == TD_NEVER, "nothing is due");
    CHECK(td_timers_run(&timers, 5) == 0, "nothing to run");
    td_timers_remove(&timers, &entries[0].timer);
    set(0, 30);
    set(1, 10);
    set(2, 20);
    CHECK(td_timers_next(&timers) == 10, "the earliest");
    CHECK(td_timers_run(&timers, 9) == 0, "a whole run");
    RAN_NOTHING("before the first deadline");
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("up to and with the deadline", 1, 2);
    CHECK(td_timers_next(&timers) == 30, "the rest waits");
    td_timers_remove(&timers, &entries[0].timer);
    td_timers_remove(&timers, &entries[0].timer);
    CHECK(td_timers_next(&timers) == TD_NEVER && timers.count == 0, "removed, twice");
    td_timers_destroy(&timers);
    CHECK(timers.heap == NULL && timers.capacity == 0, "destroyed");
    td_timers_destroy(&timers);
}

static void test_first_in_first_out_among_equals(void)
{
    start();
    int expected[MANY];
    for (int i = 0; i < MANY; i++) {
        int id = i * 7 % MANY; /* each once: 7 does not divide MANY */
        set(id, 5);
        expected[i] = id;
    }
    CHECK(td_timers_run(&timers, 5) == 0, "a whole run");
    check_ran("equals", MANY, expected);
    set(0, 5);
    set(1, 5);
    set(2, 5);
    set(0, 5);
    CHECK(td_timers_run(&timers, 5) == 0, "a whole run");
    RAN("a timer that is set again goes to the end", 1, 2, 0);
    td_timers_destroy(&timers);
}

static void test_moving(void)
{
    start();
    for (int i = 0; i < 10; i++) {
        set(i, 100 + (uint64_t)i);
    }
    set(9, 1);
    set(0, 200);
    set(5, 105);
    CHECK(timers.count == 10, "moved, not added: %zu", timers.count);
    CHECK(td_timers_run(&timers, 1000) == 0, "a whole run");
    RAN("earlier, later, and the same", 9, 1, 2, 3, 4, 5, 6, 7, 8, 0);
    td_timers_destroy(&timers);

    start();
    set(0, 0);
    CHECK(td_timers_run(&timers, 0) == 0, "a whole run");
    RAN("at zero", 0);
    set(0, TD_NEVER);
    CHECK(td_timers_run(&timers, TD_NEVER - 1) == 0, "a whole run");
    RAN_NOTHING("never");
    td_timers_destroy(&timers);
}

static void remove_next_two(struct entry *self)
{
    td_timers_remove(&timers, &entries[self->id + 1].timer);
    td_timers_remove(&timers, &entries[self->id + 2].timer);
    td_timers_remove(&timers, &self->timer);
}

static void postpone_next(struct entry *self)
{
    set(self->id + 1, 1000);
}

static void set_self_now(struct entry *self)
{
    set(self->id, 20);
}

static void set_self_in_the_past(struct entry *self)
{
    set(self->id, 1);
}

static void add_future(struct entry *self)
{
    set(self->id + 100, 21);
}

static void grow(struct entry *self)
{
    (void)self;
    for (int i = 100; i < MANY; i++) {
        set(i, 500);
    }
}

static void test_changes_inside_callbacks(void)
{
    start();
    for (int i = 0; i < 6; i++) {
        set(i, 10 + (uint64_t)i);
    }
    entries[1].action = remove_next_two;
    entries[4].action = postpone_next;
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("removed and postponed", 0, 1, 4);
    CHECK(td_timers_next(&timers) == 1000 && timers.count == 1, "the postponed one is left");
    td_timers_remove(&timers, &entries[5].timer);

    entries[0].action = add_future;
    entries[1].action = grow;
    set(0, 10);
    set(1, 11);
    set(2, 12);
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("the heap may move while it runs", 0, 1, 2);
    CHECK(timers.count == MANY - 100, "%zu", timers.count);
    td_timers_destroy(&timers);
}

static void test_due_timers_set_while_running_wait(void)
{
    start();
    entries[0].action = set_self_now;
    set(0, 10);
    set(1, 11);
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("due at once, in the next run", 0, 1);
    CHECK(td_timers_next(&timers) <= 20, "it is due");
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("that one", 0);
    td_timers_destroy(&timers);

    /* Its deadline is before all others: they have to run all the same, or it keeps them out for ever. */
    start();
    entries[0].action = set_self_in_the_past;
    set(0, 10);
    set(1, 11);
    set(2, 12);
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("one that is set to the past holds nobody up", 0, 1, 2);
    entries[0].action = NULL;
    CHECK(td_timers_run(&timers, 20) == 0, "a whole run");
    RAN("its turn comes", 0);
    td_timers_destroy(&timers);
}

static void test_stop(void)
{
    start();
    entries[1].result = -1;
    for (int i = 0; i < 4; i++) {
        set(i, 10);
    }
    CHECK(td_timers_run(&timers, 10) == -1, "a callback stops the run");
    RAN("up to it", 0, 1);
    CHECK(timers.count == 2 && td_timers_next(&timers) == 10, "the rest stays");
    CHECK(td_timers_run(&timers, 10) == 0, "a whole run");
    RAN("the rest", 2, 3);
    td_timers_destroy(&timers);
}

static void test_out_of_memory(void)
{
    start();
    td_alloc_fail_after(0);
    CHECK(td_timers_set(&timers, &entries[0].timer, 5) == TD_NOMEM, "the first growth");
    CHECK(entries[0].timer.index == TD_TIMER_IDLE && timers.count == 0, "as it was");
    size_t full = 0;
    while (full == 0 || timers.count < timers.capacity) {
        set((int)full, 5);
        full++;
    }
    td_alloc_fail_after(0);
    CHECK(td_timers_set(&timers, &entries[full].timer, 1) == TD_NOMEM, "a later growth");
    CHECK(entries[full].timer.index == TD_TIMER_IDLE && timers.count == full && td_timers_next(&timers) == 5, "as it was");
    td_alloc_fail_after(0);
    CHECK(td_timers_set(&timers, &entries[0].timer, 3) == TD_OK, "moving needs no memory");
    td_alloc_fail_after(-1);
    CHECK(td_timers_next(&timers) == 3, "moved");
    td_timers_destroy(&timers);
}

/* The model: for each timer whether it is set, for when, and when it was set. */
static struct {
    bool set;
    bool late; /* set by a callback for a time that had passed: its place among others is left open */
    uint64_t deadline;
    uint64_t order;
} model[MANY];
static uint64_t model_order;
static uint64_t model_now;
static uint64_t run_limit; /* model_order when the run began */
static int last_run;       /* the last timer that ran and was not late; -1: none */
static uint64_t last_deadline;
static uint64_t last_order;
static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % limit);
}

static void model_set(int id, uint64_t deadline)
{
    set(id, deadline);
    model[id].set = true;
    model[id].late = deadline < model_now;
    model[id].deadline = deadline;
    model[id].order = model_order++;
}

static void model_remove(int id)
{
    td_timers_remove(&timers, &entries[id].timer);
    model[id].set = false;
}

static void random_action(struct entry *self)
{
    int id = self->id;
    CHECK(model[id].set && model[id].deadline <= model_now && model[id].order < run_limit, "timer %d is not due", id);
    if (!model[id].late) {
        bool in_order = last_run < 0 || last_deadline < model[id].deadline ||
                        (last_deadline == model[id].deadline && last_order < model[id].order);
        CHECK(in_order, "timer %d behind timer %d", id, last_run);
        last_run = id;
        last_deadline = model[id].deadline;
        last_order = model[id].order;
    }
    model[id].set = false;
    int other = (int)random_below(MANY);
    switch (random_below(8)) {
    case 0:
        model_set(other, model_now + 1 + random_below(50));
        break;
    case 1:
        model_set(id, model_now / 2);
        break;
    case 2:
        model_set(other, model_now);
        break;
    case 3:
        model_remove(other);
        break;
    default:
        break;
    }
    self->result = random_below(20) == 0 ? -1 : 0;
}

static void check_heap(void)
{
    size_t count = 0;
    uint64_t next = TD_NEVER;
    for (int i = 0; i < MANY; i++) {
        size_t index = entries[i].timer.index;
        CHECK(model[i].set == (index != TD_TIMER_IDLE), "timer %d", i);
        if (model[i].set) {
            count++;
            CHECK(index < timers.count && timers.heap[index] == &entries[i].timer, "timer %d knows its place", i);
            next = entries[i].timer.deadline < next ? entries[i].timer.deadline : next;
        }
    }
    CHECK(timers.count == count && td_timers_next(&timers) == next, "%zu timers, not %zu", timers.count, count);
}

static void test_random_operations(uint64_t seed)
{
    start();
    random_state = seed;
    model_order = 0;
    model_now = 1000;
    memset(model, 0, sizeof model);
    for (int i = 0; i < MANY; i++) {
        entries[i].action = random_action;
    }
    for (int step = 0; step < 20000; step++) {
        int id = (int)random_below(MANY);
        uint32_t choice = random_below(20);
        if (choice < 10) {
            model_set(id, model_now + random_below(choice < 5 ? 4 : 200));
        }
        else if (choice < 15) {
            model_remove(id);
        }
        else {
            model_now += random_below(10);
            run_limit = model_order;
            last_run = -1;
            ran_count = 0;
            if (td_timers_run(&timers, model_now) == 0) {
                for (int i = 0; i < MANY; i++) {
                    CHECK(!model[i].set || model[i].deadline > model_now || model[i].order >= run_limit,
                          "seed %llu step %d: timer %d was due", (unsigned long long)seed, step, i);
                }
            }
        }
        if (step % 16 == 0) {
            check_heap();
        }
    }
    td_timers_destroy(&timers);
}

static void test_taking_what_is_due(void)
{
    start();
    CHECK(td_timers_take_due(&timers, 100) == NULL, "an empty heap");
    set(0, 20);
    set(1, 10);
    set(2, 20);
    set(3, 21);
    CHECK(td_timers_take_due(&timers, 9) == NULL, "too early");
    CHECK(td_timers_take_due(&timers, 20) == &entries[1].timer && entries[1].timer.index == TD_TIMER_IDLE, "the earliest");
    CHECK(td_timers_take_due(&timers, 20) == &entries[0].timer, "first in");
    CHECK(td_timers_take_due(&timers, 20) == &entries[2].timer, "first out");
    CHECK(td_timers_take_due(&timers, 20) == NULL && td_timers_next(&timers) == 21, "the last one waits");
    set(0, TD_NEVER);
    CHECK(td_timers_take_due(&timers, TD_NEVER) == &entries[3].timer, "at the end of time, all are due");
    CHECK(td_timers_take_due(&timers, TD_NEVER) == &entries[0].timer && timers.count == 0, "those without an end as well");
    td_timers_destroy(&timers);
}

int main(void)
{
    test_taking_what_is_due();
    test_order();
    test_first_in_first_out_among_equals();
    test_moving();
    test_changes_inside_callbacks();
    test_due_timers_set_while_running_wait();
    test_stop();
    test_out_of_memory();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        test_random_operations(seed * UINT64_C(0x9e3779b97f4a7c15));
    }
    return check_result("timers");
}
