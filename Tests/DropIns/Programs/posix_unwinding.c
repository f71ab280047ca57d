// Threads that leave aio_suspend and lio_listio while they sleep there.
#include "posix_cases.h"
#include "unwinding.h"

static char buffer[64];
static int ends[2];
static struct aiocb waiting;
static const struct aiocb *list[] = {&waiting};

static void begin_waiting(void) {
    new_pipe(ends);
    waiting = block_of(ends[0], buffer, 1, 0);
    aio_read(&waiting);
}

/// A waiter that left does not block others.
static void end_waiting(void) {
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("the read", finish(&waiting));
    fact_result("another", write_now(ends[1], buffer, 1, 0));
}

static void suspend(void) { aio_suspend(list, 1, NULL); }

static void suspend_for_a_while(void) { aio_suspend(list, 1, &(struct timespec){1000, 0}); }

static void suspended_threads_are_cancelled(void) {
    begin_waiting();
    for (int round = 0; round < 3; round++) {
        char what[64];
        snprintf(what, sizeof what, "before, %d", round);
        fact_left(what, suspend, CANCELLED_BEFORE);
        snprintf(what, sizeof what, "asleep, %d", round);
        fact_left(what, suspend, CANCELLED_ASLEEP);
        snprintf(what, sizeof what, "asleep with a time limit, %d", round);
        fact_left(what, suspend_for_a_while, CANCELLED_ASLEEP);
        snprintf(what, sizeof what, "anywhere, %d", round);
        fact_left(what, suspend, CANCELLED_ANYWHERE);
    }
    end_waiting();
}

static void suspended_threads_are_ended_by_a_handler(void) {
    begin_waiting();
    fact_left("without a time limit", suspend, ENDED_BY_HANDLER);
    fact_left("with one", suspend_for_a_while, ENDED_BY_HANDLER);
    end_waiting();
}

static void completed_requests_are_no_cancellation_point(void) {
    int file = new_file(O_RDWR, 64, 1);
    new_pipe(ends);
    waiting = block_of(file, buffer, 1, 0);
    aio_write(&waiting);
    finish(&waiting);
    fact_left("a cancel that is pending", suspend, CANCELLED_BEFORE);
}

static void handlers_jump_out_of_suspend(void) {
    begin_waiting();
    int left = 0;
    for (int round = 0; round < 100; round++) { left += is_left_by_jump(round % 2 ? suspend : suspend_for_a_while); }
    fact_result("left", left);
    end_waiting();
}

static struct aiocb entry;
static struct aiocb *entries[] = {&entry};
static int list_result;

static void wait_for_list(void) { list_result = lio_listio(LIO_WAIT, entries, 1, NULL); }

static void begin_entry(void) {
    new_pipe(ends);
    // The first use of a library may sleep elsewhere, until its threads have started.
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    read_now(ends[0], buffer, 1, 0);
    entry = block_of(ends[0], buffer, 1, 0);
    entry.aio_lio_opcode = LIO_READ;
}

static void end_entry(void) {
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("the read", finish(&entry));
}

static void *feed_list(void *unused) {
    (void)unused;
    while (aio_error(&entry) != EINPROGRESS) { sched_yield(); }
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    return NULL;
}

static void lists_are_no_cancellation_point(void) {
    // Not even on first use.
    new_pipe(ends);
    entry = block_of(ends[0], buffer, 1, 0);
    entry.aio_lio_opcode = LIO_READ;
    list_result = -77;
    pthread_t feeder = start_thread(feed_list, NULL);
    fact_left("a cancel that is pending", wait_for_list, CANCELLED_BEFORE);
    pthread_join(feeder, NULL);
    fact_result("list", list_result);
}

static void threads_in_lists_are_ended_by_a_handler(void) {
    begin_entry();
    fact_left("thread", wait_for_list, ENDED_BY_HANDLER);
    end_entry();
}

static void handlers_jump_out_of_lists(void) {
    int left = 0;
    for (int round = 0; round < 20; round++) {
        begin_entry();
        left += is_left_by_jump(wait_for_list);
        if (write(ends[1], "x", 1) != 1) { broken("write"); }
        left += finish(&entry) == 1;
    }
    fact_result("left, and read", left);
}

static const struct test_case cases[] = {
    {"suspended-threads-are-cancelled", suspended_threads_are_cancelled},
    {"suspended-threads-are-ended-by-a-handler", suspended_threads_are_ended_by_a_handler},
    {"completed-requests-are-no-cancellation-point", completed_requests_are_no_cancellation_point},
    {"handlers-jump-out-of-suspend", handlers_jump_out_of_suspend},
    {"lists-are-no-cancellation-point", lists_are_no_cancellation_point},
    {"threads-in-lists-are-ended-by-a-handler", threads_in_lists_are_ended_by_a_handler},
    {"handlers-jump-out-of-lists", handlers_jump_out_of_lists},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
