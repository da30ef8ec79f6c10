// SPDX-License-Identifier: MIT
// datagrams: messages over UDP, each flow a connected socket of its own.
#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include "flow.h"

extern const struct traffic datagrams_traffic;

// NULL without memory.
struct datagrams *datagrams_create(const struct bench *bench);
void datagrams_destroy(struct datagrams *datagrams);

#endif
