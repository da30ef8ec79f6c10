// SPDX-License-Identifier: MIT
// Every life with every balance against the table below, and the table against ARCHITECTURE.md.
#include "unit.h"

#include "core/life.h"

enum { FLAGS = 64 };

enum reason {
    UNSENT,
    USED_UP,
    ROLE_WAITS,
    ROLE_RESETS,
    ROLE_CLOSES,
    FIN_CAME,
    SERVER_ENDS,
    UNOPENED,
    DUE,
    UNFLUSHED,
    ELSE,
    ALWAYS,
};

static const char *const words[] = {
    [UNSENT] = "output is unsent",
    [USED_UP] = "the turn was used up",
    [ROLE_WAITS] = "the role waits",
    [ROLE_RESETS] = "the role resets",
    [ROLE_CLOSES] = "the role closes",
    [FIN_CAME] = "FIN came",
    [SERVER_ENDS] = "the server ends",
    [UNOPENED] = "it has not come whole",
    [DUE] = "it has come",
    [UNFLUSHED] = "it has not",
    [ELSE] = "else",
    [ALWAYS] = "always",
};

static bool holds(enum reason reason, const struct balance *balance)
{
    const bool truth[] = {
        [UNSENT] = balance->unsent,
        [USED_UP] = balance->outcome == TURN_AGAIN,
        [ROLE_WAITS] = balance->outcome == TURN_WAIT,
        [ROLE_RESETS] = balance->outcome == TURN_RESET,
        [ROLE_CLOSES] = balance->outcome == TURN_CLOSE,
        [FIN_CAME] = balance->ended,
        [SERVER_ENDS] = balance->over,
        [UNOPENED] = balance->opening,
        [DUE] = balance->due,
        [UNFLUSHED] = !balance->flushed,
        [ELSE] = true,
        [ALWAYS] = true,
    };

    return truth[reason];
}

struct rule {
    enum reason reason;
    enum life next;
};

static const char *const name[LIVES] = {"OPENING",  "READING", "WRITING", "WAITING",
                                        "FLUSHING", "GOODBYE", "CLOSED"};

// The first rule that holds says what follows.
#define AFTER_A_TURN                                                                               \
    {                                                                                              \
        {UNSENT, LIFE_WRITING}, {USED_UP, LIFE_WRITING}, {ROLE_WAITS, LIFE_WAITING},               \
            {ROLE_RESETS, LIFE_CLOSED}, {ROLE_CLOSES, LIFE_FLUSHING}, {FIN_CAME, LIFE_FLUSHING},   \
            {SERVER_ENDS, LIFE_FLUSHING}, {UNOPENED, LIFE_OPENING}, {ELSE, LIFE_READING},          \
    }

static const struct {
    const char *waits_for;
    struct rule rules[9];
} table[LIVES] = {
    [LIFE_OPENING] = {"what it begins with, 5 s at most", AFTER_A_TURN},
    [LIFE_READING] = {"input", AFTER_A_TURN},
    [LIFE_WRITING] = {"room to send", AFTER_A_TURN},
    [LIFE_WAITING] = {"a time that the role has asked for",
                      {{DUE, LIFE_WRITING}, {ELSE, LIFE_WAITING}}},
    [LIFE_FLUSHING] = {"the kernel to have sent all",
                       {{UNFLUSHED, LIFE_FLUSHING}, {FIN_CAME, LIFE_CLOSED}, {ELSE, LIFE_GOODBYE}}},
    [LIFE_GOODBYE] = {"FIN, 2 s at most", {{FIN_CAME, LIFE_CLOSED}, {ELSE, LIFE_GOODBYE}}},
    [LIFE_CLOSED] = {"nothing", {{ALWAYS, LIFE_CLOSED}}},
};

static enum life by_the_table(enum life life, const struct balance *balance)
{
    const struct rule *rule = table[life].rules;

    while (!holds(rule->reason, balance))
        rule++;
    return rule->next;
}

TEST(every_pair_is_as_the_table_has_it)
{
    for (enum life life = 0; life < LIVES; life++)
        for (unsigned flags = 0; flags < FLAGS; flags++)
            for (enum outcome outcome = 0; outcome <= TURN_SILENT; outcome++) {
                struct balance balance = {.outcome = outcome,
                                          .opening = flags & 1,
                                          .unsent = flags & 2,
                                          .over = flags & 4,
                                          .due = flags & 8,
                                          .flushed = flags & 16,
                                          .ended = flags & 32};

                if (outcome != TURN_FACTS) // the transport's business, never an end of a turn
                    assert_int_equal(life_after(life, &balance), by_the_table(life, &balance));
            }
}

TEST(the_document_shows_the_table)
{
    static char document[1 << 16];
    FILE *file = fopen("ARCHITECTURE.md", "r");

    assert_non_null(file); // unit tests run from the project's root
    document[fread(document, 1, sizeof document - 1, file)] = '\0';
    fclose(file);
    for (enum life life = 0; life < LIVES; life++) {
        char line[512];
        int length = snprintf(line, sizeof line, "| %s | %s | ", name[life], table[life].waits_for);

        for (const struct rule *rule = table[life].rules;; rule++) {
            length += snprintf(line + length, sizeof line - (size_t)length, "%s%s → %s",
                               rule == table[life].rules ? "" : "; ", words[rule->reason],
                               name[rule->next]);
            if (rule->reason >= ELSE)
                break;
        }
        snprintf(line + length, sizeof line - (size_t)length, " |\n");
        if (!strstr(document, line))
            fail_msg("ARCHITECTURE.md has no line %s", line);
    }
}
