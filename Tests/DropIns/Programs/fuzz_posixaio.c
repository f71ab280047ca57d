// Fuzzes POSIX AIO: random control blocks, descriptors, opcodes, pointers, sizes, notifications and orders of calls,
// from many threads, with signals, forks, closes and cancelled threads in between. It checks that nothing crashes, that
// every request ends once and with a possible result, that reads of a known file are correct, and that nothing is left
// behind.
//
// fuzz_posixaio FOLDER SECONDS SEED
#include "fuzz.h"

#include <aio.h>

#pragma GCC diagnostic ignored "-Wnonnull"

enum { THREADS = 6, BLOCKS = 48, MOST_CHECKED = 32, CHECKED_SIZE = 4096 };

struct worker {
    struct fuzz_random random;
    struct aiocb *blocks;
    bool isPending[BLOCKS];
    uint8_t *memory;
};

static double end_time;
static unsigned long calls, checks, forks, ended, cancelled, notified;
static bool isOver;

// Streams that block, and the thread that lets waiting requests complete.

static int far_ends[3];

static void make_streams(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) { FAIL("no sockets"); }
    keep(ends[0]);
    far_ends[0] = ends[1];
    for (int index = 1; index < 3; index++) {
        if (pipe2(ends, O_CLOEXEC) != 0) { FAIL("no pipe"); }
        // One end only: requests on both ends would wait for each other.
        keep(ends[index - 1]);
        far_ends[index] = ends[2 - index];
    }
}

