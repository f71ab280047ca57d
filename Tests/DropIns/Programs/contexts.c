// Creating and destroying contexts: sizes, bad pointers, double and concurrent destruction.
#include "libaio_cases.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void sizes(void) {
    const int sizes[] = {0, -1, -2147483647 - 1, 2147483647, 0x10000000, 8388609, 1, 2, 127, 128, 1000, 4096};
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        char what[64];
        io_context_t context = NULL;
        int result = io_setup(sizes[index], &context);
        snprintf(what, sizeof what, "of %d", sizes[index]);
        fact(what, "%s, context %s", result_name(result), context ? "set" : "null");
        snprintf(what, sizeof what, "end of %d", sizes[index]);
        if (result == 0) { fact_result(what, io_destroy(context)); }
    }
}

static void setup_pointers(void) {
    fact_result("null", io_setup(1, NULL));
    fact_result("last address", io_setup(1, HIGH_ADDRESS));
    fact_result("kernel address", io_setup(1, KERNEL_ADDRESS));
    fact_result("null and size 0", io_setup(0, NULL));
    io_context_t *readonly = aligned_memory(4096);
    mprotect(readonly, 4096, PROT_READ);
    fact_result("read-only", io_setup(1, readonly));
    mprotect(readonly, 4096, PROT_READ | PROT_WRITE);
    fact_bool("read-only is left alone", *readonly == NULL);
}

static void setup_over_a_context(void) {
    io_context_t context = new_context(8), kept = context;
    fact_result("set", io_setup(8, &context));
    fact_bool("left alone", context == kept);
    io_context_t odd = (io_context_t)1;
    fact_result("any value but null", io_setup(8, &odd));
    fact_result("any value but null, size 0", io_setup(0, &odd));
    fact_result("still works", io_destroy(context));
}

static void end_pointers(void) {
    fact_result("null", io_destroy(NULL));
    fact_result("last address", io_destroy(HIGH_ADDRESS));
    fact_result("kernel address", io_destroy(KERNEL_ADDRESS));
    fact_result("odd address", io_destroy((io_context_t)12345));
    void *zeros = aligned_memory(4096);
    fact_result("memory that is no context", io_destroy(zeros));
    int local = 0;
    fact_result("stack", io_destroy((io_context_t)(void *)&local));
}

static void end_twice(void) {
    io_context_t context = new_context(8);
    fact_result("first", io_destroy(context));
    fact_result("second", io_destroy(context));
}

/// A stale context: the library may have reused its address.
static void use_after_end(void) {
    io_context_t context = new_context(8);
    io_destroy(context);
    struct iocb one = block(IOCB_CMD_PREAD, 0, NULL, 0, 0);
    fact_result("submit", submit_one(context, &one));
    fact_result("submit nothing", io_submit(context, 0, NULL));
    struct io_event event;
    fact_result("cancel", io_cancel(context, &one, &event));
}

static void events_after_end(void) {
    io_context_t context = new_context(8);
    io_destroy(context);
    struct io_event event;
    fact_result("without a time limit", io_getevents(context, 1, 1, &event, NULL));
}

static void copies_of_a_ring_are_no_context(void) {
    io_context_t context = new_context(8);
    void *copy = aligned_memory(4096);
    memcpy(copy, context, 4096);
    struct iocb one = block(IOCB_CMD_PREAD, 0, NULL, 0, 0);
    fact_result("submit", submit_one(copy, &one));
    fact_result("end", io_destroy(copy));
    fact_result("the context itself", io_destroy(context));
}

static void end_with_polls_in_flight(void) {
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    io_context_t context = new_context(8);
    struct iocb polls[4];
    for (int index = 0; index < 4; index++) {
        polls[index] = block(IOCB_CMD_POLL, ends[0], (void *)(uintptr_t)POLLIN, 0, 0);
        fact_result((const char *[]){"submit 1", "submit 2", "submit 3", "submit 4"}[index],
            submit_one(context, &polls[index]));
    }
    fact_result("end", io_destroy(context));
    fact_result("the pipe still works", write(ends[1], "x", 1));
}

