// SPDX-License-Identifier: MIT
// churn: a TCP connection for each message: connect, one line, close.
#pragma once

#include "traffic.h"

// NULL without memory.
struct traffic *churn_create(const struct settings *settings);
