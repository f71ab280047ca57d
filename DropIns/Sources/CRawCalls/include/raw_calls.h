// Linux AIO through libc's syscall(2) function: `syscall(SYS_io_submit, ...)`, as nginx, MariaDB and others call it.
//
// raw_calls.c defines `syscall`, so that a preloaded libaio.so.1 interposes on libc's. It passes the six Linux AIO
// calls to the functions below, the calls that close descriptors or unshare their table to closes.h and file_tables.h,
// and all others to libc, unchanged. The functions below are implemented in Swift, or in reaps.c. They take plain
// words, since any pointer may be invalid, and return what the kernel would: a value or a negative errno. errno is
// saved and restored around them.

#ifndef RAW_CALLS_H
#define RAW_CALLS_H

#include "reaps.h"

/// io_setup(2): makes a context for `count` operations. The word at `place` must be 0.
long aio_raw_setup(unsigned long count, unsigned long place);

/// io_destroy(2).
long aio_raw_destroy(unsigned long context);

/// io_submit(2): returns how many of the `count` operations were accepted, or the error of the first.
long aio_raw_submit(unsigned long context, long count, unsigned long blocks);

/// io_cancel(2).
long aio_raw_cancel(unsigned long context, unsigned long block, unsigned long event);

/// io_getevents(2).
long aio_raw_getevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout);

/// io_pgetevents(2). `signals` is NULL or points at the kernel's { const sigset_t *mask; size_t size; }. The mask is
/// NULL or has 8 bytes. libaio's function of the same name takes the mask itself.
long aio_raw_pgetevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long signals);

#endif
