// aio_suspend, aio_cancel and lio_listio.
#include "posix_cases.h"

#include <limits.h>

static char buffer[1 << 20];

static int suspend_until(struct aiocb *block, long milliseconds) {
    const struct aiocb *list[] = {block};
    return aio_suspend(list, 1, &(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000});
}

static void suspending(void) {
    int ends[2], file = new_file(O_RDWR, 4096, 1);
    new_pipe(ends);
    struct aiocb waiting = block_of(ends[0], buffer, 1, 0), done = block_of(file, buffer, 1, 0);
    const struct aiocb *list[3] = {NULL, NULL, NULL};
    fact_call("none", aio_suspend(list, 0, NULL));
    fact_call("no list", aio_suspend(NULL, 0, NULL));
    fact_call("fewer than none", aio_suspend(list, -1, NULL));
    fact_call("nothing", aio_suspend(list, 3, NULL));
    aio_read(&waiting);
    fact_call("no time", suspend_until(&waiting, 0));
    double began = monotonic_seconds();
    fact_call("some time", suspend_until(&waiting, 50));
    fact_bool("that long", monotonic_seconds() - began >= 0.05);
    fact_call("less than no time", aio_suspend(
        (const struct aiocb *[]){&waiting}, 1, &(struct timespec){-1, 0}));
    fact_call("just less than no time", aio_suspend((const struct aiocb *[]){&waiting}, 1, &(struct timespec){0, -5}));
    fact_call("the least time", aio_suspend(
        (const struct aiocb *[]){&waiting}, 1, &(struct timespec){LONG_MIN, -1}));
    write_now(file, buffer, 1, 0);
    aio_write(&done);
    finish(&done);
    list[1] = &waiting;
    list[2] = &done;
    fact_call("one is done", aio_suspend(list, 3, NULL));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    list[2] = NULL;
    fact_call("the stream", aio_suspend(list, 3, NULL));
    fact_result("its result", finish(&waiting));
}

static void blocks_that_were_made_up(void) {
    int file = new_file(O_RDONLY, 100, 1);
    struct aiocb real = block_of(file, buffer, 10, 0), copy;
    // The block's fields for the library's use say "in progress".
    struct aiocb made_up = real;
    int *words = (int *)&made_up;
    for (size_t index = 0; index < sizeof made_up / sizeof(int); index++) {
        if (((char *)&words[index] < (char *)&made_up.aio_sigevent
                || (char *)&words[index] >= (char *)(&made_up.aio_sigevent + 1))) {
            words[index] = EINPROGRESS;
        }
    }
    made_up.aio_fildes = file;
    const struct aiocb *list[] = {&made_up};
    fact_call("suspend", aio_suspend(list, 1, NULL));
    fact_result("error", aio_error(&made_up));
    fact_call("cancel", aio_cancel(file, &made_up));
    fact_result("read", read_now(file, buffer, 10, 0));
    fact_call("suspend after a read", aio_suspend(list, 1, NULL));
    fact_call("cancel after a read", aio_cancel(file, &made_up));
    int ends[2];
    new_pipe(ends);
    real = block_of(ends[0], buffer, 10, 0);
    aio_read(&real);
    copy = real;
    list[0] = &copy;
    fact_call("suspend on a copy", aio_suspend(list, 1, NULL));
    fact_call("cancel of a copy", aio_cancel(ends[0], &copy));
}

static volatile sig_atomic_t handled;
static int handler_pipe[2];
static struct aiocb handler_block;

static void note(int signal) {
    (void)signal;
    handled++;
}

