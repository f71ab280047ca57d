#include "posix_waits.h"

#include "sleeps.h"

#include <errno.h>
#include <pthread.h>

#include "../../../Sources/CKernel/sleeping_call.h"

struct posix_wait {
    struct ck_sleeping_call call;
    long words[POSIX_AIO_WAIT_WORDS];
};

/// Defers cancellation while Swift code runs, which may hold a lock.
static int enter(void) {
    int before;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before);
    return before;
}

static int leave(int before, long error) {
    if (before != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(before, NULL); }
    if (error == 0) { return 0; }
    errno = (int)error;
    return -1;
}

int aio_suspend(const struct aiocb *const list[], int count, const struct timespec *timeout) {
    struct posix_wait wait;
    int before = enter();
    long error = posix_aio_begin_suspending(&wait, list, count, timeout);
    // As in glibc, a cancellation point only while it sleeps.
    while (error == DROP_IN_SLEEPS) {
        error = posix_aio_go_on_suspending(&wait, drop_in_sleep(&wait.call, PTHREAD_CANCEL_ASYNCHRONOUS));
    }
    return leave(before, error);
}

int lio_listio(int mode, struct aiocb *const list[], int count, struct sigevent *event) {
    struct posix_wait wait;
    int before = enter();
    long error = posix_aio_begin_listing(&wait, mode, list, count, event);
    // As in glibc, not a cancellation point.
    while (error == DROP_IN_SLEEPS) {
        error = posix_aio_go_on_listing(&wait, drop_in_sleep(&wait.call, before));
    }
    return leave(before, error);
}

// On 64-bit Linux the functions with 64 in their names are the same.
int aio_suspend64(const struct aiocb *const list[], int count, const struct timespec *timeout)
    __attribute__((alias("aio_suspend")));
int lio_listio64(int mode, struct aiocb *const list[], int count, struct sigevent *event)
    __attribute__((alias("lio_listio")));
