// What the C library tells a program about its surroundings, where that would differ from run to run: the time, and
// random bytes. On a thread that runs a simulation both are the simulation's; on every other thread they are the
// system's.
//
// A program that links this has clock_gettime(3), syscall(2) and sem_wait(3) replaced, also as Swift's runtime and
// Foundation call them, but not in a build with a sanitizer: ContinuousClock.now, Date() and
// SystemRandomNumberGenerator are thereby simulated.

#ifndef SIMULATED_PROCESS_H
#define SIMULATED_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CH_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define CH_HAS_SANITIZER 1
#endif
#endif

struct ch_process {
    /// The time of a clock in nanoseconds.
    uint64_t (*time)(void *host, clockid_t clock);
    /// Fills memory with random bytes.
    void (*random)(void *host, void *bytes, size_t count);
    /// Makes a system call of the host's process, and waits if it blocks. Returns a value or a negative errno.
    long (*call)(void *host, long number, const long arguments[6]);
};

/// Sets what stands in for the system on a thread that has a host.
void ch_set_process(struct ch_process process);

/// The host that runs on the calling thread; NULL on a thread that runs no simulation.
void *ch_current_host(void);
void ch_set_current_host(void *host);

/// A system call of the current host's process.
long ch_call(long number, long a, long b, long c, long d, long e, long f);

#endif
