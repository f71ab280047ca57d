// libaio without threads, descriptors or system calls, from the beginning or from some moment on. The kernel's own
// implementation needs none of them.
#include "libaio_cases.h"

#include "scarcity.h"

static uint8_t bytes[8][4096] __attribute__((aligned(4096)));

/// Reads, writes and syncs concurrently, on a file and on another one that is opened for appending.
static void use(const char *when, io_context_t context, int file) {
    struct iocb blocks[8], *list[8];
    make_cold(file);
    for (int index = 0; index < 8; index++) {
        blocks[index] = block(index % 2 ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, file, bytes[index], 4096, index * 8192);
        list[index] = &blocks[index];
    }
    long accepted = io_submit(context, 8, list);
    long results[8] = {0};
    for (long index = 0; index < accepted; index++) {
        struct io_event event = next_event(context);
        results[(struct iocb *)(uintptr_t)event.obj - blocks] = event.res;
    }
    bool isRight = true;
    for (int index = 0; index < 8; index++) { isRight &= results[index] == 4096; }
    fact(when, "%ld accepted, all done: %s, sync %s", accepted, isRight ? "yes" : "no",
        result_name(perform(context, block(IOCB_CMD_FSYNC, file, NULL, 0, 0))));
}

static void no_threads_from_the_beginning(void) {
    int file = file_for_all(O_RDWR, 1 << 20, 3);
    refuse_threads();
    fact_bool("a thread can be started", can_start_thread());
    io_context_t context = new_context(16);
    use("first", context, file);
    use("again", context, file);
    fact_result("end", io_destroy(context));
}

static void no_threads_any_more(void) {
    int file = file_for_all(O_RDWR, 1 << 20, 3);
    io_context_t context = new_context(16);
    use("before", context, file);
    refuse_threads();
    fact_bool("a thread can be started", can_start_thread());
    use("first", context, file);
    use("again", context, file);
    fact_result("end", io_destroy(context));
}

static void no_descriptors_from_the_beginning(void) {
    int file = new_file(O_RDWR, 1 << 20, 3);
    refuse_descriptors();
    io_context_t context = new_context(16);
    use("first", context, file);
    use("again", context, file);
    fact_result("end", io_destroy(context));
}

static void no_descriptors_any_more(void) {
    int file = new_file(O_RDWR, 1 << 20, 3), other = new_file(O_RDWR, 1 << 20, 4);
    io_context_t context = new_context(16);
    use("before", context, file);
    refuse_descriptors();
    use("first", context, file);
    use("of another file", context, other);
    io_context_t later = new_context(16);
    use("of a later context", later, other);
    fact_result("end", io_destroy(context));
}

static void a_filter(const int *numbers, int count, int error, bool isEarly) {
    int file = new_file(O_RDWR, 1 << 20, 3);
    io_context_t context = NULL;
    if (!isEarly) {
        context = new_context(16);
        use("before", context, file);
    }
    refuse_calls(numbers, count, error);
    if (isEarly) { context = new_context(16); }
    use("first", context, file);
    use("again", context, file);
    fact_result("end", io_destroy(context));
}

static void rings_are_refused_early(void) { a_filter(ring_calls, 3, EPERM, true); }
static void rings_are_refused_late(void) { a_filter(ring_calls, 3, EPERM, false); }
static void rings_cannot_be_entered_early(void) { a_filter(ring_calls + 1, 1, EPERM, true); }
static void rings_cannot_be_entered_late(void) { a_filter(ring_calls + 1, 1, ENOSYS, false); }
static void newer_calls_are_refused_early(void) { a_filter(newer_calls, 5, ENOSYS, true); }
static void newer_calls_are_refused_late(void) { a_filter(newer_calls, 5, EPERM, false); }

static pid_t waiting_thread;

static void *wait_for_event(void *context) {
    __atomic_store_n(&waiting_thread, gettid(), __ATOMIC_RELEASE);
    struct io_event event = next_event(context);
    return (void *)(uintptr_t)(event.data + (uint64_t)event.res);
}

