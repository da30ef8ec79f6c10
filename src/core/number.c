// SPDX-License-Identifier: MIT
#include "core/number.h"

bool number_parse(const char *text, size_t length, uint64_t maximum, uint64_t *number)
{
    uint64_t result = 0;

    /*@ loop invariant 0 <= i <= length;
        loop invariant result <= maximum;
        loop assigns i, result;
        loop variant length - i;
    */
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        result = result * 10 + (uint64_t)(text[i] - '0');
        if (result > maximum)
            return false;
    }
    if (length == 0)
        return false;
    *number = result;
    return true;
}
