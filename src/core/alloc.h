/* Allocation for src/core: libc's, with a counter that tests can arm, and a pool of blocks for I/O buffers. */
#ifndef TD_ALLOC_H
#define TD_ALLOC_H

#include <stddef.h>

#define TD_BLOCK_SIZE 16384 /* bytes of one pooled I/O block */

void *td_malloc(size_t size);
void *td_realloc(void *memory, size_t size);
void td_free(void *memory);

/* A block of TD_BLOCK_SIZE bytes, from a small free list; NULL without memory. Callers hold the GIL (or are single-threaded). */
void *td_block_take(void);
void td_block_give(void *block);

/* Tests: the allocation after `count` more successful ones fails, once; negative disarms. */
void td_alloc_fail_after(long count);

#endif
