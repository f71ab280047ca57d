// A fuzzer of libaio: FOLDER SECONDS SEED [system]. Random control blocks, pointers, sizes and orders of calls on
// contexts that all threads share, next to work on private contexts that has to be correct meanwhile. `system` omits
// the calls in which the system's library dereferences pointers.
#include "aio_abi.h"
#include "fuzz.h"

#include <sys/syscall.h>
#include <sys/uio.h>

enum { THREADS = 6, CONTEXTS = 12, BLOCKS = 64, MOST_CHECKED = 16, CHECKED_SIZE = 4096 };

/// Created and destroyed by any thread at any time.
static io_context_t contexts[CONTEXTS];
static double end_time;
static bool isSystem;
static uint64_t calls, checks, forks;

struct worker {
    struct fuzz_random random;
    struct iocb *blocks;
    struct iovec *vectors;
    io_context_t own;
    uint8_t *memory;
};

static io_context_t any_context(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    if (!one_in(random, 20)) { return __atomic_load_n(&contexts[below(random, CONTEXTS)], __ATOMIC_SEQ_CST); }
    return one_in(random, 2) ? bad_address(random) : arena_address(random);
}

/// The system's library dereferences the context and the time limit; for it the system call is made directly.
static long any_getevents(struct worker *worker, io_context_t context, long least, long most, void *events,
    void *limit) {
    if (isSystem || one_in(&worker->random, 3)) {
        long result = syscall(SYS_io_getevents, context, least, most, events, limit);
        return result < 0 ? -errno : result;
    }
    return io_getevents(context, least, most, events, limit);
}

static void fill_vectors(struct worker *worker) {
    for (int index = 0; index < 8; index++) {
        worker->vectors[index] = (struct iovec){any_address(&worker->random), any_size(&worker->random)};
    }
}

static void fill_block(struct worker *worker, struct iocb *one) {
    struct fuzz_random *random = &worker->random;
    const int opcodes[] = {IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_CMD_PREADV, IOCB_CMD_PWRITEV, IOCB_CMD_POLL,
        IOCB_CMD_FDSYNC, IOCB_CMD_NOOP};
    int opcode = one_in(random, 40) ? IOCB_CMD_FSYNC : one_in(random, 30) ? (int)below(random, 65536)
        : opcodes[below(random, 5 + one_in(random, 10) * 2)];
    *one = (struct iocb){.data = random_number(random), .opcode = (uint16_t)opcode,
        .descriptor = any_descriptor(random)};
    one->key = one_in(random, 10) ? below(random, UINT32_MAX) : 0;
    switch (opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PWRITE:
        one->buffer = (uint64_t)(uintptr_t)any_address(random);
        one->count = any_size(random);
        one->offset = any_offset(random);
        break;
    case IOCB_CMD_PREADV:
    case IOCB_CMD_PWRITEV:
        fill_vectors(worker);
        one->buffer = (uint64_t)(uintptr_t)(one_in(random, 10) ? bad_address(random) : worker->vectors);
        one->count = one_in(random, 20) ? random_number(random) : below(random, 9);
        one->offset = any_offset(random);
        break;
    case IOCB_CMD_POLL: one->buffer = one_in(random, 10) ? random_number(random) : below(random, 64); break;
    default: break;
    }
    if (one_in(random, 10)) { one->rw_flags = 1u << below(random, 32); }
    if (one_in(random, 20)) {
        one->flags = below(random, 4), one->eventfd = any_descriptor(random),
            one->priority = (int16_t)random_number(random);
    }
    if (one_in(random, 50)) { one->reserved = random_number(random); }
    if (one_in(random, 50)) { one->offset = any_offset(random), one->count = any_size(random); }
}

static void random_submit(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    struct iocb *list[8];
    for (int index = 0; index < 8; index++) {
        list[index] = &worker->blocks[below(random, BLOCKS)];
        fill_block(worker, list[index]);
        // A pointer into content read from a file, or an invalid one.
        if (one_in(random, 30)) { list[index] = any_address(random); }
    }
    struct iocb **array = one_in(random, 30) ? any_address(random) : list;
    // The arena may contain any pointer values except valid addresses.
    long count = one_in(random, 30) && array != list ? (long)random_number(random) : (long)below(random, 10) - 1;
    if (count > 8) { count = array == list ? 8 : count; }
    io_submit(any_context(worker), count, array);
}

