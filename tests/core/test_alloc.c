/* The allocator: injected failures and the block pool. */
#include "alloc.h"

#include "check.h"

static void test_failures(void)
{
    td_alloc_fail_after(2);
    void *first = td_malloc(1);
    void *second = td_realloc(NULL, 1);
    void *third = td_malloc(1);
    void *fourth = td_malloc(1);
    CHECK(first != NULL && second != NULL, "the first two succeed");
    CHECK(third == NULL, "the third fails");
    CHECK(fourth != NULL, "only once");
    td_alloc_fail_after(0);
    void *same = td_realloc(first, 100);
    CHECK(same == NULL, "realloc fails too, and keeps the memory");
    td_free(first);
    td_free(second);
    td_free(fourth);
    td_free(NULL);
    td_alloc_fail_after(0);
    td_alloc_fail_after(-1);
    void *disarmed = td_malloc(1);
    CHECK(disarmed != NULL, "disarmed");
    td_free(disarmed);
}

static void test_blocks(void)
{
    enum { MANY = 200 };
    static void *blocks[MANY];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            blocks[i] = td_block_take();
            CHECK(blocks[i] != NULL, "block %d", i);
            memset(blocks[i], i, TD_BLOCK_SIZE);
        }
        for (int i = 0; i < MANY; i++) {
            CHECK(*(unsigned char *)blocks[i] == (unsigned char)i, "block %d is its own", i);
            td_block_give(blocks[i]);
        }
    }
    td_block_give(NULL);
    td_alloc_fail_after(0);
    void *failed = td_block_take();
    CHECK(failed == NULL, "a take fails when armed, pool or not");
    void *block = td_block_take();
    CHECK(block != NULL, "and only once");
    td_block_give(block);
}

int main(void)
{
    test_failures();
    test_blocks();
    return check_result("alloc");
}
