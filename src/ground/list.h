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

// Moves all that is in FROM to the end of TO, in its order.
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->previous = to->previous;
    from->previous->next = to;
    to->previous->next = from->next;
    to->previous = from->previous;
    list_init(from);
}
