#include "ring.h"

#include <err.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *map(int descriptor, size_t size, off_t offset) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, offset);
    if (memory == MAP_FAILED) err(1, "mmap of a ring");
    return memory;
}

void ring_open(struct ring *ring, unsigned depth) {
    struct io_uring_params parameters = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    long made = syscall(SYS_io_uring_setup, depth, &parameters);
    if (made < 0) err(1, "io_uring_setup");
    if (!(parameters.features & IORING_FEAT_SINGLE_MMAP)) errx(1, "the kernel maps a ring in two pieces: too old");
    *ring = (struct ring){.descriptor = (int)made};
    size_t entries = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
    size_t completions = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = map(ring->descriptor, entries > completions ? entries : completions, IORING_OFF_SQ_RING);
    ring->entries = map(ring->descriptor, parameters.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring->tail = (_Atomic unsigned *)(rings + parameters.sq_off.tail);
    ring->mask = *(unsigned *)(rings + parameters.sq_off.ring_mask);
    ring->completion_head_shared = (_Atomic unsigned *)(rings + parameters.cq_off.head);
    ring->completion_tail = (_Atomic unsigned *)(rings + parameters.cq_off.tail);
    ring->completion_mask = *(unsigned *)(rings + parameters.cq_off.ring_mask);
    ring->completions = (struct io_uring_cqe *)(rings + parameters.cq_off.cqes);
    // Entries are used in order, so the array that names them is written once.
    unsigned *array = (unsigned *)(rings + parameters.sq_off.array);
    for (unsigned i = 0; i < parameters.sq_entries; i++) array[i] = i;
}

void ring_submit_and_wait(struct ring *ring, unsigned count) {
    // Release: the entries are written before the kernel sees the tail.
    atomic_store_explicit(ring->tail, ring->staged, memory_order_release);
    for (;;) {
        unsigned staged = ring->staged - ring->submitted;
        long taken = syscall(SYS_io_uring_enter, ring->descriptor, staged, count, IORING_ENTER_GETEVENTS, NULL, 0);
        if (taken < 0 && errno != EINTR) err(1, "io_uring_enter");
        if (taken > 0) ring->submitted += (unsigned)taken;
        if (taken >= 0 && ring->submitted == ring->staged) return;
    }
}
