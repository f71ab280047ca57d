#include "reaps.h"

#include "raw_calls.h"
#include "sleeps.h"

#include <errno.h>
#include <pthread.h>

#include "../../../Sources/CKernel/sleeping_call.h"

struct reaping {
    struct ck_sleeping_call call;
    long words[LIBAIO_REAPING_WORDS];
};

long libaio_reap(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long mask,
    _Bool looks_first) {
    struct reaping reaping;
    // The system call that the program means is no cancellation point, but with asynchronous cancellation the thread
    // can be cancelled anywhere, so also while it sleeps. It must not be cancelled in Swift code, which may hold a
    // lock.
    int before;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before);
    long result = libaio_begin_reaping(&reaping, context, least, most, events, timeout, mask, looks_first);
    // Refused. The prepared call only delivers the signals that the mask lets through: the kernel installs the mask
    // before it checks anything else.
    if (result == -EINVAL && mask) { drop_in_sleep(&reaping.call, before); }
    while (result == DROP_IN_SLEEPS) { result = libaio_go_on_reaping(&reaping, drop_in_sleep(&reaping.call, before)); }
    if (before != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(before, NULL); }
    return result;
}

long aio_raw_getevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout) {
    return libaio_reap(context, least, most, events, timeout, 0, 0);
}

long aio_raw_pgetevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long signals) {
    unsigned long mask = 0;
    long refused = libaio_read_signal_mask(signals, &mask);
    return refused ? refused : libaio_reap(context, least, most, events, timeout, mask, 0);
}

// The functions of Debian's libaio 0.3.113 that wait, with their symbol versions. The others are exported from Swift.
#define EXPORTED(version) __asm__(version) __attribute__((used))

int libaio_getevents(unsigned long, long, long, unsigned long, unsigned long) EXPORTED("io_getevents@@LIBAIO_0.4");
int libaio_getevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout) {
    return (int)libaio_reap(context, least, most, events, timeout, 0, 1);
}

int libaio_pgetevents(unsigned long, long, long, unsigned long, unsigned long, unsigned long)
    EXPORTED("io_pgetevents@@LIBAIO_0.5");
int libaio_pgetevents(
    unsigned long context, long least, long most, unsigned long events, unsigned long timeout, unsigned long mask) {
    return (int)libaio_reap(context, least, most, events, timeout, mask, 1);
}

int libaio_queue_wait(unsigned long, unsigned long) EXPORTED("io_queue_wait@@LIBAIO_0.4");
int libaio_queue_wait(unsigned long context, unsigned long timeout) {
    return (int)libaio_reap(context, 0, 0, 0, timeout, 0, 1);
}

/// The callback that io_set_callback stores in `data` of a control block.
typedef void callback(unsigned long context, unsigned long block, long result, long result2);

int libaio_queue_run(unsigned long) EXPORTED("io_queue_run@@LIBAIO_0.1");
int libaio_queue_run(unsigned long context) {
    struct ck_io_event event;
    const struct ck_timespec none = {0, 0};
    while (1) {
        long count = libaio_reap(context, 0, 1, (unsigned long)&event, (unsigned long)&none, 0, 1);
        if (count != 1) { return (int)count; }
        ((callback *)event.data)(context, event.object, event.result, event.result2);
    }
}

// Programs that were linked against a libaio older than 0.3.93 use other signatures of these functions.

int libaio_old_getevents(unsigned long, long, unsigned long, unsigned long) EXPORTED("io_getevents@LIBAIO_0.1");
int libaio_old_getevents(unsigned long context, long most, unsigned long events, unsigned long timeout) {
    return (int)libaio_reap(context, 1, most, events, timeout, 0, 1);
}

int libaio_old_queue_wait(unsigned long, unsigned long) EXPORTED("io_queue_wait@LIBAIO_0.1");
int libaio_old_queue_wait(unsigned long context, unsigned long timeout) {
    return (int)libaio_reap(context, 0, 0, 0, timeout, 0, 1);
}
