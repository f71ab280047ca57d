#include "sleeps.h"

#include <pthread.h>

// CKernel belongs to the parent package. SwiftPM shows its headers to Swift targets only, hence the relative path.
#include "../../../Sources/CKernel/sleeping_call.h"

long drop_in_sleep(const void *call, int type) {
    // glibc's cancellation points did the same before 2.41. Setting the type to asynchronous acts on a pending
    // cancellation.
    if (type != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(type, NULL); }
    long result = ck_make_sleeping_call(call);
    if (type != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL); }
    return result;
}
