// SPDX-License-Identifier: MIT
// What the proofs assume of the C library's functions on bytes, told about char: the pointers that
// the proved files hand over are such.
#ifndef PROVE_STRING_H
#define PROVE_STRING_H

#include <stddef.h>

/*@ requires n == 0 || \valid_read(s + (0 .. n - 1));
    terminates \true;
    assigns \result \from s, s[0 .. n - 1], c, n;
    ensures \result == \null ==> \forall integer i; 0 <= i < n ==> s[i] != c;
    ensures \result != \null ==> 0 <= \result - s < n && \result == s + (\result - s) &&
                                *\result == c;
    ensures \result != \null ==> \exists integer i; 0 <= i < n && s[i] == c;
    ensures \result != \null ==> \forall integer i; 0 <= i < \result - s ==> s[i] != c;
*/
char *memchr(const char *s, int c, size_t n);

/*@ requires n == 0 || \valid_read(s + (0 .. n - 1));
    terminates \true;
    assigns \result \from s, s[0 .. n - 1], c, n;
    ensures \result == \null ==> \forall integer i; 0 <= i < n ==> s[i] != c;
    ensures \result != \null ==> 0 <= \result - s < n && \result == s + (\result - s) &&
                                *\result == c;
    ensures \result != \null ==> \forall integer i; \result - s < i < n ==> s[i] != c;
*/
char *memrchr(const char *s, int c, size_t n);

/*@ requires n == 0 || \valid(to + (0 .. n - 1));
    requires n == 0 || \valid_read(from + (0 .. n - 1));
    requires n == 0 || \separated(to + (0 .. n - 1), from + (0 .. n - 1));
    terminates \true;
    assigns to[0 .. n - 1], \result \from from[0 .. n - 1], to, n;
    ensures \forall integer i; 0 <= i < n ==> to[i] == \old(from[i]);
*/
char *memcpy(char *to, const char *from, size_t n);

/*@ requires n == 0 || \valid(s + (0 .. n - 1));
    terminates \true;
    assigns s[0 .. n - 1] \from c;
    assigns \result \from s;
    ensures \forall integer i; 0 <= i < n ==> s[i] == (char)c;
*/
char *memset(char *s, int c, size_t n);

/*@ requires n == 0 || \valid_read(a + (0 .. n - 1));
    requires n == 0 || \valid_read(b + (0 .. n - 1));
    terminates \true;
    assigns \result \from a[0 .. n - 1], b[0 .. n - 1], n;
    ensures \result == 0 <==> (\forall integer i; 0 <= i < n ==> a[i] == b[i]);
*/
int memcmp(const char *a, const char *b, size_t n);

/*@ axiomatic strings {
      logic integer length_of(char *s) reads s[0 ..];
      predicate is_string(char *s) = 0 <= length_of(s) <= 0x7fffffff &&
          \valid_read(s + (0 .. length_of(s))) && s[length_of(s)] == 0 &&
          \forall integer i; 0 <= i < length_of(s) ==> s[i] != 0;
    }
*/

/*@ requires is_string(s);
    terminates \true;
    assigns \result \from s[0 ..];
    ensures \result == length_of(s);
*/
size_t strlen(const char *s);

#endif