static void random_getevents(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    struct io_event events[32];
    struct timespec limit = {0, one_in(random, 2) ? 0 : (long)below(random, 300000)};
    void *where = one_in(random, 20) ? any_address(random) : events;
    // More events than there is room for only if an inaccessible page follows.
    long most = where == events ? (long)below(random, 34) - 1 : (long)random_number(random);
    long least = one_in(random, 10) ? (long)random_number(random) : (long)below(random, 3);
    if (where == events && most > 32) { most = 32; }
    void *time = one_in(random, 30) && (isSystem || one_in(random, 2)) ? bad_address(random) : &limit;
    // Null would mean to wait for ever. Zeros are a valid limit, and the read-only page contains zeros.
    if (time != &limit && (!time || time == (void *)readonly_page)) { time = &limit; }
    io_context_t context = any_context(worker);
    if (!isSystem && one_in(random, 4)) {
        sigset_t mask;
        sigemptyset(&mask);
        io_pgetevents(context, least, most, where, time, one_in(random, 10) ? bad_address(random) : &mask);
    } else {
        any_getevents(worker, context, least, most, where, time);
    }
}

static void random_cancel(struct worker *worker) {
    struct iocb *one = one_in(&worker->random, 10) ? any_address(&worker->random)
        : &worker->blocks[below(&worker->random, BLOCKS)];
    io_cancel(any_context(worker), one, any_address(&worker->random));
}

static void random_setup(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    io_context_t made = NULL, *slot = &contexts[below(random, CONTEXTS)], none = NULL;
    if (one_in(random, 10)) {
        // Into the read-only page or nowhere: a context created in the arena would be lost.
        io_setup((int)below(random, 100) - 10, bad_address(random));
        return;
    }
    if (io_setup((int)below(random, 200) + 1, &made) != 0) { return; }
    if (!__atomic_compare_exchange_n(slot, &none, made, false, __ATOMIC_SEQ_CST,
        __ATOMIC_SEQ_CST)) { io_destroy(made); }
}

