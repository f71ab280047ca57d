// Contexts and threads: concurrent use, use by threads other than the creator, and threads that exit.
#include "libaio_cases.h"

enum { THREADS = 8, ROUNDS = 400 };

static io_context_t context;
static int file;

/// Each thread submits its own operations, and takes anyone's events.
static unsigned taken, accepted;

static void *submit_and_take(void *argument) {
    long index = (long)argument;
    static uint8_t memory[THREADS][512];
    static struct iocb reads[THREADS];
    for (int round = 0; round < ROUNDS; round++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory[index], 512, (round * 7 + index) % 128 * 512);
        struct io_event events[4];
        if (submit_one(context, &reads[index]) == 1) { __atomic_add_fetch(&accepted, 1, __ATOMIC_SEQ_CST); }
        struct timespec now = {0, 0};
        int count = io_getevents(context, 0, 4, events, &now);
        for (int event = 0; event < count; event++) {
            if (events[event].res == 512) { __atomic_add_fetch(&taken, 1, __ATOMIC_SEQ_CST); }
        }
    }
    return NULL;
}

static void one_context_for_all(void) {
    file = new_file(O_RDONLY, 65536, 1);
    context = new_context(64);
    pthread_t threads[THREADS];
    for (long index = 0; index < THREADS; index++) { threads[index] = start_thread(submit_and_take, (void *)index); }
    for (int index = 0; index < THREADS; index++) { pthread_join(threads[index], NULL); }
    struct io_event event;
    while (taken < accepted && io_getevents(context, 1, 1, &event, NULL) == 1) { taken += event.res == 512; }
    fact_bool("some accepted", accepted > 0);
    fact_bool("as many events", taken == accepted);
    fact_result("left", event_count_now(context));
    fact_result("end", io_destroy(context));
}

/// One thread submits, others wait: each event goes to one of them.
static uint8_t seen[2000];
static unsigned seen_count;

static void *take_many(void *unused) {
    (void)unused;
    struct io_event events[8];
    while (true) {
        struct timespec soon = {0, 1000000};
        int count = io_getevents(context, 1, 8, events, &soon);
        for (int index = 0; index < count; index++) {
            __atomic_add_fetch(&seen[events[index].data], 1, __ATOMIC_SEQ_CST);
            __atomic_add_fetch(&seen_count, 1, __ATOMIC_SEQ_CST);
        }
        if (count < 0 || __atomic_load_n(&seen_count, __ATOMIC_SEQ_CST) >= sizeof seen) { return NULL; }
    }
}

static void waiters_share_the_events(void) {
    file = new_file(O_RDONLY, 65536, 1);
    context = new_context(64);
    pthread_t threads[4];
    for (int index = 0; index < 4; index++) { threads[index] = start_thread(take_many, NULL); }
    static uint8_t memory[16];
    for (size_t index = 0; index < sizeof seen; index++) {
        struct iocb read = block(IOCB_CMD_PREAD, file, memory, 16, 0);
        read.data = index;
        while (submit_one(context, &read) != 1) { sched_yield(); }
    }
    for (int index = 0; index < 4; index++) { pthread_join(threads[index], NULL); }
    fact_bool("each once", is_filled(seen, sizeof seen, 1));
    fact_result("left", event_count_now(context));
}

static void *make_context(void *made) {
    *(io_context_t *)made = new_context(8);
    return NULL;
}

static void *end_context(void *unused) {
    (void)unused;
    return (void *)(long)io_destroy(context);
}

/// sysbench creates all contexts in one thread; other threads use and destroy them.
static void used_by_others_than_its_maker(void) {
    file = new_file(O_RDONLY, 4096, 1);
    pthread_t maker = start_thread(make_context, &context);
    pthread_join(maker, NULL);
    uint8_t memory[64];
    fact_performed("after its maker's exit", context, block(IOCB_CMD_PREAD, file, memory, 64, 0));
    fact_bool("content", is_known(memory, 64, 0, 1));
    void *result;
    pthread_join(start_thread(end_context, NULL), &result);
    fact_result("ended by a third", (long)result);
}

/// A wait that only an event ends, whichever thread submits its operation.
static int ends[2];
static volatile pid_t waiting_thread;

static void *wait_for_one(void *unused) {
    (void)unused;
    waiting_thread = gettid();
    struct io_event event = next_event(context);
    return (void *)(long)event.data;
}

