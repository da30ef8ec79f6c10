// SPDX-License-Identifier: MIT
// prove: says which functions Frama-C's WP has to prove.
//
// A file here includes a file of src/ and declares its functions once more, each with a contract.
// What it says PROVED of is proved. What other modules' functions do is assumed from their
// contracts, which stand in a header if they are proved somewhere: one text is proved and assumed.
// Loops have their annotations in src/, where their variables are.
#pragma once

// The alias makes the compiler refuse a function that the file that is included does not define,
// because it has got another name or another place.
#define PROVED(function)                                                                           \
    extern __typeof__(function) proved_##function __attribute__((alias(#function)))
