// Sleeping in the kernel, for what the libraries put together in Swift.

#ifndef SLEEPS_H
#define SLEEPS_H

#include <limits.h>

/// What Swift returns for "make the call that I have put together, and tell me what came of it".
static const long DROP_IN_SLEEPS = LONG_MIN;

/// Makes the call at `call`, a struct ck_sleeping_call, while the thread can be cancelled as `type` says
/// (pthread_setcanceltype(3)); it is PTHREAD_CANCEL_DEFERRED before and after. Returns what the kernel does.
///
/// The thread may never come back: it may be cancelled, or a signal handler may end it or jump elsewhere. So nothing
/// may be held that somebody else waits for.
long drop_in_sleep(const void *call, int type);

#endif
