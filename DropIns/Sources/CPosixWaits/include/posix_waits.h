// aio_suspend and lio_listio, the functions of POSIX AIO that wait. They are written in C because their frames may be
// unwound: aio_suspend is a cancellation point, and a signal handler may end the thread in either. Embedded Swift has
// no unwind tables.

#ifndef POSIX_WAITS_H
#define POSIX_WAITS_H

#include <aio.h>

// Implemented in Swift. `place` is a struct posix_wait, in which Swift keeps the state of the call. Each function
// returns 0, a positive error, or DROP_IN_SLEEPS. After the last the caller makes the prepared call and passes its
// result on.
long posix_aio_begin_suspending(
    void *place, const struct aiocb *const *list, int count, const struct timespec *timeout);
long posix_aio_go_on_suspending(void *place, long slept);
long posix_aio_begin_listing(
    void *place, int mode, struct aiocb *const *list, int count, struct sigevent *event);
long posix_aio_go_on_listing(void *place, long slept);

/// How many words Swift may use behind the system call.
enum { POSIX_AIO_WAIT_WORDS = 12 };

#endif
