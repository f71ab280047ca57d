// The calls of Linux AIO that wait for events. They are C because their callers may be unwound through them: a signal
// handler may end the thread there. Embedded Swift has no unwind tables.

#ifndef REAPS_H
#define REAPS_H

/// The words after the system call that Swift may use of `place`, a struct reaping.
enum { LIBAIO_REAPING_WORDS = 16 };

// Swift's. Each returns the number of events, a negative errno, or DROP_IN_SLEEPS: then it goes on with what the sleep
// returned. `mask` is the address of a signal mask, or 0; `looks_first`: as libaio, which asks for nothing if it sees
// that there is nothing.
long libaio_begin_reaping(
    void *place, unsigned long context, long least, long most, unsigned long events, unsigned long timeout,
    unsigned long mask, _Bool looks_first);
long libaio_go_on_reaping(void *place, long slept);

/// What io_pgetevents(2) has for its mask: its address at `mask`. 0, or negative EFAULT or EINVAL.
long libaio_read_signal_mask(unsigned long signals, unsigned long *mask);

/// All of it.
long libaio_reap(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long mask,
    _Bool looks_first);

#endif