/// When io_destroy returns, operations in flight have ended, and their buffers hold the data.
static void end_with_reads_in_flight(void) {
    enum { SIZE = 1 << 20, COUNT = 16 };
    int file = new_file(O_RDONLY | O_DIRECT, SIZE * COUNT, 3);
    make_cold(file);
    io_context_t context = new_context(COUNT);
    uint8_t *memory = aligned_memory(SIZE * COUNT);
    struct iocb reads[COUNT], *list[COUNT];
    for (int index = 0; index < COUNT; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory + index * SIZE, SIZE, index * SIZE);
        list[index] = &reads[index];
    }
    fact_result("submit", io_submit(context, COUNT, list));
    fact_result("end", io_destroy(context));
    fact_bool("all is read", is_known(memory, SIZE * COUNT, 0, 3));
}

static void end_with_events_not_taken(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(8);
    char bytes[16];
    struct iocb one = block(IOCB_CMD_PREAD, file, bytes, sizeof bytes, 0);
    for (int index = 0; index < 4; index++) { submit_one(context, &one); }
    fact_result("end", io_destroy(context));
}

static io_context_t shared_context;
static volatile pid_t waiters[2];
static int waiter_results[2];

static void *wait_for_events(void *argument) {
    long index = (long)argument;
    struct io_event event;
    __atomic_store_n(&waiters[index], gettid(), __ATOMIC_SEQ_CST);
    waiter_results[index] = io_getevents(shared_context, 1, 1, &event, NULL);
    return NULL;
}

static void end_wakes_waiters(void) {
    shared_context = new_context(8);
    pthread_t threads[2];
    for (long index = 0; index < 2; index++) { threads[index] = start_thread(wait_for_events, (void *)index); }
    for (long index = 0; index < 2; index++) {
        while (__atomic_load_n(&waiters[index], __ATOMIC_SEQ_CST) == 0) { sched_yield(); }
        waits_in_kernel(waiters[index]);
    }
    fact_result("end", io_destroy(shared_context));
    for (int index = 0; index < 2; index++) { pthread_join(threads[index], NULL); }
    fact_result("first waiter", waiter_results[0]);
    fact_result("second waiter", waiter_results[1]);
}

/// The waiter with index 1 passes a signal mask.
static void *wait_for_more(void *argument) {
    long index = (long)argument;
    struct io_event events[8];
    sigset_t none;
    sigemptyset(&none);
    __atomic_store_n(&waiters[index], gettid(), __ATOMIC_SEQ_CST);
    int count = index ? io_pgetevents(shared_context, 5, 8, events, NULL, &none)
        : io_getevents(shared_context, 5, 8, events, NULL);
    waiter_results[index] = count;
    for (int event = 0; event < count; event++) { waiter_results[index] += (int)events[event].res; }
    return NULL;
}

/// Events that are fewer than a waiter wants are given to it when the context is destroyed.
static void end_gives_waiters_what_is_there(void) {
    int file = new_file(O_RDWR, 4096, 1);
    static char bytes[3][1000];
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    for (long index = 0; index < 2; index++) {
        shared_context = new_context(8);
        waiters[index] = 0;
        pthread_t thread = start_thread(wait_for_more, (void *)index);
        while (__atomic_load_n(&waiters[index], __ATOMIC_SEQ_CST) == 0) { sched_yield(); }
        waits_in_kernel(waiters[index]);
        // An operation that the destruction cancels has no event among them.
        struct iocb poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
        if (submit_one(shared_context, &poll) != 1) { broken("io_submit"); }
        for (int each = 0; each < 3; each++) {
            struct iocb read = block(IOCB_CMD_PREAD, file, bytes[each], 100 + each, 0);
            if (submit_one(shared_context, &read) != 1) { broken("io_submit"); }
        }
        fact_result(index ? "end with a mask" : "end", io_destroy(shared_context));
        pthread_join(thread, NULL);
        fact_result(index ? "with a mask" : "without", waiter_results[index]);
    }
}