static void *stir(void *unused) {
    (void)unused;
    static uint8_t bytes[65536];
    memset(bytes, 0xff, sizeof bytes);
    for (int index = 1; index < 3; index++) { fcntl(far_ends[index], F_SETFL, O_NONBLOCK); }
    while (!__atomic_load_n(&isOver, __ATOMIC_ACQUIRE)) {
        struct pollfd states[3] = {{far_ends[0], POLLIN, 0}, {far_ends[1], POLLOUT, 0}, {far_ends[2], POLLIN, 0}};
        poll(states, 3, 1);
        if (recv(far_ends[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) { memset(bytes, 0xff, sizeof bytes); }
        if (send(far_ends[0], bytes, 512, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EINTR) { FAIL("send"); }
        if (write(far_ends[1], bytes, 512) < 0 && errno != EAGAIN && errno != EINTR) { FAIL("write"); }
        if (read(far_ends[2], bytes, sizeof bytes) > 0) { memset(bytes, 0xff, sizeof bytes); }
    }
    return NULL;
}

// Random requests.

static void count_notification(union sigval value) {
    if (value.sival_int != 77) { FAIL("a notification with another value"); }
    __atomic_add_fetch(&notified, 1, __ATOMIC_RELAXED);
}

static void fill_random(struct fuzz_random *random, void *memory, size_t size) {
    for (size_t index = 0; index < size; index++) { ((uint8_t *)memory)[index] = (uint8_t)random_number(random); }
}

static struct sigevent any_event(struct fuzz_random *random) {
    struct sigevent event;
    fill_random(random, &event, sizeof event);
    event.sigev_value.sival_int = 77;
    event.sigev_signo = one_in(random, 2) ? SIGUSR1 : SIGRTMIN;
    switch (below(random, 16)) {
    case 0: event.sigev_notify = (int)random_number(random); break;
    case 1: event.sigev_notify = SIGEV_SIGNAL; break;
    case 2:
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = one_in(random, 2) ? 65 + (int)below(random, 1000) : -(int)below(random, 1000);
        break;
    case 3:
        event.sigev_notify = SIGEV_THREAD_ID;
        event._sigev_un._tid = one_in(random, 2) ? gettid() : (int)random_number(random);
        break;
    case 4:
        event.sigev_notify = SIGEV_THREAD;
        break;
    default: event.sigev_notify = SIGEV_NONE;
    }
    // The random value may be SIGEV_THREAD as well.
    if (event.sigev_notify == SIGEV_THREAD) {
        event.sigev_notify_function = count_notification;
        event.sigev_notify_attributes = NULL;
    } else if (event.sigev_notify == SIGEV_SIGNAL && event.sigev_signo > 0 && event.sigev_signo <= 64
        && event.sigev_signo != SIGUSR1 && event.sigev_signo != SIGRTMIN) {
        event.sigev_notify = SIGEV_NONE;
    }
    return event;
}

static void fill(struct worker *worker, struct aiocb *block) {
    struct fuzz_random *random = &worker->random;
    fill_random(random, block, sizeof *block);
    block->aio_fildes = any_descriptor(random);
    block->aio_lio_opcode = one_in(random, 10) ? (int)random_number(random) : (int)below(random, 5);
    block->aio_reqprio = one_in(random, 10) ? (int)random_number(random) : (int)below(random, 20);
    block->aio_buf = any_address(random);
    block->aio_nbytes = any_size(random);
    block->aio_offset = any_offset(random);
    block->aio_sigevent = any_event(random);
}

static int free_block(struct worker *worker) {
    int index = (int)below(&worker->random, BLOCKS);
    return worker->isPending[index] ? -1 : index;
}

/// Checks the final state of a block.
static void check_end(const struct aiocb *block) {
    int error = aio_error(block);
    ssize_t result = aio_return((struct aiocb *)block);
    if (error == EINPROGRESS || error < 0 || error > 4095 || (error == 0 ? result < 0 : result != -1)) {
        FAIL("a request ends with error %d and result %zd", error, result);
    }
    __atomic_add_fetch(error == ECANCELED ? &cancelled : &ended, 1, __ATOMIC_RELAXED);
}

static void random_request(struct worker *worker) {
    int index = free_block(worker);
    if (index < 0) { return; }
    struct aiocb *block = &worker->blocks[index];
    fill(worker, block);
    int result;
    switch (below(&worker->random, 5)) {
    case 0: result = aio_fsync(one_in(&worker->random, 2) ? O_SYNC : O_DSYNC, block); break;
    case 1:
    case 2: result = aio_write(block); break;
    default: result = aio_read(block);
    }
    if (result != 0 && result != -1) { FAIL("a call returns %d", result); }
    worker->isPending[index] = result == 0;
}

static void random_list(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    struct aiocb *list[24];
    int count = (int)below(random, 24), mode = one_in(random, 2) ? LIO_WAIT : LIO_NOWAIT;
    // Some calls submit nothing.
    bool isVain = one_in(random, 30);
    if (isVain && one_in(random, 3)) { mode = 2 + (int)below(random, INT32_MAX); }
    bool isTaken[BLOCKS] = {false};
    for (int index = 0; index < count; index++) {
        int block = one_in(random, 6) ? -1 : free_block(worker);
        list[index] = block < 0 || isTaken[block] ? NULL : &worker->blocks[block];
        if (!list[index]) { continue; }
        isTaken[block] = true;
        fill(worker, list[index]);
        worker->isPending[block] = !isVain && list[index]->aio_lio_opcode != LIO_NOP;
    }
    struct sigevent event = any_event(random);
    if (event.sigev_notify == SIGEV_SIGNAL && event.sigev_signo < 1) { event.sigev_notify = SIGEV_NONE; }
    int result = lio_listio(mode, isVain && one_in(random, 2) ? NULL : list, !isVain ? count : count ? -count : 0,
        one_in(random, 2) ? &event : NULL);
    if (result != 0 && result != -1) { FAIL("lio_listio returns %d", result); }
}

static void random_suspend(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    const struct aiocb *list[16];
    int count = (int)below(random, 16);
    for (int index = 0; index < count; index++) {
        list[index] = one_in(random, 4) ? NULL : &worker->blocks[below(random, BLOCKS)];
    }
    struct timespec limit = {one_in(random, 10) ? (time_t)random_number(random) % 2 : 0, (long)below(random, 3000000)};
    if (one_in(random, 20)) { limit.tv_nsec = -limit.tv_nsec; }
    if (one_in(random, 50)) { limit = (struct timespec){INT64_MIN, INT64_MIN}; }
    int result = aio_suspend(list, one_in(random, 50) ? -1 : count, &limit);
    if (result != 0 && (result != -1 || (errno != EAGAIN && errno != EINTR && errno != EINVAL))) {
        FAIL("aio_suspend returns %d, errno %d", result, errno);
    }
}

static void random_cancel(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    int index = (int)below(random, BLOCKS), descriptor = any_descriptor(random);
    struct aiocb *block = one_in(random, 2) ? NULL : &worker->blocks[index];
    if (block && !one_in(random, 4)) { descriptor = block->aio_fildes; }
    int result = aio_cancel(descriptor, block);
    if (result < -1 || result > AIO_ALLDONE) { FAIL("aio_cancel returns %d", result); }
    if (block && result == AIO_CANCELED && aio_error(block) != ECANCELED && worker->isPending[index]) {
        FAIL("a cancelled request says %d", aio_error(block));
    }
}

/// Notes which requests have ended.
static void reap(struct worker *worker) {
    for (int index = 0; index < BLOCKS; index++) {
        if (!worker->isPending[index] || aio_error(&worker->blocks[index]) == EINPROGRESS) { continue; }
        check_end(&worker->blocks[index]);
        worker->isPending[index] = false;
    }
}

static void *suspend_for_ever(void *block) {
    const struct aiocb *list[] = {block};
    while (true) {
        aio_suspend(list, 1, NULL);
        pthread_testcancel();
    }
    return NULL;
}

static void cancel_a_thread(struct worker *worker) {
    pthread_t thread;
    int index = (int)below(&worker->random, BLOCKS);
    if (pthread_create(&thread, NULL, suspend_for_ever, &worker->blocks[index]) != 0) { return; }
    if (one_in(&worker->random, 2)) { sched_yield(); }
    pthread_cancel(thread);
    void *result = NULL;
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) { FAIL("a thread in aio_suspend was not cancelled"); }
}

// Work that must be correct: reads of a known file.

static void await(const struct aiocb *block) {
    const struct aiocb *list[] = {block};
    double limit = seconds_now() + 20;
    while (aio_error(block) == EINPROGRESS) {
        aio_suspend(list, 1, &(struct timespec){1, 0});
        if (seconds_now() > limit) { FAIL("a request has not ended after 20 s"); }
    }
}

static void check_read(const struct aiocb *block) {
    long expected = block->aio_offset >= FUZZ_FILE_SIZE ? 0 : FUZZ_FILE_SIZE - block->aio_offset < CHECKED_SIZE
        ? FUZZ_FILE_SIZE - block->aio_offset : CHECKED_SIZE;
    await(block);
    if (aio_error(block) != 0 || aio_return((struct aiocb *)block) != expected) {
        FAIL("error %d, %zd instead of %ld read at %ld", aio_error(block), aio_return((struct aiocb *)block), expected,
            (long)block->aio_offset);
    }
    const uint8_t *content = (const uint8_t *)block->aio_buf;
    for (long index = 0; index < expected; index++) {
        if (content[index] != known_byte((uint64_t)(block->aio_offset + index))) {
            FAIL("a wrong byte at %ld", (long)block->aio_offset + index);
        }
    }
}

static void checked_reads(struct worker *worker) {
    struct fuzz_random *random = &worker->random;
    struct aiocb reads[MOST_CHECKED], *list[MOST_CHECKED];
    int count = (int)below(random, MOST_CHECKED) + 1, file = known_file, mode = (int)below(random, 3);
    if (one_in(random, 8)) { posix_fadvise(known_file, 0, 0, POSIX_FADV_DONTNEED); }
    // The number is closed, or refers to another file, when their turn comes.
    bool isClosed = mode != LIO_WAIT && one_in(random, 3);
    if (isClosed) { file = fcntl(known_file, F_DUPFD_CLOEXEC, 0); }
    memset(reads, (int)below(random, 256), sizeof reads);
    memset(worker->memory, 0, (size_t)count * CHECKED_SIZE);
    for (int index = 0; index < count; index++) {
        reads[index].aio_fildes = file;
        reads[index].aio_lio_opcode = LIO_READ;
        reads[index].aio_reqprio = 0;
        reads[index].aio_buf = worker->memory + index * CHECKED_SIZE;
        reads[index].aio_nbytes = CHECKED_SIZE;
        reads[index].aio_offset = below(random, FUZZ_FILE_SIZE + 10000);
        reads[index].aio_sigevent.sigev_notify = SIGEV_NONE;
        list[index] = &reads[index];
        if (mode == 2 && aio_read(&reads[index]) != 0) { FAIL("aio_read: errno %d", errno); }
    }
    if (mode != 2 && lio_listio(mode, list, count, NULL) != 0 && errno != EINTR) {
        FAIL("lio_listio: errno %d", errno);
    }
    if (isClosed) { close(file); }
    for (int index = 0; index < count; index++) { check_read(&reads[index]); }
    __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
}

static void fork_one(struct worker *worker) {
    pid_t process = fork();
    if (process < 0) { return; }
    if (process == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(20);
        // The parent's requests do not exist here.
        for (int index = 0; index < BLOCKS; index++) {
            const struct aiocb *list[] = {&worker->blocks[index]};
            aio_suspend(list, 1, NULL);
        }
        for (int round = 0; round < 4; round++) { checked_reads(worker); }
        _exit(0);
    }
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    if (status != 0) { FAIL("a child ended with status %#x", status); }
    __atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
}

static void step(struct worker *worker) {
    unsigned choice = below(&worker->random, 1000);
    if (choice < 550) {
        random_request(worker);
    } else if (choice < 650) {
        random_list(worker);
    } else if (choice < 750) {
        random_suspend(worker);
    } else if (choice < 850) {
        random_cancel(worker);
    } else if (choice < 985) {
        checked_reads(worker);
    } else if (choice < 998) {
        cancel_a_thread(worker);
    } else if (choice == 998) {
        fork_one(worker);
    }
    reap(worker);
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    while (seconds_now() < end_time) { step(worker); }
    for (int index = 0; index < BLOCKS; index++) {
        if (worker->isPending[index]) { await(&worker->blocks[index]); }
    }
    reap(worker);
    return NULL;
}

static void run_workers(uint64_t seed) {
    pthread_t threads[THREADS], stirring;
    static struct worker workers[THREADS];
    if (pthread_create(&stirring, NULL, stir, NULL) != 0) { FAIL("no thread"); }
    for (unsigned index = 0; index < THREADS; index++) {
        struct worker *worker = &workers[index];
        worker->random.state = seed * 1000 + index;
        worker->blocks = calloc(BLOCKS, sizeof(struct aiocb));
        worker->memory = calloc(MOST_CHECKED, CHECKED_SIZE);
        if (pthread_create(&threads[index], NULL, work, worker) != 0) { FAIL("no thread"); }
    }
    for (unsigned index = 0; index < THREADS; index++) {
        pthread_join(threads[index], NULL);
        free(workers[index].blocks);
        free(workers[index].memory);
    }
    __atomic_store_n(&isOver, true, __ATOMIC_RELEASE);
    pthread_join(stirring, NULL);
}

int main(int count, char **arguments) {
    if (count < 4) { FAIL("usage: %s FOLDER SECONDS SEED", arguments[0]); }
    uint64_t seed = strtoull(arguments[3], NULL, 10);
    printf("seed %lu\n", seed);
    fflush(stdout);
    make_memory();
    make_descriptors(arguments[1]);
    make_streams();
    begin_interruptions();
    signal(SIGUSR1, ignore_signal);
    signal(SIGRTMIN, ignore_signal);
    struct left_behind before = measure();
    end_time = seconds_now() + strtod(arguments[2], NULL);
    run_workers(seed);
    end_interruptions();
    printf("%lu calls, %lu ended, %lu cancelled, %lu told, %lu checked, %lu forks\n", calls, ended, cancelled, notified,
        checks, forks);
    check_left_behind(before);
    printf("ok\n");
    return 0;
}
