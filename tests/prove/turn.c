// SPDX-License-Identifier: MIT
// What is proved of turn.c: a reply grows by what is added to it, in its buffer or as bytes of the
// input that stand side by side, and no assertion fails. The contracts are in turn.h.
#include "prove.h"

#include "turn.h"

#include "core/turn.c"

PROVED(reply_echo);
PROVED(reply_text);
PROVED(reply_add);
