// One turn of a peer: what it measures, and how it reports.
#ifndef TURN_H
#define TURN_H

#include <stdint.h>

/// Begins the measurement: what is done before costs nothing.
void turn_begin(void);
/// Ends the measurement, and prints the figures of `operations` operations as a line of JSON.
void turn_end(long operations);

/// The time in nanoseconds.
uint64_t turn_now(void);
/// Records the latency of one operation, in nanoseconds.
void turn_record(uint64_t latency);

/// The block that the operation of this number is for. The numbers 0 to `blocks` - 1 give each block once, if `blocks`
/// is a power of two; the same order as in `bench-aio`.
static inline long turn_block(long number, long blocks) {
    return (long)(((uint64_t)number * 2654435761u) & (uint64_t)(blocks - 1));
}

/// Opens a file, or ends the program with the reason.
int turn_open(const char *path, int flags);
/// The number of 4 KiB blocks of a file, which has to be a power of two.
long turn_blocks(int file, const char *path);

enum { BLOCK = 4096 };

#endif
