// Threads that leave io_getevents while they sleep there: nothing waits for them, and the program's frames are unwound.
#include "libaio_cases.h"
#include "unwinding.h"

#include <sys/syscall.h>

static io_context_t context;
static struct io_event events[8];
static struct timespec long_time = {1000, 0};
static sigset_t mask;

static void get_events(void) { io_getevents(context, 1, 8, events, NULL); }

static void get_events_for_a_while(void) { io_getevents(context, 1, 8, events, &long_time); }

static void get_events_with_mask(void) { io_pgetevents(context, 1, 8, events, NULL, &mask); }

static void get_events_by_number(void) { syscall(SYS_io_getevents, context, 1L, 8L, events, NULL); }

static void (*const calls[])(void) = {get_events, get_events_for_a_while, get_events_with_mask, get_events_by_number};
static const char *const names[] = {"no time limit", "time limit", "mask", "by its number"};
enum { CALLS = 4 };

static int ends[2];

/// The context still works, and can be destroyed.
static void fact_context_works(void) {
    if (pipe(ends) != 0) { broken("pipe"); }
    struct iocb poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    fact_result("submit", submit_one(context, &poll));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_bool("readable", next_event(context).res & POLLIN);
    fact_result("left", event_count_now(context));
    fact_result("end", io_destroy(context));
    context = new_context(8);
    fact_result("events of the next", event_count_now(context));
    poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    fact_performed("poll in the next", context, poll);
    fact_result("end of the next", io_destroy(context));
}

static void jump_out(void) {
    sigemptyset(&mask);
    for (int call = 0; call < CALLS; call++) {
        int left = 0;
        for (int round = 0; round < 25; round++) { left += is_left_by_jump(calls[call]); }
        fact_result(names[call], left);
    }
}

static void handlers_jump_out(void) {
    context = new_context(8);
    jump_out();
    fact_context_works();
}

/// A context that has only done direct I/O.
static void make_direct(void) {
    _Alignas(4096) static uint8_t memory[4096];
    context = new_context(8);
    fact_performed("direct", context, block(IOCB_CMD_PREAD, new_file(O_RDONLY | O_DIRECT, 4096, 1), memory, 4096, 0));
}

static void handlers_jump_out_of_direct_contexts(void) {
    make_direct();
    jump_out();
    fact_context_works();
}

static void threads_are_ended(void) {
    sigemptyset(&mask);
    for (int call = 0; call < CALLS; call++) {
        fact_left(names[call], calls[call], ENDED_BY_HANDLER);
        char what[64];
        snprintf(what, sizeof what, "cancelled anywhere, %s", names[call]);
        fact_left(what, calls[call], CANCELLED_ANYWHERE);
    }
}

static void threads_are_ended_there(void) {
    context = new_context(8);
    threads_are_ended();
    fact_context_works();
}

static void threads_are_ended_in_direct_contexts(void) {
    make_direct();
    threads_are_ended();
    fact_context_works();
}

static long result_after_cancel;

static void get_event_that_is_there(void) {
    result_after_cancel = io_getevents(context, 1, 1, events, NULL);
}

/// None of the other calls is a cancellation point either.
static void no_cancellation_point(void) {
    context = new_context(8);
    uint8_t memory[64];
    struct iocb read = block(IOCB_CMD_PREAD, new_file(O_RDONLY, 4096, 1), memory, 64, 0);
    fact_result("submit", submit_one(context, &read));
    fact_left("a cancel that is pending", get_event_that_is_there, CANCELLED_BEFORE);
    fact_result("events", result_after_cancel);
    fact_result("end", io_destroy(context));
}

static void end_in_callback(io_context_t unused, struct iocb *block, long result, long result2) {
    (void)unused;
    (void)block;
    (void)result2;
    pthread_exit((void *)(result == 64 ? 77L : 1));
}

static void run_queue(void) {
    // A buffered operation may complete slightly after its submission.
    while (true) { io_queue_run(context); }
}

static void callbacks_end_the_thread(void) {
    context = new_context(8);
    uint8_t memory[64];
    struct iocb read = block(IOCB_CMD_PREAD, new_file(O_RDONLY, 4096, 1), memory, 64, 0);
    read.data = (uint64_t)(uintptr_t)end_in_callback;
    fact_result("submit", submit_one(context, &read));
    fact_left("thread", run_queue, CANCELLED_BEFORE);
    fact_result("end", io_destroy(context));
}

static volatile long results[CALLS];
static volatile pid_t sleepers[CALLS];

static void *get_result(void *which) {
    long call = (long)which;
    __atomic_store_n(&sleepers[call], gettid(), __ATOMIC_RELEASE);
    switch (call) {
    case 0: results[call] = io_getevents(context, 1, 8, events, NULL); break;
    case 1: results[call] = io_getevents(context, 1, 8, events, &long_time); break;
    default: results[call] = io_pgetevents(context, 1, 8, events, NULL, &mask); break;
    }
    return NULL;
}

/// Destroying the context wakes its sleepers, each of which is independent of the others.
static void contexts_end_over_sleepers(void) {
    sigemptyset(&mask);
    int wrong = 0;
    for (int round = 0; round < 50; round++) {
        context = new_context(8);
        pthread_t threads[3];
        for (long index = 0; index < 3; index++) {
            sleepers[index] = 0;
            threads[index] = start_thread(get_result, (void *)index);
            while (__atomic_load_n(&sleepers[index], __ATOMIC_ACQUIRE) == 0) { sched_yield(); }
            // If the destruction came earlier, the system's library would read an unmapped ring.
            waits_in_kernel(sleepers[index]);
        }
        if (io_destroy(context) != 0) { wrong++; }
        for (int index = 0; index < 3; index++) {
            pthread_join(threads[index], NULL);
            wrong += results[index] != -EINVAL;
        }
    }
    fact_result("wrong", wrong);
}

static const struct test_case cases[] = {
    {"handlers-jump-out", handlers_jump_out},
    {"handlers-jump-out-of-direct-contexts", handlers_jump_out_of_direct_contexts},
    {"threads-are-ended-there", threads_are_ended_there},
    {"threads-are-ended-in-direct-contexts", threads_are_ended_in_direct_contexts},
    {"no-cancellation-point", no_cancellation_point},
    {"callbacks-end-the-thread", callbacks_end_the_thread},
    {"contexts-end-over-sleepers", contexts_end_over_sleepers},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
