// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

enum { TESTS_MAX = 128 };

static struct CMUnitTest tests[TESTS_MAX];
static size_t count;

__attribute__((weak)) BEFORE_EACH
{
}

__attribute__((weak)) AFTER_EACH
{
}

static int before(void **state)
{
    (void)state;
    unit_before_each();
    return 0;
}

static int after(void **state)
{
    (void)state;
    unit_after_each();
    return 0;
}

void unit_add(const char *name, CMUnitTestFunction test)
{
    if (count == TESTS_MAX)
        abort();
    tests[count++] = (struct CMUnitTest){name, test, before, after, NULL};
}

struct chance chance_start(uint64_t seed)
{
    const char *given = getenv("UNIT_SEED");

    if (given)
        seed = strtoull(given, NULL, 0);
    printf("UNIT_SEED=%llu\n", (unsigned long long)seed);
    return (struct chance){seed};
}

void assert_bytes(const char *bytes, size_t length, const char *expected)
{
    assert_int_equal(length, strlen(expected));
    if (length > 0)
        assert_memory_equal(bytes, expected, length);
}

int main(void)
{
    return _cmocka_run_group_tests(program_invocation_short_name, tests, count, NULL, NULL);
}
