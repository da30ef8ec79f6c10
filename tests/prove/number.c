// SPDX-License-Identifier: MIT
// What is proved of number.c: the parser stays within its text, wraps at no number however long,
// ends, and takes nothing that is more than the maximum. The contract is in number.h.
#include "prove.h"

#include "number.h"

#include "core/number.c"

PROVED(number_parse);
