#define _GNU_SOURCE
#include "simulated_process.h"

#include "system_call.h"

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local void *current_host;
static struct ch_process process;

void ch_set_process(struct ch_process new) { process = new; }
void *ch_current_host(void) { return current_host; }
void ch_set_current_host(void *host) { current_host = host; }

long ch_call(long number, long a, long b, long c, long d, long e, long f) {
    const long arguments[6] = {a, b, c, d, e, f};
    return process.call(current_host, number, arguments);
}

// A sanitizer's runtime replaces these functions as well. It calls them on threads that it no longer knows, where a
// function that is instrumented crashes: with a sanitizer a simulation has the system's clocks and random bytes.
#ifndef CH_HAS_SANITIZER

// The C library's own function, which reads the clock without a system call. Relaxed: every thread finds the same.
static int system_time(clockid_t clock, struct timespec *time) {
    static _Atomic(void *) found;
    void *function = atomic_load_explicit(&found, memory_order_relaxed);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, "clock_gettime");
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    return ((int (*)(clockid_t, struct timespec *))function)(clock, time);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    const uint64_t second = 1000000000;
    if (current_host == NULL) return system_time(clock, time);
    uint64_t now = process.time(current_host, clock);
    time->tv_sec = (time_t)(now / second);
    time->tv_nsec = (long)(now % second);
    return 0;
}

// Swift's runtime has no other way to getrandom(2).
long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
    long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if (current_host != NULL && number == SYS_getrandom) {
        process.random(current_host, (void *)a, (size_t)b);
        return b;
    }
    long result = ck_system_call_6(number, a, b, c, d, e, f);
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

// Relaxed: every thread finds the same.
static int system_wait(sem_t *semaphore) {
    static _Atomic(void *) found;
    void *function = atomic_load_explicit(&found, memory_order_relaxed);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, "sem_wait");
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    return ((int (*)(sem_t *))function)(semaphore);
}

// Who posts it needs the thread that would sleep: a blocking wait of the library lets the simulation go on.
int sem_wait(sem_t *semaphore) {
    if (current_host == NULL) return system_wait(semaphore);
    while (sem_trywait(semaphore) != 0)
        if (ch_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0) < 0) return 0;
    return 0;
}

#endif
