// A system call that may sleep for long, as a value: for those who make it elsewhere than where it is put together.

#ifndef CK_SLEEPING_CALL_H
#define CK_SLEEPING_CALL_H

#include "linux_aio.h"
#include "polling.h"
#include "system_call.h"

struct ck_sleeping_call {
    long number;
    long arguments[6];
    // What the arguments may point at: it has to stay where it is.
    struct ck_timespec time;
    struct ck_pollfd descriptor;
    struct ck_aio_signal_mask mask;
};

/// Makes the call. Returns what the kernel does.
static inline long ck_make_sleeping_call(const struct ck_sleeping_call *call) {
    const long *arguments = call->arguments;
    return ck_system_call_6(
        call->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

#endif