static void *signal_main(void *thread) {
    waits_in_kernel(getpid());
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

static void interruptions(void) {
    int ends[2];
    new_pipe(ends);
    pthread_t self = pthread_self();
    struct aiocb waiting = block_of(ends[0], buffer, 1, 0), *entries[] = {&waiting};
    const struct aiocb *list[] = {&waiting};
    aio_read(&waiting);
    const int flags[] = {0, SA_RESTART};
    for (int index = 0; index < 2; index++) {
        struct sigaction action = {.sa_handler = note, .sa_flags = flags[index]};
        sigaction(SIGUSR1, &action, NULL);
        pthread_t thread = start_thread(signal_main, &self);
        fact_call(index ? "with a time limit, restarting" : "with a time limit",
            aio_suspend(list, 1, &(struct timespec){3, 0}));
        pthread_join(thread, NULL);
    }
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = note}, NULL);
    pthread_t thread = start_thread(signal_main, &self);
    fact_call("without one", aio_suspend(list, 1, NULL));
    pthread_join(thread, NULL);
    waiting.aio_lio_opcode = LIO_READ;
    struct aiocb second = block_of(ends[0], buffer, 1, 0);
    second.aio_lio_opcode = LIO_READ;
    entries[0] = &second;
    thread = start_thread(signal_main, &self);
    fact_call("list", lio_listio(LIO_WAIT, entries, 1, NULL));
    pthread_join(thread, NULL);
    fact_result("handled", handled);
    fact_bool("in progress still", aio_error(&second) == EINPROGRESS);
    if (write(ends[1], "xy", 2) != 2) { broken("write"); }
    fact_result("first", finish(&waiting));
    fact_result("second", finish(&second));
}

static void *feed_once_restarted(void *thread) {
    waits_in_kernel(getpid());
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    while (!handled) { sched_yield(); }
    if (write(handler_pipe[1], "x", 1) != 1) { broken("write"); }
    return NULL;
}

static void restarted_without_a_time_limit(void) {
    new_pipe(handler_pipe);
    pthread_t self = pthread_self();
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = note, .sa_flags = SA_RESTART}, NULL);
    struct aiocb waiting = block_of(handler_pipe[0], buffer, 1, 0);
    const struct aiocb *list[] = {&waiting};
    aio_read(&waiting);
    pthread_t thread = start_thread(feed_once_restarted, &self);
    fact_call("suspend", aio_suspend(list, 1, NULL));
    pthread_join(thread, NULL);
    fact_result("result", finish(&waiting));
}

static void suspend_in_handler(int signal) {
    (void)signal;
    const struct aiocb *list[] = {&handler_block};
    if (write(handler_pipe[1], "x", 1) != 1) { _exit(1); }
    while (aio_error(&handler_block) == EINPROGRESS) { aio_suspend(list, 1, NULL); }
    handled = aio_return(&handler_block) == 1 ? 1 : 2;
}

static void suspending_in_a_handler(void) {
    int ends[2];
    new_pipe(ends);
    new_pipe(handler_pipe);
    pthread_t self = pthread_self();
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = suspend_in_handler}, NULL);
    handler_block = block_of(handler_pipe[0], buffer, 1, 0);
    aio_read(&handler_block);
    struct aiocb waiting = block_of(ends[0], buffer, 1, 0);
    const struct aiocb *list[] = {&waiting};
    aio_read(&waiting);
    pthread_t thread = start_thread(signal_main, &self);
    fact_call("outside", aio_suspend(list, 1, NULL));
    pthread_join(thread, NULL);
    fact_result("inside", handled);
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("result", finish(&waiting));
}

static struct aiocb cancelled_block;
static pid_t cancelled_thread;
static bool was_cleaned;

static void clean(void *argument) {
    (void)argument;
    was_cleaned = true;
}

static void *suspend_for_ever(void *isLimited) {
    const struct aiocb *list[] = {&cancelled_block};
    pthread_cleanup_push(clean, NULL);
    __atomic_store_n(&cancelled_thread, gettid(), __ATOMIC_RELEASE);
    while (true) { aio_suspend(list, 1, isLimited ? &(struct timespec){1000, 0} : NULL); }
    pthread_cleanup_pop(0);
    return NULL;
}

