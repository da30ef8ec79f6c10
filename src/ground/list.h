// SPDX-License-Identifier: MIT
// list: a circular doubly linked list whose links are members of the objects in it.
// Every operation is O(1). A list owns nothing; a link that is in no list points to itself.
#pragma once

#include <stdbool.h>

struct list {
    struct list *previous, *next;
};

static inline void list_init(struct list *list)
{
    list->previous = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

// Puts LINK, which is in no list, at the end of LIST.
static inline void list_append(struct list *list, struct list *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

// Takes LINK out of its list, if it is in one.
static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

// Makes TO a list of all that was in FROM, in its order, and FROM an empty one.
static inline void list_move_all(struct list *to, struct list *from)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = *from;
    to->previous->next = to->next->previous = to;
    list_init(from);
}
