// Notifications of requests and of lists: none, signals with their values, threads with their attributes.
#include "posix_cases.h"

#include <limits.h>
#include <semaphore.h>

static char buffer[1 << 16];
static sem_t told;
static sigset_t all_blocked;

static void block_signals(void) {
    sigemptyset(&all_blocked);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++) { sigaddset(&all_blocked, signal); }
    sigaddset(&all_blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &all_blocked, NULL);
}

static siginfo_t next_signal(void) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    struct timespec limit = {2, 0};
    while (sigtimedwait(&all_blocked, &info, &limit) < 0) {
        if (errno != EINTR) { break; }
    }
    return info;
}

static void fact_signal(const char *what, siginfo_t info) {
    fact(what, "signal %s%d, code %d, value %d, of %s", info.si_signo >= SIGRTMIN ? "minimum + " : "",
        info.si_signo >= SIGRTMIN ? info.si_signo - SIGRTMIN : info.si_signo, info.si_code, info.si_value.sival_int,
        info.si_pid == getpid() && info.si_uid == getuid() ? "this process" : "nobody");
}

static struct sigevent signal_event(int signal, int value) {
    return (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal, .sigev_value.sival_int = value};
}

static void signals(void) {
    block_signals();
    int file = new_file(O_RDWR, 65536, 1), ends[2];
    new_pipe(ends);
    struct aiocb block = block_of(file, buffer, 100, 0);
    block.aio_sigevent = signal_event(SIGRTMIN + 3, 42);
    aio_read(&block);
    fact_signal("of a read", next_signal());
    fact_result("the read, at once", aio_error(&block));
    block.aio_sigevent = signal_event(SIGUSR1, 43);
    aio_write(&block);
    fact_signal("of a write", next_signal());
    fact_result("the write, at once", aio_error(&block));
    aio_fsync(O_SYNC, &block);
    fact_signal("of a sync", next_signal());
    block.aio_fildes = -1;
    aio_read(&block);
    fact_signal("of a failure", next_signal());
    fact_result("the failure, at once", aio_error(&block));
    block = block_of(ends[0], buffer, 100, 0);
    block.aio_sigevent = signal_event(SIGRTMIN, -7);
    aio_read(&block);
    if (write(ends[1], "abc", 3) != 3) { broken("write"); }
    fact_signal("of a stream", next_signal());
    fact_result("the stream, at once", finish(&block));
}

static void many_signals(void) {
    enum { COUNT = 100 };
    block_signals();
    int file = new_file(O_RDWR, 65536, 1);
    static struct aiocb blocks[COUNT];
    bool isSeen[COUNT] = {false};
    for (int index = 0; index < COUNT; index++) {
        blocks[index] = block_of(file, buffer, 100, index);
        blocks[index].aio_sigevent = signal_event(SIGRTMIN, index);
        if (index % 2) { aio_read(&blocks[index]); } else { aio_write(&blocks[index]); }
    }
    for (int index = 0; index < COUNT; index++) {
        int value = next_signal().si_value.sival_int;
        if (value >= 0 && value < COUNT) { isSeen[value] = true; }
    }
    int missing = 0;
    for (int index = 0; index < COUNT; index++) { missing += !isSeen[index]; }
    fact_result("missing", missing);
}

static void signals_that_do_not_exist(void) {
    int file = new_file(O_RDWR, 65536, 1);
    const int signals[] = {65, 1000, -1, 0};
    for (int index = 0; index < 4; index++) {
        char what[64];
        struct aiocb block = block_of(file, buffer, 100, 0);
        block.aio_sigevent = signal_event(signals[index], 1);
        aio_write(&block);
        // The system's library shows the result for a moment before it tries to send the notification.
        while (aio_error(&block) == EINPROGRESS) {}
        snprintf(what, sizeof what, "read with %d", signals[index]);
        fact_call(what, aio_read(&block));
    }
}

static void kinds_that_do_not_exist(void) {
    int file = new_file(O_RDWR, 65536, 1);
    struct aiocb block = block_of(file, buffer, 100, 0);
    block.aio_sigevent.sigev_notify = 77;
    fact_call("read", aio_read(&block));
    fact_result("result", finish(&block));
}

static volatile sig_atomic_t handled, handled_error = -1;
static struct aiocb *handled_block;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    handled_error = aio_error(info->si_value.sival_ptr);
    handled_block = info->si_value.sival_ptr;
    handled = 1;
}