static void waiter_before_the_submission(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(8);
    pthread_t waiter = start_thread(wait_for_one, NULL);
    while (!waiting_thread) { sched_yield(); }
    waits_in_kernel(waiting_thread);
    uint8_t memory[64];
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, 64, 0);
    read.data = 77;
    fact_result("submit", submit_one(context, &read));
    void *data;
    pthread_join(waiter, &data);
    fact_result("waiter got", (long)data);
}

/// A thread that waits for events of direct I/O continues to wait for those of other operations.
static long wanted_count;

static void *wait_for_several(void *unused) {
    (void)unused;
    static struct io_event events[8];
    waiting_thread = gettid();
    return (void *)(long)io_getevents(context, wanted_count, wanted_count, events, NULL);
}

static pthread_t waiter_after_direct_read(int direct, void *memory, long count) {
    context = new_context(8);
    fact_performed("direct", context, block(IOCB_CMD_PREAD, direct, memory, 4096, 0));
    wanted_count = count;
    pthread_t waiter = start_thread(wait_for_several, NULL);
    while (!waiting_thread) { sched_yield(); }
    waits_in_kernel(waiting_thread);
    return waiter;
}

static void waiter_for_operations_of_several_kinds(void) {
    _Alignas(4096) static uint8_t memory[2][4096];
    int direct = new_file(O_RDONLY | O_DIRECT, 4096, 1), buffered = new_file(O_RDONLY, 4096, 1);
    pthread_t waiter = waiter_after_direct_read(direct, memory[0], 3);
    struct iocb blocks[] = {block(IOCB_CMD_PREAD, direct, memory[0], 4096, 0),
        block(IOCB_CMD_PREAD, buffered, memory[1], 4096, 0), block(IOCB_CMD_PREAD, direct, memory[0], 4096, 0)};
    memset(memory[0], 0, 4096);
    long accepted = 0;
    for (int index = 0; index < 3; index++) {
        accepted += submit_one(context, &blocks[index]);
        // Ensures that the waiter already has a part of the events that it waits for.
        while (!is_known(memory[0], 4096, 0, 1)) { sched_yield(); }
    }
    void *result;
    pthread_join(waiter, &result);
    fact_result("accepted", accepted);
    fact_result("waiter got", (long)result);
}

static void waiter_for_more_than_there_can_be(void) {
    _Alignas(4096) static uint8_t memory[2][4096];
    int direct = new_file(O_RDONLY | O_DIRECT, 4096, 1), buffered = new_file(O_RDONLY, 4096, 1);
    pthread_t waiter = waiter_after_direct_read(direct, memory[0], 1L << 40);
    struct iocb read = block(IOCB_CMD_PREAD, buffered, memory[1], 4096, 0);
    fact_result("submit", submit_one(context, &read));
    fact_result("end", io_destroy(context));
    void *result;
    pthread_join(waiter, &result);
    fact_bool("the waiter is let go", (long)result == 1 || (long)result == -EINVAL);
}

_Alignas(4096) static uint8_t memory_of_exited[16][4096];

static void *submit_and_exit(void *unused) {
    (void)unused;
    static struct iocb blocks[18];
    for (int index = 0; index < 16; index++) {
        blocks[index] = block(IOCB_CMD_PREAD, file, memory_of_exited[index], 4096, index * 65536);
        blocks[index].data = (uint64_t)index;
    }
    blocks[16] = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    blocks[16].data = 16;
    blocks[17] = block(IOCB_CMD_FSYNC, file, NULL, 0, 0);
    blocks[17].data = 17;
    struct iocb *list[18];
    for (int index = 0; index < 18; index++) { list[index] = &blocks[index]; }
    return (void *)(long)io_submit(context, 18, list);
}

