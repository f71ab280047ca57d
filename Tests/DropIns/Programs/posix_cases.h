// What the test programs for POSIX AIO share.
#pragma once

#include "cases.h"

#include <aio.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#pragma GCC diagnostic ignored "-Wnonnull"

/// A block whose unused fields have values that could mislead a library.
static inline struct aiocb block_of(int file, void *buffer, size_t count, off_t offset) {
    struct aiocb block;
    memset(&block, 0xa5, sizeof block);
    block.aio_fildes = file;
    block.aio_lio_opcode = LIO_NOP;
    block.aio_reqprio = 0;
    block.aio_buf = buffer;
    block.aio_nbytes = count;
    block.aio_offset = offset;
    block.aio_sigevent = (struct sigevent){.sigev_notify = SIGEV_NONE};
    return block;
}

static inline double monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/// Starts a read, and waits until it can no longer be cancelled.
static inline void begin(struct aiocb *reading) {
    do {
        if (aio_read(reading) != 0) { broken("aio_read"); }
        sched_yield();
    } while (aio_cancel(reading->aio_fildes, reading) == AIO_CANCELED);
}

/// Waits for a block, and returns its result or negative errno.
static inline long finish(struct aiocb *block) {
    const struct aiocb *list[] = {block};
    while (aio_error(block) == EINPROGRESS) { aio_suspend(list, 1, NULL); }
    int error = aio_error(block);
    long result = aio_return(block);
    return error ? -error : result;
}

/// Whether it ends within so many milliseconds.
static inline bool ends_within(struct aiocb *block, int milliseconds) {
    const struct aiocb *list[] = {block};
    double end = monotonic_seconds() + milliseconds * 1e-3;
    while (aio_error(block) == EINPROGRESS) {
        double left = end - monotonic_seconds();
        if (left <= 0) { return false; }
        struct timespec limit = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
        aio_suspend(list, 1, &limit);
    }
    return true;
}

static inline long read_now(int file, void *buffer, size_t count, off_t offset) {
    struct aiocb block = block_of(file, buffer, count, offset);
    if (aio_read(&block) != 0) { return -errno; }
    return finish(&block);
}

static inline long write_now(int file, void *buffer, size_t count, off_t offset) {
    struct aiocb block = block_of(file, buffer, count, offset);
    if (aio_write(&block) != 0) { return -errno; }
    return finish(&block);
}

/// The result of a call, and errno if that says more.
static inline void fact_call(const char *what, int result) {
    int error = errno;
    if (result == -1) {
        fact(what, "-1, %s", strerrorname_np(error));
    } else {
        fact(what, "%d", result);
    }
}

static inline void new_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) { broken("pipe2"); }
}

static inline void new_socket_pair(int ends[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) { broken("socketpair"); }
}
