// SPDX-License-Identifier: MIT
// churn: a TCP connection for each message: connect, one line, close.
#ifndef CHURN_H
#define CHURN_H

#include "traffic.h"

// NULL without memory.
struct traffic *churn_create(const struct settings *settings);

#endif