/// A thread waits for events while the library cannot have a ring of its own.
static void no_memory_while_a_thread_waits(void) {
    int file = new_file(O_RDONLY, 4096, 3);
    io_context_t first = new_context(16), context = new_context(16);
    fact_result("read", perform(first, block(IOCB_CMD_PREAD, file, bytes[0], 16, 0)));
    pthread_t thread = start_thread(wait_for_event, context);
    pid_t waiting;
    while (!(waiting = __atomic_load_n(&waiting_thread, __ATOMIC_ACQUIRE))) { sched_yield(); }
    waits_in_kernel(waiting);
    refuse_calls((const int[]){SYS_mmap}, 1, ENOMEM);
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes[0], 16, 0);
    read.data = 1000;
    fact_result("submit", submit_one(context, &read));
    void *event;
    pthread_join(thread, &event);
    fact_result("the waiting thread's event", (long)event);
    fact_result("no more events", event_count_now(context));
    fact_result("end", io_destroy(context));
}

enum { APPENDERS = 2, APPENDS = 32, APPEND_ROUNDS = 20 };

struct appender {
    io_context_t context;
    int file;
    pthread_barrier_t *start;
    long done;
};

static void *append(void *argument) {
    struct appender *appender = argument;
    struct iocb writes[APPENDS], *list[APPENDS];
    pthread_barrier_wait(appender->start);
    for (int round = 0; round < APPEND_ROUNDS; round++) {
        for (int index = 0; index < APPENDS; index++) {
            writes[index] = block(IOCB_CMD_PWRITE, appender->file, bytes[index % 8], 4096, 0);
            list[index] = &writes[index];
        }
        long accepted = io_submit(appender->context, APPENDS, list);
        for (long left = accepted; left > 0; left--) { appender->done += next_event(appender->context).res == 4096; }
    }
    return NULL;
}

/// The loop runs, and no thread can be started to make the writes: threads that append to one file make them by turns.
static void appends_without_a_worker(void) {
    int file = file_for_all(O_RDWR | O_APPEND, 4096, 3);
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, APPENDERS + 1);
    struct appender appenders[APPENDERS];
    pthread_t threads[APPENDERS];
    for (int index = 0; index < APPENDERS; index++) {
        appenders[index] = (struct appender){.context = new_context(APPENDS), .file = file, .start = &start};
        threads[index] = start_thread(append, &appenders[index]);
    }
    make_cold(file);
    fact_result("read", perform(appenders[0].context, block(IOCB_CMD_PREAD, file, bytes[0], 4096, 0)));
    refuse_threads();
    fact_bool("a thread can be started", can_start_thread());
    pthread_barrier_wait(&start);
    for (int index = 0; index < APPENDERS; index++) { pthread_join(threads[index], NULL); }
    fact("appended", "%ld and %ld", appenders[0].done, appenders[1].done);
    fact_result("sync", perform(appenders[0].context, block(IOCB_CMD_FSYNC, file, NULL, 0, 0)));
    fact_result("size", lseek(file, 0, SEEK_END));
    int ended = 0;
    for (int index = 0; index < APPENDERS; index++) { ended += io_destroy(appenders[index].context) == 0; }
    fact_result("contexts ended", ended);
}

static const struct test_case cases[] = {
    {"no-threads-from-the-beginning", no_threads_from_the_beginning},
    {"no-threads-any-more", no_threads_any_more},
    {"no-descriptors-from-the-beginning", no_descriptors_from_the_beginning},
    {"no-descriptors-any-more", no_descriptors_any_more},
    {"no-memory-while-a-thread-waits", no_memory_while_a_thread_waits},
    {"appends-without-a-worker", appends_without_a_worker},
    {"rings-are-refused-early", rings_are_refused_early},
    {"rings-are-refused-late", rings_are_refused_late},
    {"rings-cannot-be-entered-early", rings_cannot_be_entered_early},
    {"rings-cannot-be-entered-late", rings_cannot_be_entered_late},
    {"newer-calls-are-refused-early", newer_calls_are_refused_early},
    {"newer-calls-are-refused-late", newer_calls_are_refused_late},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