/// Cold reads, and a poll that does not complete, outlive the thread that submitted them.
static void submitter_exits(int flags) {
    file = new_file(flags, 1 << 20, 4);
    make_cold(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    if (pipe(ends) != 0) { broken("pipe"); }
    context = new_context(32);
    void *result;
    pthread_join(start_thread(submit_and_exit, NULL), &result);
    fact_result("submitted", (long)result);
    uint32_t seen = 0;
    int good = 0;
    for (int index = 0; index < 17; index++) {
        struct io_event event = next_event(context);
        seen |= 1u << event.data;
        good += event.data == 17 ? event.res == 0 : event.res == 4096;
    }
    fact_result("good", good);
    fact("those without the poll", "%#x", seen);
    for (int index = 0; index < 16; index++) {
        good += is_known(memory_of_exited[index], 4096, (uint64_t)index * 65536, 4);
    }
    fact_result("with content", good);
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    struct io_event event = next_event(context);
    fact("then the poll", "%d, %s", (int)event.data, event.res & POLLIN ? "readable" : "not readable");
}

static void buffered_submitter_exits(void) { submitter_exits(O_RDWR); }

static void direct_submitter_exits(void) { submitter_exits(O_RDWR | O_DIRECT); }

/// Each thread has its own context.
static void *own_context(void *argument) {
    long index = (long)argument, good = 0;
    for (int round = 0; round < 4; round++) {
        io_context_t own = new_context(16);
        uint8_t memory[8][64];
        struct iocb reads[8], *list[8];
        for (int which = 0; which < 8; which++) {
            reads[which] = block(IOCB_CMD_PREAD, file, memory[which], 64, (index * 8 + which) * 64);
            list[which] = &reads[which];
        }
        good += io_submit(own, 8, list) == 8;
        struct io_event events[8];
        good += io_getevents(own, 8, 8, events, NULL) == 8;
        for (int which = 0; which < 8; which++) {
            good += is_known(memory[which], 64, (uint64_t)(index * 8 + which) * 64, 1);
        }
        good += io_destroy(own) == 0;
    }
    return (void *)good;
}

static void a_context_each(void) {
    file = new_file(O_RDONLY, 65536, 1);
    pthread_t threads[THREADS];
    long good = 0;
    for (long index = 0; index < THREADS; index++) { threads[index] = start_thread(own_context, (void *)index); }
    for (int index = 0; index < THREADS; index++) {
        void *result;
        pthread_join(threads[index], &result);
        good += (long)result;
    }
    fact_result("good", good);
}

/// The context is destroyed while threads submit to it: from then on they are refused.
static void *submit_until_refused(void *count) {
    uint8_t memory[64];
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, 64, 0), *list[] = {&read};
    long result = 0, odd = 0;
    while (result != -EINVAL) {
        result = io_submit(context, (long)count, list);
        odd += result < 0 && result != -EINVAL && result != -EAGAIN;
    }
    return (void *)odd;
}

static void ended_under_its_users(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(16);
    pthread_t threads[3];
    const long counts[] = {1, 0, 1};
    for (int index = 0; index < 3; index++) {
        threads[index] = start_thread(submit_until_refused, (void *)counts[index]);
    }
    struct iocb read = block(IOCB_CMD_PREAD, file, memory_of_exited[0], 64, 0);
    for (int round = 0; round < 100; round++) {
        struct io_event events[16];
        struct timespec now = {0, 0};
        submit_one(context, &read);
        io_getevents(context, 0, 16, events, &now);
    }
    fact_result("end", io_destroy(context));
    long odd = 0;
    for (int index = 0; index < 3; index++) {
        void *result;
        pthread_join(threads[index], &result);
        odd += (long)result;
    }
    fact_result("odd results", odd);
}

/// A process may exit with operations in flight.
static void exit_with_operations_in_flight(void) {
    file = new_file(O_RDWR, 1 << 20, 4);
    make_cold(file);
    if (pipe(ends) != 0) { broken("pipe"); }
    context = new_context(32);
    pthread_t thread = start_thread(submit_and_exit, NULL);
    void *result;
    pthread_join(thread, &result);
    fact_result("submitted", (long)result);
    exit(0);
}

/// After direct transfers, which the library leaves to the kernel, the kernel waits in a submission for data that comes
/// later.
static struct iocb late_read;

static void *submit_late_read(void *submitted) {
    waiting_thread = gettid();
    *(long *)submitted = submit_one(context, &late_read);
    // Whoever looks finds it asleep, wherever it waits.
    pause();
    return NULL;
}

static void leave_pause(int signal) { (void)signal; }

static void a_submission_that_waits_holds_up_nobody(void) {
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = leave_pause}, NULL);
    int direct = new_file(O_RDONLY | O_DIRECT, 8192, 1);
    file = new_file(O_RDONLY, 65536, 1);
    context = new_context(8);
    uint8_t *memory = aligned_memory(8192);
    fact_performed("direct", context, block(IOCB_CMD_PREAD, direct, memory, 4096, 0));
    if (pipe(ends) != 0) { broken("pipe"); }
    late_read = block(IOCB_CMD_PREAD, ends[0], memory, 5, 0);
    long submitted = 0, read_count = 0;
    waiting_thread = 0;
    pthread_t other = start_thread(submit_late_read, &submitted);
    while (!waiting_thread) { sched_yield(); }
    waits_in_kernel(waiting_thread);
    for (int round = 0; round < 40; round++) {
        read_count += perform(context, block(IOCB_CMD_PREAD, file, memory + 4096, 512, round * 512)) == 512;
    }
    fact("buffered reads meanwhile", "%ld", read_count);
    if (write(ends[1], "later", 5) != 5) { broken("write"); }
    fact_result("the late read", next_event(context).res);
    waits_in_kernel(waiting_thread);
    pthread_kill(other, SIGUSR1);
    pthread_join(other, NULL);
    fact_result("its submission", submitted);
    fact_performed("a read afterwards", context, block(IOCB_CMD_PREAD, file, memory + 4096, 512, 0));
    fact_result("end", io_destroy(context));
}

