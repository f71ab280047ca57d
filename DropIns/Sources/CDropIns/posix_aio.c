#define _GNU_SOURCE
#include "posix_aio.h"

#include "last_thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>

static void *run_notice(void *argument) {
    struct di_notice *notice = argument;
    void (*function)(union sigval) = notice->function;
    union sigval value = notice->value;
    notice->release(notice);
    // The signal mask is inherited, and the library's threads block all signals. glibc calls the function with none
    // blocked.
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    function(value);
    return NULL;
}

static int start(struct di_notice *notice, const pthread_attr_t *attributes) {
    pthread_t thread;
    if (attributes) { return pthread_create(&thread, attributes, run_notice, notice); }
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int refused = pthread_create(&thread, &detached, run_notice, notice);
    pthread_attr_destroy(&detached);
    return refused;
}

int di_start_notice(struct di_notice *notice, const pthread_attr_t *attributes) {
    char own[16] = "";
    prctl(PR_GET_NAME, own);
    if (strncmp(own, DROP_IN_THREAD, strlen(DROP_IN_THREAD)) != 0) { return start(notice, attributes); }
    // The thread belongs to the program but would inherit the name of the library's thread that starts it.
    prctl(PR_SET_NAME, program_invocation_short_name);
    int refused = start(notice, attributes);
    prctl(PR_SET_NAME, own);
    return refused;
}
