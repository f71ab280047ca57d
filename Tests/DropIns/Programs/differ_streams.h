// Streams of the differential test: feeding them, reading from them, and threads that drain what a blocking write needs
// drained.
#pragma once

#include "differ_files.h"

#include <linux/sockios.h>

struct far_end {
    /// Of all bytes that the test itself read here.
    uint64_t count, sum;
    /// The number of bytes that the test itself wrote to this end's peer.
    uint64_t fed;
    /// How many of the available bytes are claimed by reads in flight.
    int64_t claimed;
    bool isDrained, isOver;
    pthread_t drain;
};

/// For each descriptor of a stream's end: what can be read there.
static struct far_end far_ends[KINDS];

/// Data sent over TCP, or to a terminal, arrive with a delay.
static inline void let_arrive(long kind) {
    int left = 0, count = -1, before;
    for (int tries = 0; kinds[kind].index == TCP && tries < 2000; tries++) {
        if (ioctl(number_of(other_end(kind)), SIOCOUTQ, &left) != 0 || left == 0) { return; }
        usleep(50);  // By time: a pause between two looks.
    }
    for (int tries = 0; kinds[kind].index == TERMINAL && tries < 100; tries++) {
        before = count;
        if (ioctl(number_of(kind), FIONREAD, &count) != 0 || count == before) { return; }
        usleep(1000);  // By time: nothing tells that a terminal has delivered everything.
    }
}

static inline int64_t readable(long kind) {
    int count = 0;
    let_arrive(kind);
    return ioctl(number_of(kind), FIONREAD, &count) == 0 ? count : 0;
}

static inline bool is_ready(long kind, short events) {
    struct pollfd state = {number_of(kind), events, 0};
    return poll(&state, 1, 0) == 1;
}

/// Reads data into a checksum that does not depend on how they are split.
static inline ssize_t take(long kind, size_t most) {
    struct far_end *end = &far_ends[kind];
    uint8_t bytes[16384];
    ssize_t total = 0;
    while ((size_t)total < most) {
        size_t size = most - (size_t)total < sizeof bytes ? most - (size_t)total : sizeof bytes;
        if (!is_ready(kind, POLLIN)) { break; }
        ssize_t count = read(number_of(kind), bytes, size);
        if (count <= 0) { break; }
        for (ssize_t index = 0; index < count; index++) { end->sum = (end->sum ^ bytes[index]) * 0x100000001b3u; }
        end->count += (uint64_t)count;
        total += count;
    }
    return total;
}

static void *drain_stream(void *argument) {
    long kind = (long)argument;
    struct far_end *end = &far_ends[kind];
    while (!__atomic_load_n(&end->isOver, __ATOMIC_ACQUIRE)) {
        struct pollfd state = {number_of(kind), POLLIN, 0};
        // By time: a pause between two looks, since the end of a stream stays readable.
        if (poll(&state, 1, 1) == 1 && take(kind, 1 << 30) == 0) { usleep(500); }
    }
    return NULL;
}

/// Starts a thread that drains this end, so that a blocking write at the other end does not wait for ever.
static inline void begin_draining(long kind) {
    struct far_end *end = &far_ends[kind];
    if (end->isDrained) { return; }
    end->isDrained = true;
    end->isOver = false;
    if (pthread_create(&end->drain, NULL, drain_stream, (void *)kind) != 0) { BROKEN("no thread"); }
}

/// Called when no write is in flight.
static inline void end_draining(long kind) {
    struct far_end *end = &far_ends[kind];
    if (!end->isDrained) { return; }
    __atomic_store_n(&end->isOver, true, __ATOMIC_RELEASE);
    pthread_join(end->drain, NULL);
    end->isDrained = false;
    let_arrive(kind);
    take(kind, 1 << 30);
}

/// Independent of the flags, and without changing them, since operations in flight may depend on them.
static inline ssize_t write_without_waiting(long kind, const void *bytes, size_t size) {
    char path[64];
    switch (kinds[kind].index) {
    case PIPE:
    case PIPE_NONBLOCK:
    case FIFO:
        snprintf(path, sizeof path, "/proc/self/fd/%d", number_of(kind));
        int writing = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        ssize_t count = write(writing, bytes, size);
        int error = errno;
        close(writing);
        errno = error;
        return count;
    case TERMINAL: return write(number_of(kind), bytes, size);
    default: return send(number_of(kind), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static inline ssize_t feed(long kind, size_t size) {
    static uint8_t bytes[65536];
    if (size > sizeof bytes) { size = sizeof bytes; }
    long from = other_end(kind);
    int64_t there = readable(kind);
    // A terminal delivers the bytes later, and only as many as have room then.
    bool is_terminal = kinds[kind].index == TERMINAL;
    if (is_terminal) { size = there > 1000 ? 0 : size % 1000; }
    for (size_t index = 0; index < size; index++) { bytes[index] = (uint8_t)(far_ends[kind].fed + index); }
    if (!is_ready(from, POLLOUT)) { return 0; }
    ssize_t count = write_without_waiting(from, bytes, size);
    int error = errno;
    if (count > 0) { far_ends[kind].fed += (uint64_t)count; }
    // A read in flight may take the data immediately.
    for (int tries = 0; count > 0 && is_terminal && readable(kind) < there + count && tries < 5; tries++) {
        usleep(100);  // By time: a pause between two looks.
    }
    return count < 0 ? -error : count;
}

static inline void tell_streams(void) {
    for (long kind = FIRST_STREAM; kind < FIRST_COUNTER; kind++) {
        if (!is_open[kind]) { continue; }
        end_draining(kind);
        let_arrive(kind);
        take(kind, 1 << 30);
        tell("%s at the end: %lu bytes came, content %016lx, flags %#x", kinds[kind].name, far_ends[kind].count,
            far_ends[kind].sum, fcntl(number_of(kind), F_GETFL));
    }
}
