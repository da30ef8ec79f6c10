// SPDX-License-Identifier: MIT
// datagrams: messages over UDP, each flow a connected socket of its own.
#pragma once

#include "traffic.h"

// NULL without memory.
struct traffic *datagrams_create(const struct settings *settings);