static void threads_are_cancelled_there(void) {
    int ends[2];
    new_pipe(ends);
    cancelled_block = block_of(ends[0], buffer, 1, 0);
    aio_read(&cancelled_block);
    for (int isLimited = 0; isLimited < 2; isLimited++) {
        cancelled_thread = 0;
        was_cleaned = false;
        pthread_t thread = start_thread(suspend_for_ever, isLimited ? buffer : NULL);
        while (__atomic_load_n(&cancelled_thread, __ATOMIC_ACQUIRE) == 0) { sched_yield(); }
        waits_in_kernel(cancelled_thread);
        pthread_cancel(thread);
        void *result = NULL;
        pthread_join(thread, &result);
        fact_bool(isLimited ? "cancelled, with a time limit" : "cancelled", result == PTHREAD_CANCELED);
        fact_bool(isLimited ? "cleaned up, with a time limit" : "cleaned up", was_cleaned);
    }
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("result", finish(&cancelled_block));
}

static void *suspend_on(void *block) {
    const struct aiocb *list[] = {block};
    while (aio_error(block) == EINPROGRESS) { aio_suspend(list, 1, NULL); }
    return NULL;
}

static void many_threads_wait(void) {
    enum { COUNT = 32 };
    static struct aiocb blocks[COUNT], shared;
    static int pipes[COUNT][2], last[2];
    static pthread_t threads[2 * COUNT];
    new_pipe(last);
    shared = block_of(last[0], buffer, 1, 0);
    aio_read(&shared);
    for (int index = 0; index < COUNT; index++) {
        new_pipe(pipes[index]);
        blocks[index] = block_of(pipes[index][0], buffer, 1, 0);
        aio_read(&blocks[index]);
        threads[2 * index] = start_thread(suspend_on, &blocks[index]);
        threads[2 * index + 1] = start_thread(suspend_on, &shared);
    }
    for (int index = 0; index < COUNT; index++) {
        if (write(pipes[index][1], "x", 1) != 1) { broken("write"); }
        pthread_join(threads[2 * index], NULL);
    }
    if (write(last[1], "x", 1) != 1) { broken("write"); }
    for (int index = 0; index < COUNT; index++) { pthread_join(threads[2 * index + 1], NULL); }
    fact_bool("all were woken", true);
}

static void cancelling(void) {
    int ends[2], other[2], file = new_file(O_RDWR, 4096, 1);
    new_pipe(ends);
    new_pipe(other);
    struct aiocb block = block_of(file, buffer, 10, 0), waiting[3];
    fact_call("of none", aio_cancel(-1, NULL));
    fact_call("of a block on none", aio_cancel(-1, &block));
    fact_call("with nothing to cancel", aio_cancel(file, NULL));
    read_now(file, buffer, 10, 0);
    aio_write(&block);
    finish(&block);
    fact_call("of what is done", aio_cancel(file, &block));
    fact_call("of all that is done", aio_cancel(file, NULL));
    fact_call("of another descriptor's block", aio_cancel(ends[0], &block));
    for (int index = 0; index < 3; index++) { waiting[index] = block_of(ends[0], buffer, 1, 0); }
    begin(&waiting[0]);
    aio_read(&waiting[1]);
    aio_read(&waiting[2]);
    fact_call("of the last that waits", aio_cancel(ends[0], &waiting[2]));
    fact_result("error", aio_error(&waiting[2]));
    fact_result("result", aio_return(&waiting[2]));
    fact_call("once more", aio_cancel(ends[0], &waiting[2]));
    fact_call("on another descriptor", aio_cancel(other[0], NULL));
    fact_call("of one that has begun", aio_cancel(ends[0], &waiting[0]));
    fact_call("of one that has begun, and one that waits", aio_cancel(ends[0], NULL));
    fact_result("the one that has begun", aio_error(&waiting[0]) == EINPROGRESS);
    fact_result("the one that waits", finish(&waiting[1]));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("the one that has begun ends", finish(&waiting[0]));
}

