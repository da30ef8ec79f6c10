// SPDX-License-Identifier: MIT
// datagrams: messages over UDP, each flow a connected socket of its own.
#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include "traffic.h"

// NULL without memory.
struct traffic *datagrams_create(const struct settings *settings);

#endif