static void a_handler_sees_the_result(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, NULL);
    int ends[2];
    new_pipe(ends);
    struct aiocb block = block_of(ends[0], buffer, 10, 0);
    block.aio_sigevent = (struct sigevent){
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = &block};
    aio_read(&block);
    if (write(ends[1], "abc", 3) != 3) { broken("write"); }
    while (!handled) { sched_yield(); }
    fact_result("error", handled_error);
    fact_bool("block", handled_block == &block);
    fact_result("result", aio_return(&block));
}

static int thread_value;
static bool thread_is_detached, thread_has_signals_blocked, thread_is_main;
static size_t thread_stack;
static pthread_t main_thread;

static void on_thread(union sigval value) {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    int state = 0;
    pthread_attr_getdetachstate(&attributes, &state);
    pthread_attr_getstacksize(&attributes, &thread_stack);
    pthread_attr_destroy(&attributes);
    thread_is_detached = state == PTHREAD_CREATE_DETACHED;
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    thread_has_signals_blocked = sigismember(&mask, SIGUSR1) || sigismember(&mask, SIGTERM)
        || sigismember(&mask, SIGRTMIN);
    thread_is_main = pthread_equal(pthread_self(), main_thread);
    thread_value = value.sival_int;
    sem_post(&told);
}

static struct sigevent thread_event(int value) {
    return (struct sigevent){
        .sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = value, .sigev_notify_function = on_thread};
}

static bool wait_told(void) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 5;
    return sem_timedwait(&told, &limit) == 0;
}

static void fact_thread(const char *what) {
    bool isTold = wait_told();
    fact(what, "%s, value %d, %s, signals %s, %s", isTold ? "told" : "not told", thread_value,
        thread_is_detached ? "detached" : "joinable", thread_has_signals_blocked ? "blocked" : "not blocked",
        thread_is_main ? "main thread" : "another thread");
}

static void threads(void) {
    sem_init(&told, 0, 0);
    main_thread = pthread_self();
    block_signals();
    int file = new_file(O_RDWR, 65536, 1), ends[2];
    new_pipe(ends);
    struct aiocb block = block_of(file, buffer, 100, 0);
    block.aio_sigevent = thread_event(5);
    aio_read(&block);
    fact_thread("of a read");
    fact_result("the read, at once", aio_error(&block));
    block.aio_sigevent.sigev_value.sival_int = 6;
    aio_write(&block);
    fact_thread("of a write");
    aio_fsync(O_SYNC, &block);
    fact_thread("of a sync");
    struct aiocb waiting = block_of(ends[0], buffer, 100, 0);
    waiting.aio_sigevent = block.aio_sigevent;
    waiting.aio_sigevent.sigev_value.sival_int = 7;
    aio_read(&waiting);
    if (write(ends[1], "abc", 3) != 3) { broken("write"); }
    fact_thread("of a stream");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1234 * 4096);
    block.aio_sigevent.sigev_notify_attributes = &attributes;
    aio_read(&block);
    fact_thread("with attributes");
    fact_bool("at least the stack asked for", thread_stack >= 1234 * 4096);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    aio_write(&block);
    fact_thread("with attributes, detached");
}

static void many_threads(void) {
    enum { COUNT = 200 };
    sem_init(&told, 0, 0);
    int file = new_file(O_RDWR, 65536, 1), missing = 0;
    static struct aiocb blocks[COUNT];
    for (int index = 0; index < COUNT; index++) {
        blocks[index] = block_of(file, buffer, 100, index);
        blocks[index].aio_sigevent = thread_event(0);
        if (index % 2) { aio_read(&blocks[index]); } else { aio_write(&blocks[index]); }
    }
    for (int index = 0; index < COUNT; index++) { missing += !wait_told(); }
    fact_result("missing", missing);
}

static struct aiocb chained;
static int chain_length;

/// Starts the next request from the notification of the previous one.
static void chain(union sigval value) {
    (void)value;
    if (++chain_length == 50) {
        sem_post(&told);
    } else if (aio_write(&chained) != 0) {
        broken("aio_write");
    }
}

static void threads_that_hand_over_more(void) {
    sem_init(&told, 0, 0);
    chained = block_of(new_file(O_RDWR, 0, 0), buffer, 100, 0);
    chained.aio_sigevent = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = chain};
    aio_write(&chained);
    fact_bool("told", wait_told());
    fact_result("calls", chain_length);
}

