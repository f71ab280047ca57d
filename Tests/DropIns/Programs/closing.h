// Ways in which a program closes descriptors that it does not know.
#pragma once

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

static const char *const closing_kinds[] = {
    "closefrom", "close_range", "a loop over close", "the system call close_range by syscall(2)", "dup2 and dup3 onto each",
};
enum { CLOSING_KINDS = 5, DESCRIPTORS_MAX = 1024 };

static inline void limit_descriptors(void) {
    struct rlimit limit = {DESCRIPTORS_MAX, DESCRIPTORS_MAX};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) { broken("setrlimit"); }
}

/// Closes all numbers from `first` on.
static inline void close_all(int kind, int first) {
    switch (kind) {
    case 0: closefrom(first); break;
    case 1: close_range((unsigned)first, ~0u, 0); break;
    case 2: for (int number = first; number < DESCRIPTORS_MAX; number++) { close(number); } break;
    case 3: syscall(SYS_close_range, (unsigned)first, ~0u, 0); break;
    default:
        for (int number = first; number < DESCRIPTORS_MAX; number++) {
            if ((number % 2 ? dup2(0, number) : dup3(0, number, O_CLOEXEC)) == number) { close(number); }
        }
    }
}

/// Opens the program's own file under all free numbers, and returns their count.
static inline int open_own(const char *path) {
    int count = 0;
    while (open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0) { count++; }
    return count;
}

enum { INTERRUPTIONS = 3000 };

static volatile sig_atomic_t interruptions, close_error;

/// close(2) is async-signal-safe.
static inline void close_in_handler(int signal) {
    (void)signal;
    int kept = errno;
    if (close(DESCRIPTORS_MAX + 1) != 0) { close_error = errno; }
    errno = kept;
    interruptions++;
}

/// Handlers close descriptors on a thread that does so itself all the time, of numbers from which on the library has
/// its own. A timer interrupts it: another thread would first have to get a processor, each time.
static inline void closes_in_handlers(void) {
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = close_in_handler}, NULL);
    struct sigevent here = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1, ._sigev_un._tid = gettid()};
    struct itimerspec often = {{0, 50000}, {0, 50000}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &here, &timer) != 0 || timer_settime(timer, 0, &often, NULL) != 0) {
        broken("timer");
    }
    int error = 0;
    while (interruptions < INTERRUPTIONS) {
        if (close(DESCRIPTORS_MAX + 1) != 0) { error = errno; }
    }
    timer_delete(timer);
    fact_result("outside of handlers", -error);
    fact_result("within handlers", -close_error);
}
