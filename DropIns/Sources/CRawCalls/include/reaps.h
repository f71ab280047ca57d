// The Linux AIO calls that wait for events. They are written in C because their frames may be unwound: a thread may be
// cancelled in them, or a signal handler may end it there. Embedded Swift has no unwind tables.

#ifndef REAPS_H
#define REAPS_H

/// How many words Swift may use behind the system call in `place`, a struct reaping.
enum { LIBAIO_REAPING_WORDS = 16 };

// Implemented in Swift. Each returns the number of events, a negative errno, or DROP_IN_SLEEPS. After the last the
// caller makes the prepared call and passes its result to libaio_go_on_reaping. `mask` is the address of a signal mask
// or 0. With `looks_first`, as in libaio, the ring is looked at first, and an empty one with a zero timeout returns 0
// at once.
long libaio_begin_reaping(
    void *place, unsigned long context, long least, long most, unsigned long events, unsigned long timeout,
    unsigned long mask, _Bool looks_first);
long libaio_go_on_reaping(void *place, long slept);

/// Stores the address of the mask in io_pgetevents(2)'s argument `signals` at `mask`. Returns 0, or negative EFAULT or
/// EINVAL.
long libaio_read_signal_mask(unsigned long signals, unsigned long *mask);

/// The whole call: begins, sleeps and continues until it has a result.
long libaio_reap(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long mask,
    _Bool looks_first);

#endif
