// The C library's functions that make system calls, as far as the conformance tests use them: on a thread that runs a
// simulation they reach the simulated kernel, and the real one elsewhere. A test program that links this has them
// replaced, so that a test works on simulated files and sockets without a changed line.

#ifndef SIMULATED_LIBRARY_H
#define SIMULATED_LIBRARY_H

#include <stdbool.h>

/// Whether the functions are replaced. Not under ThreadSanitizer and AddressSanitizer, which replace them as well.
bool sl_is_linked(void);

/// Whether the calling thread runs a simulation.
bool sl_is_simulated(void);

/// A system call: returns the value or a negative errno.
long sl_system_call(long number, long a, long b, long c, long d, long e, long f);

#endif
