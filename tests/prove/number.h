// SPDX-License-Identifier: MIT
// The contract of core/number.h, which number.c proves.
#ifndef PROVE_NUMBER_H
#define PROVE_NUMBER_H

#include "core/number.h"

/*@ requires length == 0 || \valid_read(text + (0 .. length - 1));
    requires maximum <= NUMBER_MAXIMUM && \valid(number);
    requires length == 0 || \separated(number, text + (0 .. length - 1));
    terminates \true;
    assigns *number;
    ensures \result ==> *number <= maximum;
    ensures !\result ==> *number == \old(*number);
*/
bool number_parse(const char *text, size_t length, uint64_t maximum, uint64_t *number);

#endif
