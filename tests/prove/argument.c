// SPDX-License-Identifier: MIT
// What is proved of argument.c: an option's number is within its bounds, or its error is named.
#include "prove.h"

#include "ground.h"
#include "number.h"

#include "core/argument.c"

/*@ requires \valid_read(argument) && \valid_read(argument->row) && text_ok(argument->error);
    requires is_string(argument->value) && \valid(number);
    requires argument->row->minimum <= argument->row->maximum <= 1000000000000000000;
    requires \separated(number, argument, argument->row, argument->error,
                        argument->value + (0 .. length_of(argument->value)),
                        argument->error->bytes + (0 .. argument->error->room - 1));
    terminates \true;
    assigns *number, argument->error->length, argument->error->cut,
            argument->error->bytes[argument->error->length .. argument->error->room - 1];
    ensures \result ==> argument->row->minimum <= *number <= argument->row->maximum;
    ensures !\result ==> *number == \old(*number);
*/
bool argument_number(const struct argument *argument, uint64_t *number);
PROVED(argument_number);
