// The parts of POSIX AIO's structures, and of threads, that Swift cannot express.

#ifndef DI_POSIX_AIO_H
#define DI_POSIX_AIO_H

#include <aio.h>
#include <signal.h>

/// The fields of a control block that are private to glibc, and here to this library.
static inline int *di_error_word(struct aiocb *block) { return &block->__error_code; }
static inline int *di_index_word(struct aiocb *block) { return &block->__abs_prio; }
static inline ssize_t *di_return_word(struct aiocb *block) { return &block->__return_value; }

/// A function to call on a thread of its own, for SIGEV_THREAD.
struct di_notice {
    void (*function)(union sigval value);
    union sigval value;
    /// Called by the new thread once it has read the other fields.
    void (*release)(struct di_notice *notice);
    struct di_notice *next;
};

/// Starts the thread, with `attributes`, or detached if that is NULL. Returns 0 or pthread_create(3)'s error.
int di_start_notice(struct di_notice *notice, const pthread_attr_t *attributes);

#endif