static pthread_barrier_t start;

static void *end_shared(void *result) {
    pthread_barrier_wait(&start);
    *(int *)result = io_destroy(shared_context);
    return NULL;
}

static void ends_at_once(void) {
    bool isOneEach = true;
    for (int round = 0; round < 50; round++) {
        shared_context = new_context(8);
        pthread_barrier_init(&start, NULL, 3);
        int results[3];
        pthread_t threads[3];
        for (int index = 0; index < 3; index++) { threads[index] = start_thread(end_shared, &results[index]); }
        int ended = 0, refused = 0;
        for (int index = 0; index < 3; index++) {
            pthread_join(threads[index], NULL);
            ended += results[index] == 0;
            refused += results[index] == -EINVAL;
        }
        isOneEach &= ended == 1 && refused == 2;
    }
    fact_bool("one of three ends it, the others are refused", isOneEach);
}

static void thousands(void) {
    enum { COUNT = 5000 };
    static io_context_t contexts[COUNT];
    int made = 0, ended = 0, distinct = 1;
    int file = new_file(O_RDONLY, 4096, 1);
    while (made < COUNT && io_setup(1, &contexts[made]) == 0) { made++; }
    fact_result("made", made);
    for (int index = 1; index < made; index++) { distinct += contexts[index] != contexts[index - 1]; }
    fact_result("distinct", distinct);
    char bytes[16];
    int read = 0;
    for (int index = 0; index < made; index += 97) {
        read += perform(contexts[index], block(IOCB_CMD_PREAD, file, bytes, 16, 0)) == 16;
    }
    fact_result("read through some", read);
    // Each io_destroy waits for a grace period in the kernel; so the process' end destroys the rest.
    for (int index = 0; index < made; index += 97) { ended += io_destroy(contexts[index]) == 0; }
    fact_result("ended", ended);
}

/// One after the other, far more contexts than can exist at a time: each destruction releases everything.
static void made_and_ended_in_turn(void) {
    int good = 0;
    for (int round = 0; round < 60; round++) {
        io_context_t context = NULL;
        good += io_setup(1024, &context) == 0 && io_destroy(context) == 0;
    }
    fact_result("good rounds", good);
}

/// A context is no file, so limits on files do not apply to it.
static void made_within_limits_of_files(void) {
    io_context_t context = NULL;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, RLIM_INFINITY});
    fact_result("while no file may grow", io_setup(8, &context));
    char bytes[16];
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    fact_performed("a read there", context, block(IOCB_CMD_PREAD, zero, bytes, 16, 0));
    fact_result("the end", io_destroy(context));
}

static void errno_is_left_alone(void) {
    errno = 77;
    io_context_t context = NULL;
    io_setup(-1, &context);
    fact_result("after a refused setup", errno);
    io_setup(4, &context);
    fact_result("after a setup", errno);
    io_submit(context, -1, NULL);
    fact_result("after a refused submit", errno);
    io_destroy(context);
    io_destroy(context);
    fact_result("after a refused end", errno);
}

static const struct test_case cases[] = {
    {"sizes", sizes},
    {"setup-pointers", setup_pointers},
    {"setup-over-a-context", setup_over_a_context},
    {"end-pointers", end_pointers},
    {"end-twice", end_twice},
    {"use-after-end", use_after_end},
    {"events-after-end", events_after_end},
    {"copies-of-a-ring-are-no-context", copies_of_a_ring_are_no_context},
    {"end-with-polls-in-flight", end_with_polls_in_flight},
    {"end-with-reads-in-flight", end_with_reads_in_flight},
    {"end-with-events-not-taken", end_with_events_not_taken},
    {"end-wakes-waiters", end_wakes_waiters},
    {"end-gives-waiters-what-is-there", end_gives_waiters_what_is_there},
    {"ends-at-once", ends_at_once},
    {"thousands", thousands},
    {"made-and-ended-in-turn", made_and_ended_in_turn},
    {"made-within-limits-of-files", made_within_limits_of_files},
    {"errno-is-left-alone", errno_is_left_alone},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
