// Threads, locks and clocks: libc's, since those are not system calls alone.

#ifndef CK_THREADS_H
#define CK_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

static const int32_t CK_PR_SET_PDEATHSIG = 1;
static const int32_t CK_PR_SET_NAME = 15;
static const int32_t CK_PR_GET_NO_NEW_PRIVS = 39;

/// A number of the calling thread, which no other thread of the process has or will have.
static inline uint64_t ck_thread_number(void) {
    static uint64_t last = 1ull << 32;
    // Initial-exec: the drop-in libraries would otherwise need ld.so for its address (__tls_get_addr).
    static __thread uint64_t number __attribute__((tls_model("initial-exec")));
    // Relaxed: only that they differ matters.
    if (number == 0) number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    return number;
}

#endif
