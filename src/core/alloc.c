/* Allocation: libc's, an injected failure for tests, and a free list of I/O blocks. */
#include "alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Blocks kept for reuse; 1 MiB at most. Under AddressSanitizer none, so that it sees uses after the return of a block. */
#if defined(__SANITIZE_ADDRESS__)
#define POOL_LIMIT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_LIMIT 0
#endif
#endif
#ifndef POOL_LIMIT
#define POOL_LIMIT 64
#endif

struct free_block {
    struct free_block *next; /* owned; NULL at the end */
};

static struct free_block *pool; /* owned; guarded as the header says */
static unsigned pool_count;

/* Successful allocations left before the failure; negative: none is armed. Atomic because core may be called from threads. */
static atomic_long fail_countdown = -1;

static bool must_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0) {
        return false;
    }
    return atomic_fetch_sub_explicit(&fail_countdown, 1, memory_order_relaxed) == 0;
}

void td_alloc_fail_after(long count)
{
    atomic_store_explicit(&fail_countdown, count < 0 ? -1 : count, memory_order_relaxed);
}

void *td_malloc(size_t size)
{
    return must_fail() ? NULL : malloc(size);
}

void *td_realloc(void *memory, size_t size)
{
    return must_fail() ? NULL : realloc(memory, size);
}

void td_free(void *memory)
{
    free(memory);
}

void *td_block_take(void)
{
    /* A pooled block counts as an allocation too: where a sweep fails must not depend on what ran before it. */
    if (must_fail()) {
        return NULL;
    }
    struct free_block *block = pool;
    if (block == NULL) {
        return malloc(TD_BLOCK_SIZE);
    }
    pool = block->next;
    pool_count--;
    return block;
}

void td_block_give(void *block)
{
    if (block == NULL) {
        return;
    }
    if (pool_count + 1 > POOL_LIMIT) {
        free(block);
        return;
    }
    struct free_block *entry = block;
    entry->next = pool;
    pool = entry;
    pool_count++;
}