static void random_destroy(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    if (one_in(random, 4)) {
        io_destroy(one_in(random, 2) ? bad_address(random) : arena_address(random));
        return;
    }
    // Some stale contexts stay in their slot.
    io_context_t *slot = &contexts[below(random, CONTEXTS)];
    io_context_t context = __atomic_load_n(slot, __ATOMIC_SEQ_CST);
    io_destroy(context);
    if (!one_in(random, 4)) {
        __atomic_compare_exchange_n(slot, &context, NULL, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

/// Drains pipes and sockets, and makes polls ready.
static void stir_streams(struct worker *worker) {
    char bytes[64];
    memset(bytes, 0xff, sizeof bytes);
    int descriptor = descriptors[below(&worker->random, descriptor_count)];
    struct pollfd state = {descriptor, POLLIN | POLLOUT, 0};
    poll(&state, 1, 0);
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || !(flags & O_NONBLOCK)) { return; }
    if (one_in(&worker->random, 2)) {
        if (write(descriptor, bytes, 8) < 0) { return; }
    } else if (read(descriptor, bytes, sizeof bytes) < 0) {
        return;
    }
}

// Work that must be correct: reads of a known file, on a private context.

static struct io_event take_from_ring(io_context_t context) {
    struct aio_ring *ring = (struct aio_ring *)context;
    double limit = seconds_now() + 20;
    while (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == ring->head) {
        if (seconds_now() > limit) { FAIL("no event in the ring after 20 s"); }
        sched_yield();
    }
    struct io_event event = ring->events[ring->head];
    __atomic_store_n(&ring->head, (ring->head + 1) % ring->nr, __ATOMIC_RELEASE);
    return event;
}

static struct io_event take_checked(struct worker *worker) {
    if (one_in(&worker->random, 3)) { return take_from_ring(worker->own); }
    struct io_event event;
    struct timespec limit = {20, 0};
    long count = 0;
    // Interruptions are expected.
    while ((count = any_getevents(worker, worker->own, 1, 1, &event, one_in(&worker->random, 2) ? &limit
        : NULL)) == -EINTR) {}
    if (count != 1) { FAIL("waiting for one event of a context of one's own: %ld", count); }
    return event;
}

static void check_one(struct worker *worker, struct io_event event, const uint64_t *offsets, uint64_t *seen,
    unsigned count) {
    if (event.data >= count || *seen >> event.data & 1) {
        FAIL("an event that was not asked for: data %lu", event.data);
    }
    *seen |= 1ul << event.data;
    uint64_t offset = offsets[event.data];
    long expected = offset >= FUZZ_FILE_SIZE ? 0 : FUZZ_FILE_SIZE - offset < CHECKED_SIZE
        ? (long)(FUZZ_FILE_SIZE - offset) : CHECKED_SIZE;
    if (event.res != expected || event.res2 != 0) {
        FAIL("%ld instead of %ld read at %lu", (long)event.res, expected, offset);
    }
    const uint8_t *content = worker->memory + event.data * CHECKED_SIZE;
    for (long index = 0; index < expected; index++) {
        if (content[index] != known_byte(offset + (uint64_t)index)) {
            FAIL("a wrong byte at %lu", offset + (uint64_t)index);
        }
    }
}

static void checked_reads(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    struct iocb reads[MOST_CHECKED], *list[MOST_CHECKED];
    uint64_t offsets[MOST_CHECKED], seen = 0;
    unsigned count = below(random, MOST_CHECKED) + 1;
    if (one_in(random, 8)) { posix_fadvise(known_file, 0, 0, POSIX_FADV_DONTNEED); }
    for (unsigned index = 0; index < count; index++) {
        offsets[index] = below(random, FUZZ_FILE_SIZE + 10000);
        reads[index] = (struct iocb){.data = index, .opcode = IOCB_CMD_PREAD, .descriptor = known_file,
            .count = CHECKED_SIZE,
            .buffer = (uint64_t)(uintptr_t)(worker->memory + index * CHECKED_SIZE), .offset = (int64_t)offsets[index]};
        list[index] = &reads[index];
    }
    memset(worker->memory, 0, count * CHECKED_SIZE);
    for (unsigned submitted = 0; submitted < count;) {
        int result = io_submit(worker->own, count - submitted, list + submitted);
        if (result <= 0) { FAIL("submitting to a context of one's own: %d", result); }
        submitted += (unsigned)result;
    }
    memset(reads, 0xff, sizeof reads);
    for (unsigned index = 0; index < count; index++) { check_one(worker, take_checked(worker), offsets, &seen, count); }
    __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
}

/// A child is refused its parent's contexts, and creates its own.
static void child(struct worker *worker) {
    signal(SIGALRM, SIG_DFL);
    alarm(20);
    for (int index = 0; index < CONTEXTS; index++) {
        int result = io_submit(contexts[index], 0, NULL);
        if (result != -EINVAL) { FAIL("a child submits to its parent's context: %d", result); }
    }
    if (io_destroy(worker->own) != -EINVAL) { FAIL("a child ends its parent's context"); }
    worker->own = NULL;
    if (io_setup(MOST_CHECKED, &worker->own) != 0) { FAIL("a child has no context"); }
    for (int round = 0; round < 4; round++) { checked_reads(worker); }
    if (one_in(&worker->random, 2)) { io_destroy(worker->own); }
    _exit(0);
}

static void fork_one(struct worker *worker) {
    pid_t process = fork();
    if (process < 0) { return; }
    if (process == 0) { child(worker); }
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    if (status != 0) { FAIL("a child ended with status %#x", status); }
    __atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
}

static void step(struct worker *worker) {
    unsigned choice = below(&worker->random, 1000);
    if (choice < 400) {
        random_submit(worker);
    } else if (choice < 650) {
        random_getevents(worker);
    } else if (choice < 750) {
        random_cancel(worker);
    } else if (choice < 800) {
        random_setup(worker);
    } else if (choice < 820) {
        random_destroy(worker);
    } else if (choice < 900) {
        stir_streams(worker);
    } else if (choice < 990) {
        checked_reads(worker);
    } else if (choice == 990) {
        fork_one(worker);
    }
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    while (seconds_now() < end_time) { step(worker); }
    return NULL;
}

static void run_workers(uint64_t seed) {
    pthread_t threads[THREADS];
    static struct worker workers[THREADS];
    for (unsigned index = 0; index < THREADS; index++) {
        struct worker *worker = &workers[index];
        worker->random.state = seed * 1000 + index;
        worker->blocks = calloc(BLOCKS, sizeof(struct iocb));
        worker->vectors = calloc(8, sizeof(struct iovec));
        worker->memory = calloc(MOST_CHECKED, CHECKED_SIZE);
        // Before all others and until the end, so that no stale context leads here.
        if (io_setup(MOST_CHECKED, &worker->own) != 0) { FAIL("no context"); }
    }
    for (unsigned index = 0; index < THREADS; index++) {
        struct worker *worker = &workers[index];
        if (pthread_create(&threads[index], NULL, work, worker) != 0) { FAIL("no thread"); }
    }
    for (unsigned index = 0; index < THREADS; index++) {
        pthread_join(threads[index], NULL);
        if (io_destroy(workers[index].own) != 0) { FAIL("a context of one's own does not end"); }
        free(workers[index].blocks);
        free(workers[index].vectors);
        free(workers[index].memory);
    }
}

int main(int count, char **arguments) {
    if (count < 4) { FAIL("usage: %s FOLDER SECONDS SEED [system]", arguments[0]); }
    uint64_t seed = strtoull(arguments[3], NULL, 10);
    printf("seed %lu\n", seed);
    fflush(stdout);
    isSystem = count > 4 && strcmp(arguments[4], "system") == 0;
    make_memory();
    make_descriptors(arguments[1]);
    begin_interruptions();
    struct left_behind before = measure();
    end_time = seconds_now() + strtod(arguments[2], NULL);
    run_workers(seed);
    end_interruptions();
    for (int index = 0; index < CONTEXTS; index++) { io_destroy(contexts[index]); }
    printf("%lu calls, %lu checked, %lu forks\n", calls, checks, forks);
    check_left_behind(before);
    printf("ok\n");
    return 0;
}