enum { MANY = 40, MANY_WAITERS = 3 };

/// Threads that wait for many events in the kernel when the library takes over, and must be woken for that.
static volatile pid_t many_waiters[MANY_WAITERS];

static void *wait_for_many(void *argument) {
    many_waiters[(long)argument] = gettid();
    struct io_event events[MANY];
    return (void *)(long)io_getevents(context, MANY, MANY, events, NULL);
}

static long submit_many(uint8_t *memory) {
    static struct iocb reads[MANY];
    struct iocb *list[MANY];
    for (int index = 0; index < MANY; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory, 16, 0);
        list[index] = &reads[index];
    }
    return io_submit(context, MANY, list);
}

static void waking_waiters_takes_no_places(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(MANY);
    uint8_t memory[16];
    pthread_t waiters[MANY_WAITERS];
    for (long index = 0; index < MANY_WAITERS; index++) {
        waiters[index] = start_thread(wait_for_many, (void *)index);
        while (!many_waiters[index]) { sched_yield(); }
        waits_in_kernel(many_waiters[index]);
    }
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, 16, 0);
    for (int accepted = 0; accepted < MANY * MANY_WAITERS;) {
        if (submit_one(context, &read) == 1) { accepted++; } else { sched_yield(); }
    }
    bool has_all = true;
    for (int index = 0; index < MANY_WAITERS; index++) {
        void *taken = NULL;
        pthread_join(waiters[index], &taken);
        has_all = has_all && (long)taken == MANY;
    }
    fact_bool("each waiter took its events", has_all);
    fact_result("accepted at once", submit_many(memory));
    fact_result("end", io_destroy(context));
}

enum { APPENDERS = 6, APPENDS = 400 };

/// Appends and syncs, in a context of its own. Nothing that is noted of an append may outlast it: a sync waits for the
/// writes before it.
static void *append_and_sync(void *done) {
    io_context_t own = new_context(4);
    uint8_t byte = 'a';
    struct iocb append = block(IOCB_CMD_PWRITE, file, &byte, 1, 0), sync = block(IOCB_CMD_FDSYNC, file, NULL, 0, 0);
    struct iocb *both[2] = {&append, &sync};
    for (int round = 0; round < APPENDS; round++) {
        int count = round % 50 == 49 ? 2 : 1;
        if (io_submit(own, count, both) != count) { broken("io_submit"); }
        for (int left = count; left > 0; left--) { *(long *)done += next_event(own).res; }
    }
    io_destroy(own);
    return NULL;
}

static void appends_of_many_threads_end(void) {
    file = new_file(O_RDWR | O_APPEND, 0, 1);
    pthread_t threads[APPENDERS];
    long done[APPENDERS] = {0}, sum = 0;
    for (int index = 0; index < APPENDERS; index++) { threads[index] = start_thread(append_and_sync, &done[index]); }
    for (int index = 0; index < APPENDERS; index++) {
        pthread_join(threads[index], NULL);
        sum += done[index];
    }
    fact_result("appended", sum);
    fact_result("size", lseek(file, 0, SEEK_END));
}

static const struct test_case cases[] = {
    {"one-context-for-all", one_context_for_all},
    {"waiters-share-the-events", waiters_share_the_events},
    {"used-by-others-than-its-maker", used_by_others_than_its_maker},
    {"waiter-before-the-submission", waiter_before_the_submission},
    {"waiter-for-operations-of-several-kinds", waiter_for_operations_of_several_kinds},
    {"waiter-for-more-than-there-can-be", waiter_for_more_than_there_can_be},
    {"buffered-submitter-exits", buffered_submitter_exits},
    {"direct-submitter-exits", direct_submitter_exits},
    {"a-context-each", a_context_each},
    {"ended-under-its-users", ended_under_its_users},
    {"exit-with-operations-in-flight", exit_with_operations_in_flight},
    {"a-submission-that-waits-holds-up-nobody", a_submission_that_waits_holds_up_nobody},
    {"appends-of-many-threads-end", appends_of_many_threads_end},
    {"waking-waiters-takes-no-places", waking_waiters_takes_no_places},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
