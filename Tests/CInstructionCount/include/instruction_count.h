#ifndef INSTRUCTION_COUNT_H
#define INSTRUCTION_COUNT_H

/// Starts the process that counts, before the caller has other threads. Returns 0, or a negative errno where a process
/// may not trace its parent (a seccomp filter, Yama).
int instruction_count_start(void);

/// From here on the calling thread executes one instruction at a time, each of which is counted, until
/// `instruction_count_end` on the same thread. System calls are one instruction.
void instruction_count_begin(void);

/// The number of instructions since `instruction_count_begin`, or a negative errno.
long instruction_count_end(void);

#endif
