// Makes system calls that may sleep and that Swift code has prepared.

#ifndef SLEEPS_H
#define SLEEPS_H

#include <limits.h>

/// What Swift returns for "make the prepared system call, then continue me with its result".
static const long DROP_IN_SLEEPS = LONG_MIN;

/// Makes the call at `call`, a struct ck_sleeping_call, with the cancellation type `type` (pthread_setcanceltype(3)).
/// The type is PTHREAD_CANCEL_DEFERRED before and after. Returns the raw result of the kernel.
///
/// The thread may never return from here: it may be cancelled, or a signal handler may end it or leave by
/// siglongjmp(3). So the caller must not hold a lock or anything else that another thread waits for.
long drop_in_sleep(const void *call, int type);

#endif
