// aio_suspend and lio_listio: the functions of POSIX AIO that wait. They are C because their callers may be unwound
// through them: aio_suspend is a cancellation point, and a signal handler may end the thread in either. Embedded Swift
// has no unwind tables.

#ifndef POSIX_WAITS_H
#define POSIX_WAITS_H

#include <aio.h>

// Swift's. `place` has room for what Swift keeps of the call: a struct posix_wait. Each returns 0, a positive error, or
// DROP_IN_SLEEPS: then it goes on with what the sleep returned.
long posix_aio_begin_suspending(
    void *place, const struct aiocb *const *list, int count, const struct timespec *timeout);
long posix_aio_go_on_suspending(void *place, long slept);
long posix_aio_begin_listing(
    void *place, int mode, struct aiocb *const *list, int count, struct sigevent *event);
long posix_aio_go_on_listing(void *place, long slept);

/// The words after the call that Swift may use.
enum { POSIX_AIO_WAIT_WORDS = 12 };

#endif
