// SPDX-License-Identifier: MIT
// What is proved of text.c: it never writes beyond its room. The contracts are in ground.h.
#include "prove.h"

#include "ground.h"

#include "ground/text.c"

PROVED(size_min);
PROVED(text_in);
PROVED(text_bytes);
PROVED(text_string);
PROVED(text_end);
