#include "posix_aio.h"

#include <pthread.h>

static void *run_notice(void *argument) {
    struct di_notice *notice = argument;
    void (*function)(union sigval) = notice->function;
    union sigval value = notice->value;
    notice->release(notice);
    // The thread that starts this one blocks what its own program does not expect blocked; glibc blocks nothing here.
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    function(value);
    return NULL;
}

int di_start_notice(struct di_notice *notice, const pthread_attr_t *attributes) {
    pthread_t thread;
    if (attributes) { return pthread_create(&thread, attributes, run_notice, notice); }
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int refused = pthread_create(&thread, &detached, run_notice, notice);
    pthread_attr_destroy(&detached);
    return refused;
}