static void cancelled_syncs(void) {
    int ends[2], file = new_file(O_RDWR | O_APPEND, 0, 0);
    new_pipe(ends);
    static struct aiocb writes[100], sync;
    int cancelled = 0, done = 0, other = 0;
    for (int index = 0; index < 100; index++) {
        writes[index] = block_of(file, buffer, 4096, 0);
        aio_write(&writes[index]);
    }
    sync = block_of(file, NULL, 0, 0);
    aio_fsync(O_SYNC, &sync);
    int answer = aio_cancel(file, NULL);
    fact_bool("an answer", answer >= 0 && answer <= 2);
    for (int index = 0; index < 100; index++) {
        long result = finish(&writes[index]);
        if (result == 4096) { done++; } else if (result == -ECANCELED) { cancelled++; } else { other++; }
    }
    long result = finish(&sync);
    fact_bool("sync", result == 0 || result == -ECANCELED);
    fact_result("neither done nor cancelled", other);
    fact_bool("as many are in the file", lseek(file, 0, SEEK_END) == done * 4096l);
}

static void lists(void) {
    enum { COUNT = 100 };
    int file = new_file(O_RDWR, 1 << 20, 1);
    static struct aiocb blocks[COUNT];
    static struct aiocb *list[COUNT + 2];
    fact_call("mode", lio_listio(77, NULL, 0, NULL));
    fact_call("mode, with entries", lio_listio(-1, list, COUNT, NULL));
    fact_call("none", lio_listio(LIO_WAIT, list, 0, NULL));
    fact_call("no list", lio_listio(LIO_WAIT, NULL, 0, NULL));
    fact_call("nothing", lio_listio(LIO_WAIT, list, COUNT, NULL));
    const int counts[] = {1, COUNT};
    for (int round = 0; round < 4; round++) {
        int count = counts[round % 2], mode = round < 2 ? LIO_WAIT : LIO_NOWAIT;
        if (round % 2) { make_cold(file); }
        memset(buffer, 0, sizeof buffer);
        for (int index = 0; index < count; index++) {
            blocks[index] = block_of(file, buffer + index * 4096, 4096, index * 4096);
            blocks[index].aio_lio_opcode = index % 10 == 9 ? LIO_NOP : LIO_READ;
            list[index] = &blocks[index];
        }
        list[count] = list[count + 1] = NULL;
        char what[64];
        snprintf(what, sizeof what, "%d, %s", count, mode == LIO_WAIT ? "waiting" : "not waiting");
        fact_call(what, lio_listio(mode, list, count + 2, NULL));
        int wrong = 0;
        bool isKnown = true;
        for (int index = 0; index < count; index++) {
            if (index % 10 == 9) { continue; }
            if (mode == LIO_WAIT) { wrong += aio_error(&blocks[index]) != 0; }
            wrong += finish(&blocks[index]) != 4096;
            isKnown &= is_known(buffer + index * 4096, 4096, (uint64_t)index * 4096, 1);
        }
        snprintf(what, sizeof what, "wrong of %d, %s", count, mode == LIO_WAIT ? "waiting" : "not waiting");
        fact(what, "%d, content %s", wrong, isKnown ? "right" : "wrong");
    }
}

static void lists_that_are_partly_bad(void) {
    int file = new_file(O_RDWR, 65536, 1);
    for (int mode = 0; mode < 2; mode++) {
        for (int kind = 0; kind < 8; kind++) {
            struct aiocb blocks[3], *list[3];
            char what[64];
            for (int index = 0; index < 3; index++) {
                blocks[index] = block_of(file, buffer, 100, 0);
                blocks[index].aio_lio_opcode = LIO_WRITE;
                list[index] = &blocks[index];
            }
            const char *names[] = {"opcode", "descriptor", "priority", "address", "sync opcode", "other sync opcode",
                "large opcode", "old opcode"};
            switch (kind) {
            case 0: blocks[1].aio_lio_opcode = 99; break;
            case 1: blocks[1].aio_fildes = -1; break;
            case 2: blocks[1].aio_reqprio = -1; break;
            case 3: blocks[1].aio_buf = (void *)8; break;
            case 4: blocks[1].aio_lio_opcode = 3; break;
            case 5: blocks[1].aio_lio_opcode = 4; break;
            case 6: blocks[1].aio_lio_opcode = -77; break;
            default: blocks[1].aio_lio_opcode = LIO_READ | 128; break;
            }
            const char *when = mode == LIO_WAIT ? "waiting" : "not waiting";
            snprintf(what, sizeof what, "%s, %s", names[kind], when);
            fact_call(what, lio_listio(mode, list, 3, NULL));
            snprintf(what, sizeof what, "ends of %s, %s", names[kind], when);
            long first = finish(&blocks[0]), second = finish(&blocks[1]), third = finish(&blocks[2]);
            fact(what, "%s %s %s", result_name(first), result_name(second), result_name(third));
        }
        struct aiocb bad = block_of(file, buffer, 100, 0), *only[] = {&bad};
        bad.aio_lio_opcode = LIO_READ;
        bad.aio_reqprio = 100;
        fact_call(mode == LIO_WAIT ? "only a bad one, waiting" : "only a bad one, not waiting",
            lio_listio(mode, only, 1, NULL));
    }
}

