#include "sleeps.h"

#include <pthread.h>

// A module of the package one folder up, whose headers SwiftPM shows to Swift alone.
#include "../../../Sources/CKernel/sleeping_call.h"

long drop_in_sleep(const void *call, int type) {
    // What libc's own cancellation points did until 2.41. Asynchronous, it acts on a cancel that came before as well.
    if (type != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(type, NULL); }
    long result = ck_make_sleeping_call(call);
    if (type != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL); }
    return result;
}
