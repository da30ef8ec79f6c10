// SPDX-License-Identifier: MIT
// Every life with every balance against the table below, and the table against ARCHITECTURE.md.
#include "unit.h"

#include "core/life.h"

enum { FLAGS = 16 };

static bool output_unsent(const struct balance *balance)
{
    return balance->unsent;
}

static bool turn_used_up(const struct balance *balance)
{
    return balance->outcome == TURN_AGAIN;
}

static bool role_closes(const struct balance *balance)
{
    return balance->outcome == TURN_CLOSE;
}

static bool fin_came(const struct balance *balance)
{
    return balance->ended;
}

static bool server_ends(const struct balance *balance)
{
    return balance->over;
}

static bool kernel_owes(const struct balance *balance)
{
    return !balance->flushed;
}

static bool otherwise(const struct balance *balance)
{
    (void)balance;
    return true;
}

struct rule {
    bool (*holds)(const struct balance *balance);
    const char *words;
    enum life next;
};

static const char *const name[LIVES] = {"READING", "WRITING", "FLUSHING", "GOODBYE", "CLOSED"};

// The first rule that holds says what follows.
#define AFTER_A_TURN                                                                               \
    {                                                                                              \
        {output_unsent, "output is unsent", LIFE_WRITING},                                         \
            {turn_used_up, "the turn was used up", LIFE_WRITING},                                  \
            {role_closes, "the role closes", LIFE_FLUSHING},                                       \
            {fin_came, "FIN came", LIFE_FLUSHING},                                                 \
            {server_ends, "the server ends", LIFE_FLUSHING}, {otherwise, "else", LIFE_READING},    \
    }

static const struct {
    const char *waits_for;
    struct rule rules[6];
} table[LIVES] = {
    [LIFE_READING] = {"input", AFTER_A_TURN},
    [LIFE_WRITING] = {"room to send", AFTER_A_TURN},
    [LIFE_FLUSHING] = {"the kernel to have sent all",
                       {{kernel_owes, "it has not", LIFE_FLUSHING},
                        {fin_came, "FIN came", LIFE_CLOSED},
                        {otherwise, "else", LIFE_GOODBYE}}},
    [LIFE_GOODBYE] = {"FIN, 2 s at most",
                      {{fin_came, "FIN came", LIFE_CLOSED}, {otherwise, "else", LIFE_GOODBYE}}},
    [LIFE_CLOSED] = {"nothing", {{otherwise, "always", LIFE_CLOSED}}},
};

static enum life by_the_table(enum life life, const struct balance *balance)
{
    const struct rule *rule = table[life].rules;

    while (!rule->holds(balance))
        rule++;
    return rule->next;
}

TEST(every_pair_is_as_the_table_has_it)
{
    for (enum life life = 0; life < LIVES; life++)
        for (unsigned flags = 0; flags < FLAGS; flags++)
            for (enum outcome outcome = 0; outcome <= TURN_CLOSE; outcome++) {
                struct balance balance = {outcome, flags & 1, flags & 2, flags & 4, flags & 8};

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

        for (const struct rule *rule = table[life].rules; rule->holds; rule++) {
            length +=
                snprintf(line + length, sizeof line - (size_t)length, "%s%s → %s",
                         rule == table[life].rules ? "" : "; ", rule->words, name[rule->next]);
            if (rule->holds == otherwise)
                break;
        }
        snprintf(line + length, sizeof line - (size_t)length, " |\n");
        if (!strstr(document, line))
            fail_msg("ARCHITECTURE.md has no line %s", line);
    }
}
