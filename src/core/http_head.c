/* Lookups in a parsed request head, and its reference count. */
#include "http_head.h"

#include <assert.h>

#include "alloc.h"

void td_head_retain(struct td_head *head)
{
    assert(head->refs > 0 && head->refs < UINT32_MAX);
    head->refs++;
}

void td_head_release(struct td_head *head)
{
    if (head == NULL) {
        return;
    }
    assert(head->refs > 0);
    if (--head->refs == 0) {
        td_free(head);
    }
}

static const struct td_field *find_from(const struct td_head *head, const struct td_field *field, const char *lower_name)
{
    const struct td_field *end = head->fields + head->field_count;
    size_t len = strlen(lower_name);
    for (; field < end; field++) {
        if (field->name_len == len && td_span_is_nocase(td_field_name(head, field), lower_name)) {
            return field;
        }
    }
    return NULL;
}

const struct td_field *td_head_search(const struct td_head *head, const char *lower_name)
{
    return find_from(head, head->fields, lower_name);
}

const struct td_field *td_head_find_next(const struct td_head *head, const struct td_field *field, const char *lower_name)
{
    return find_from(head, field + 1, lower_name);
}

size_t td_head_combine(const struct td_head *head, const char *lower_name, char *out, size_t size)
{
    size_t total = 0;
    const struct td_field *field = td_head_find(head, lower_name);
    for (bool first = true; field != NULL; first = false, field = td_head_find_next(head, field, lower_name)) {
        if (!first) {
            if (total < size) {
                out[total] = ',';
            }
            total++;
        }
        if (total < size) {
            size_t room = size - total;
            memcpy(out + total, head->text + field->value, field->value_len < room ? field->value_len : room);
        }
        total += field->value_len;
    }
    return total;
}
