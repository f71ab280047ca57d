// Ways in which a program closes descriptors that it does not know.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

enum { INTERRUPTIONS = 5000 };

static volatile sig_atomic_t interruptions, close_error;

/// close(2) is async-signal-safe.
static inline void close_in_handler(int signal) {
    (void)signal;
    int kept = errno;
    if (close(DESCRIPTORS_MAX + 1) != 0) { close_error = errno; }
    errno = kept;
    interruptions++;
}

static inline void *interrupt(void *argument) {
    const pthread_t *thread = argument;
    while (interruptions < INTERRUPTIONS) {
        int before = interruptions;
        pthread_kill(*thread, SIGUSR1);
        while (interruptions == before) { sched_yield(); }
    }
    return NULL;
}

/// Handlers close descriptors on a thread that does so itself all the time, of numbers from which on the library has
/// its own.
static inline void closes_in_handlers(void) {
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = close_in_handler}, NULL);
    pthread_t self = pthread_self(), other = start_thread(interrupt, &self);
    int error = 0;
    while (interruptions < INTERRUPTIONS) {
        if (close(DESCRIPTORS_MAX + 1) != 0) { error = errno; }
    }
    pthread_join(other, NULL);
    fact_result("outside of handlers", -error);
    fact_result("within handlers", -close_error);
}
