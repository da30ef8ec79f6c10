// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/turn.h"

TEST(a_turn_that_waits_for_more_leaves_a_line_at_most)
{
    static const struct {
        size_t length, done;
        enum outcome outcome;
        bool within;
    } row[] = {
        {0, 0, TURN_MORE, true},      {9, 9, TURN_MORE, true},   {9, 5, TURN_MORE, true},
        {9, 4, TURN_MORE, false},     {9, 10, TURN_MORE, false}, {99, 0, TURN_AGAIN, true},
        {99, 100, TURN_AGAIN, false}, {99, 0, TURN_CLOSE, true},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct turn turn = {.length = row[i].length, .done = row[i].done, .max_line = 4};

        assert_int_equal(turn_within_bounds(&turn, row[i].outcome), row[i].within);
    }
}