static void thread_ids(void) {
    block_signals();
    int file = new_file(O_RDWR, 65536, 1);
    struct aiocb block = block_of(file, buffer, 100, 0);
    memset(&block.aio_sigevent, 0, sizeof block.aio_sigevent);
    block.aio_sigevent.sigev_notify = SIGEV_THREAD_ID;
    block.aio_sigevent.sigev_signo = SIGRTMIN + 1;
    block.aio_sigevent.sigev_value.sival_int = 9;
    block.aio_sigevent._sigev_un._tid = gettid();
    aio_write(&block);
    fact_signal("of a write", next_signal());
    fact_result("result", finish(&block));
}

static void lists_come_last(void) {
    enum { COUNT = 20 };
    block_signals();
    int file = new_file(O_RDWR, 1 << 20, 1);
    static struct aiocb blocks[COUNT];
    struct aiocb *list[COUNT];
    make_cold(file);
    for (int index = 0; index < COUNT; index++) {
        list[index] = &blocks[index];
        blocks[index] = block_of(file, buffer + index * 512, 512, index * 16384);
        blocks[index].aio_lio_opcode = index % 3 ? LIO_READ : LIO_WRITE;
        blocks[index].aio_sigevent = signal_event(SIGRTMIN, index);
    }
    struct sigevent event = signal_event(SIGRTMIN, 1000);
    fact_call("list", lio_listio(LIO_NOWAIT, list, COUNT, &event));
    int position = -1;
    for (int index = 0; index <= COUNT; index++) {
        if (next_signal().si_value.sival_int == 1000) { position = index; }
    }
    fact_result("signals before the list's", position);
}

static void lists_without_entries(void) {
    block_signals();
    struct aiocb nothing = block_of(-1, NULL, 0, 0), *list[] = {NULL, &nothing, NULL};
    struct sigevent event = signal_event(SIGRTMIN, 1000);
    fact_call("none", lio_listio(LIO_NOWAIT, list, 0, &event));
    fact_signal("of none", next_signal());
    fact_call("nothing to do", lio_listio(LIO_NOWAIT, list, 3, &event));
    fact_signal("of nothing to do", next_signal());
    fact_call("no list", lio_listio(LIO_NOWAIT, NULL, 0, &event));
    fact_signal("of no list", next_signal());
    sem_init(&told, 0, 0);
    event = thread_event(8);
    main_thread = pthread_self();
    fact_call("none, with a thread", lio_listio(LIO_NOWAIT, list, 0, &event));
    fact_thread("of none, with a thread");
}

static void lists_that_are_waited_for(void) {
    block_signals();
    int file = new_file(O_RDWR, 65536, 1);
    struct aiocb block = block_of(file, buffer, 100, 0), *list[] = {&block};
    block.aio_lio_opcode = LIO_WRITE;
    block.aio_sigevent = signal_event(SIGRTMIN, 1);
    struct sigevent event = signal_event(SIGRTMIN, 1000);
    fact_call("list", lio_listio(LIO_WAIT, list, 1, &event));
    fact_signal("its entry", next_signal());
    sigset_t pending;
    sigpending(&pending);
    fact_bool("another is pending", sigismember(&pending, SIGRTMIN));
}

static void cancelled_requests_are_told_of(void) {
    block_signals();
    int ends[2];
    new_pipe(ends);
    static struct aiocb blocks[4];
    for (int index = 0; index < 4; index++) {
        blocks[index] = block_of(ends[0], buffer, 1, 0);
        blocks[index].aio_sigevent = signal_event(SIGRTMIN, index);
        aio_read(&blocks[index]);
    }
    // Once one of the byte's readers has completed, the first one has certainly started.
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("first", next_signal().si_value.sival_int);
    fact_call("last", aio_cancel(ends[0], &blocks[3]));
    fact_signal("of the last", next_signal());
    fact_result("error", aio_error(&blocks[3]));
    fact_result("result", aio_return(&blocks[3]));
}

int main(int count, char **arguments) {
    const struct test_case cases[] = {
        {"signals", signals}, {"many-signals", many_signals},
        {"signals-that-do-not-exist", signals_that_do_not_exist}, {"kinds-that-do-not-exist", kinds_that_do_not_exist},
        {"a-handler-sees-the-result", a_handler_sees_the_result}, {"threads", threads}, {"many-threads", many_threads},
        {"threads-that-hand-over-more", threads_that_hand_over_more}, {"thread-ids", thread_ids},
        {"lists-come-last", lists_come_last}, {"lists-without-entries", lists_without_entries},
        {"lists-that-are-waited-for", lists_that_are_waited_for},
        {"cancelled-requests-are-told-of", cancelled_requests_are_told_of},
    };
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
