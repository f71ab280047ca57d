// Linux AIO through libc's syscall(2) function: `syscall(SYS_io_submit, ...)` as nginx, MariaDB and others do it.
//
// raw_calls.c defines `syscall`, which a preloaded libaio.so.1 so puts in the place of libc's. It hands the six calls
// of Linux AIO to the functions below, and all others to libc's, untouched. The functions are the library's, in Swift.
// They take plain words, since a pointer may be anything, and return what the kernel would: a value, or a negative
// errno. errno itself is the caller's: it is restored after them.

#ifndef RAW_CALLS_H
#define RAW_CALLS_H

#include "reaps.h"

/// io_setup(2): makes a context for so many operations; the word at `place` must be 0 before.
long aio_raw_setup(unsigned long count, unsigned long place);

/// io_destroy(2).
long aio_raw_destroy(unsigned long context);

/// io_submit(2): how many of the `count` were accepted, or why not the first.
long aio_raw_submit(unsigned long context, long count, unsigned long blocks);

/// io_cancel(2).
long aio_raw_cancel(unsigned long context, unsigned long block, unsigned long event);

/// io_getevents(2).
long aio_raw_getevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout);

/// io_pgetevents(2). `signals` is NULL or points at the kernel's { const sigset_t *mask; size_t size; }, the mask NULL
/// or of 8 bytes; libaio's function of that name takes the mask alone.
long aio_raw_pgetevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long signals);

#endif
