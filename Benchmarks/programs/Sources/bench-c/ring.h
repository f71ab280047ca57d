// A ring as plain as it can be, for the peers: without liburing, so that they need nothing but the kernel's headers.
#ifndef RING_H
#define RING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stddef.h>

struct ring {
    int descriptor;
    unsigned submitted, staged, mask, completion_mask;
    unsigned completion_head;
    _Atomic unsigned *tail, *completion_head_shared, *completion_tail;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
};

/// Makes a ring for `depth` operations that one thread submits and waits for.
void ring_open(struct ring *ring, unsigned depth);

/// Hands over what is staged, and waits for `count` completions.
void ring_submit_and_wait(struct ring *ring, unsigned count);

/// The next entry, cleared. There is one, since no peer stages more than the ring's depth.
static inline struct io_uring_sqe *ring_entry(struct ring *ring) {
    struct io_uring_sqe *entry = &ring->entries[ring->staged++ & ring->mask];
    *entry = (struct io_uring_sqe){0};
    return entry;
}

static inline void ring_stage_transfer(
    struct ring *ring, int opcode, int file, void *memory, unsigned count, long offset, unsigned long context) {
    struct io_uring_sqe *entry = ring_entry(ring);
    entry->opcode = (unsigned char)opcode;
    entry->fd = file;
    entry->addr = (unsigned long)memory;
    entry->len = count;
    entry->off = (unsigned long)offset;
    entry->user_data = context;
}

/// The oldest completion, or null. `ring_release` gives back what was taken.
static inline struct io_uring_cqe *ring_completion(struct ring *ring) {
    // Acquire: the kernel has written the completion before it moved the tail.
    if (ring->completion_head == atomic_load_explicit(ring->completion_tail, memory_order_acquire)) return NULL;
    return &ring->completions[ring->completion_head++ & ring->completion_mask];
}

static inline void ring_release(struct ring *ring) {
    // Release: the completions have been read before the kernel may write over them.
    atomic_store_explicit(ring->completion_head_shared, ring->completion_head, memory_order_release);
}

#endif