static void lists_are_waited_for_to_the_last(void) {
    int ends[2], file = new_file(O_RDWR, 65536, 1);
    new_pipe(ends);
    struct aiocb blocks[2] = {block_of(ends[0], buffer, 1, 0), block_of(file, buffer + 10, 100, 0)};
    blocks[0].aio_lio_opcode = blocks[1].aio_lio_opcode = LIO_READ;
    struct aiocb *list[] = {&blocks[0], &blocks[1]};
    pid_t child = fork();
    if (child == 0) {
        if (write(ends[1], "x", 1) != 1) { _exit(1); }
        _exit(0);
    }
    fact_call("list", lio_listio(LIO_WAIT, list, 2, NULL));
    fact_result("first", aio_error(&blocks[0]));
    fact_result("second", aio_error(&blocks[1]));
    waitpid(child, NULL, 0);
}

static void *list_on_thread(void *argument) {
    int file = *(int *)argument;
    static _Thread_local struct aiocb blocks[16];
    static _Thread_local char memory[16 * 512];
    struct aiocb *list[16];
    long wrong = 0;
    for (int round = 0; round < 100; round++) {
        for (int index = 0; index < 16; index++) {
            off_t offset = (round * 16 + index) * 512 % (1 << 20);
            blocks[index] = block_of(file, memory + index * 512, 512, offset);
            blocks[index].aio_lio_opcode = LIO_READ;
            list[index] = &blocks[index];
        }
        if (round % 20 == 0) { make_cold(file); }
        wrong += lio_listio(LIO_WAIT, list, 16, NULL) != 0;
        for (int index = 0; index < 16; index++) {
            wrong += !is_known(memory + index * 512, 512, (uint64_t)blocks[index].aio_offset, 1);
        }
    }
    return (void *)wrong;
}

static void lists_on_many_threads(void) {
    int file = new_file(O_RDONLY, 1 << 20, 1);
    pthread_t threads[8];
    long wrong = 0;
    for (int index = 0; index < 8; index++) { threads[index] = start_thread(list_on_thread, &file); }
    for (int index = 0; index < 8; index++) {
        void *result = NULL;
        pthread_join(threads[index], &result);
        wrong += (long)result;
    }
    fact_result("wrong", wrong);
}

int main(int count, char **arguments) {
    const struct test_case cases[] = {
        {"suspending", suspending}, {"blocks-that-were-made-up", blocks_that_were_made_up},
        {"interruptions", interruptions}, {"restarted-without-a-time-limit", restarted_without_a_time_limit},
        {"suspending-in-a-handler", suspending_in_a_handler},
        {"threads-are-cancelled-there", threads_are_cancelled_there}, {"many-threads-wait", many_threads_wait},
        {"cancelling", cancelling}, {"cancelled-syncs", cancelled_syncs}, {"lists", lists},
        {"lists-that-are-partly-bad", lists_that_are_partly_bad},
        {"lists-are-waited-for-to-the-last", lists_are_waited_for_to_the_last},
        {"lists-on-many-threads", lists_on_many_threads},
    };
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
