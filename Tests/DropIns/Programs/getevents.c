// io_getevents and io_pgetevents: the number of events, time limits, signals, and the content of events.
#include "libaio_cases.h"


static char bytes[4096];

/// A context with this many events to take.
static io_context_t context_with_events(int count) {
    static struct iocb blocks[64];
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(64);
    for (int index = 0; index < count; index++) {
        blocks[index] = block(IOCB_CMD_PREAD, file, bytes, (size_t)index, 0);
        blocks[index].data = (uint64_t)index;
        if (submit_one(context, &blocks[index]) != 1) { broken("io_submit"); }
    }
    // From here on all events are there: through the page cache they may otherwise come later.
    struct aio_ring *ring = (struct aio_ring *)context;
    while (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) != (unsigned)count) { sched_yield(); }
    return context;
}

static void combinations(void) {
    const long pairs[][2] = {{0, 0}, {0, 1}, {1, 1}, {0, 10}, {3, 3}, {2, 10}, {1, 0}, {2, 1}, {-1, 1}, {0, -1},
        {-1, -1},
        {-2, -1}, {INT64_MIN, 1}, {0, INT64_MAX}, {1, INT64_MIN}, {-1, 0}};
    for (size_t index = 0; index < sizeof pairs / sizeof *pairs; index++) {
        io_context_t context = context_with_events(5);
        struct io_event events[16];
        struct timespec now = {0, 0};
        char what[96];
        snprintf(what, sizeof what, "%ld to %ld of 5 events", pairs[index][0], pairs[index][1]);
        fact_result(what, io_getevents(context, pairs[index][0], pairs[index][1], events, &now));
        snprintf(what, sizeof what, "%ld to %ld of the rest", pairs[index][0], pairs[index][1]);
        fact_result(what, io_getevents(context, pairs[index][0], pairs[index][1], events, &now));
        io_destroy(context);
    }
}

/// With a time of zero the library reads the ring itself, and does not reject invalid numbers.
static void combinations_without_events(void) {
    const long pairs[][2] = {{0, 0}, {0, 1}, {1, 1}, {1, 0}, {2, 1}, {-1, 1}, {0, -1}};
    for (size_t index = 0; index < sizeof pairs / sizeof *pairs; index++) {
        io_context_t context = new_context(4);
        struct io_event events[16];
        struct timespec now = {0, 0}, soon = {0, 1000};
        char what[96];
        snprintf(what, sizeof what, "%ld to %ld, no time", pairs[index][0], pairs[index][1]);
        fact_result(what, io_getevents(context, pairs[index][0], pairs[index][1], events, &now));
        snprintf(what, sizeof what, "%ld to %ld, a microsecond", pairs[index][0], pairs[index][1]);
        fact_result(what, io_getevents(context, pairs[index][0], pairs[index][1], events, &soon));
        io_destroy(context);
    }
}

static void contexts(void) {
    struct io_event event;
    struct timespec now = {0, 0};
    fact_result("null", io_getevents(NULL, 1, 1, &event, NULL));
    fact_result("null, no time", io_getevents(NULL, 1, 1, &event, &now));
    fact_result("null, nothing asked", io_getevents(NULL, 0, 0, NULL, NULL));
    fact_result("mapped zeros", io_getevents(aligned_memory(4096), 1, 1, &event, NULL));
    fact_result("mapped zeros, no time", io_getevents(aligned_memory(4096), 1, 1, &event, &now));
}

static void context_at_the_last_address(void) {
    struct io_event event;
    fact_result("result", io_getevents(HIGH_ADDRESS, 1, 1, &event, NULL));
}

static void event_arrays(void) {
    void *bad[] = {NULL, HIGH_ADDRESS, KERNEL_ADDRESS, (void *)8,
        mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
    const char *names[] = {"null", "last address", "kernel address", "first page", "read-only"};
    for (int index = 0; index < 5; index++) {
        io_context_t context = context_with_events(2);
        struct io_event events[4];
        struct timespec now = {0, 0};
        char what[64];
        fact_result(names[index], io_getevents(context, 1, 1, bad[index], NULL));
        snprintf(what, sizeof what, "%s, none asked", names[index]);
        fact_result(what, io_getevents(context, 0, 0, bad[index], &now));
        snprintf(what, sizeof what, "%s, still there", names[index]);
        fact_result(what, io_getevents(context, 0, 4, events, &now));
    }
}

/// Events for which the array has no room stay in the ring.
static void event_array_that_ends_with_its_memory(void) {
    io_context_t context = context_with_events(5);
    uint8_t *pages = aligned_memory(8192);
    munmap(pages + 4096, 4096);
    struct io_event *two = (struct io_event *)(pages + 4096 - 64), events[8];
    struct timespec now = {0, 0};
    long first = io_getevents(context, 5, 5, two, &now);
    fact_result("result", first);
    fact_result("still there", io_getevents(context, 0, 8, events, &now));
}

static void time_limits(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    const struct timespec limits[] = {{0, 0}, {0, 1}, {0, 1000000}, {0, 1000000000}};
    for (size_t index = 0; index < sizeof limits / sizeof *limits; index++) {
        char what[96];
        struct timespec limit = limits[index];
        snprintf(what, sizeof what, "%ld s %ld ns", (long)limit.tv_sec, limit.tv_nsec);
        fact_result(what, io_getevents(context, 1, 1, &event, &limit));
        snprintf(what, sizeof what, "%ld s %ld ns, left alone", (long)limit.tv_sec, limit.tv_nsec);
        fact_bool(what, memcmp(&limit, &limits[index], sizeof limit) == 0);
    }
    struct timespec start, end, limit = {0, 20000000};
    clock_gettime(CLOCK_MONOTONIC, &start);
    io_getevents(context, 1, 1, &event, &limit);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long passed = (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec;
    fact_bool("not before its time", passed >= 20000000);
}

/// At least none, of two: the first event that is there ends the call, however long its time.
static void at_least_none_with_one_there(void) {
    io_context_t context = new_context(4);
    int file = new_file(O_RDONLY, 4096, 1);
    struct timespec limit = {120, 0};
    struct io_event events[2];
    static uint8_t page[4096];
    struct iocb one = block(IOCB_CMD_PREAD, file, page, sizeof page, 0);
    fact_result("submit", submit_one(context, &one));
    fact_result("of two", io_getevents(context, 0, 2, events, &limit));
}

static void time_limits_with_events_there(void) {
    const struct timespec limits[] = {{0, 1000000000}, {0, -1}, {-1, 0}, {INT64_MAX, 999999999}};
    for (size_t index = 0; index < sizeof limits / sizeof *limits; index++) {
        io_context_t context = context_with_events(2);
        char what[96];
        struct io_event event;
        struct timespec limit = limits[index];
        snprintf(what, sizeof what, "%ld s %ld ns", (long)limit.tv_sec, limit.tv_nsec);
        fact_result(what, io_getevents(context, 1, 1, &event, &limit));
    }
    io_context_t context = context_with_events(2);
    struct io_event events[4];
    struct timespec soon = {0, 1000000};
    fact_result("fewer than asked for", io_getevents(context, 4, 4, events, &soon));
    fact_result("nothing left", event_count_now(context));
}

static void time_limit_at_the_last_address(void) {
    struct io_event event;
    fact_result("result", io_getevents(context_with_events(2), 1, 1, &event, HIGH_ADDRESS));
}

static void time_limit_at_a_kernel_address(void) {
    struct io_event event;
    fact_result("result", io_getevents(context_with_events(2), 1, 1, &event, KERNEL_ADDRESS));
}

static void what_an_event_says(void) {
    io_context_t context = context_with_events(3);
    struct io_event events[3];
    memset(events, 0xff, sizeof events);
    fact_result("events", io_getevents(context, 3, 3, events, NULL));
    uint64_t seen = 0;
    bool isGood = true;
    for (int index = 0; index < 3; index++) {
        seen |= 1ull << events[index].data;
        isGood &= events[index].res == (int64_t)events[index].data && events[index].res2 == 0;
        isGood &= ((struct iocb *)(uintptr_t)events[index].obj)->data == events[index].data;
    }
    fact_bool("each once", seen == 7);
    fact_bool("data, obj, res and res2", isGood);
    int file = new_file(O_RDONLY, 4096, 1);
    struct iocb failing = block(IOCB_CMD_PREAD, file, (void *)8, 16, 0);
    failing.data = UINT64_MAX;
    if (submit_one(context, &failing) != 1) { broken("io_submit"); }
    struct io_event event = next_event(context);
    fact("of a failed one", "%s, res2 %ld, data %s", result_name(event.res), (long)event.res2,
        event.data == UINT64_MAX ? "kept" : "lost");
}

static volatile sig_atomic_t handled;
static void handle(int signal) { (void)signal, handled = handled + 1; }

static void catch(int signal, int flags) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

static pid_t waiting_thread;

/// Interrupts the waiting thread once it sleeps.
static void *interrupt(void *unused) {
    waits_in_kernel(waiting_thread);
    tgkill(getpid(), waiting_thread, SIGUSR1);
    (void)unused;
    return NULL;
}

static void interrupted(const char *what, int flags, struct timespec *limit) {
    io_context_t context = new_context(4);
    struct io_event event;
    catch(SIGUSR1, flags);
    handled = 0;
    waiting_thread = gettid();
    pthread_t thread = start_thread(interrupt, NULL);
    long result = io_getevents(context, 1, 1, &event, limit);
    pthread_join(thread, NULL);
    fact(what, "%s, handled %d", result_name(result), (int)handled);
}

static void signals(void) {
    struct timespec limit = {10, 0};
    interrupted("without restart", 0, NULL);
    interrupted("with restart", SA_RESTART, NULL);
    interrupted("without restart, with a time limit", 0, &limit);
    interrupted("with restart, with a time limit", SA_RESTART, &limit);
}

/// These limits never expire: only a signal ends the wait.
static void time_limits_that_never_pass(void) {
    const struct timespec limits[] = {{0, -1}, {-1, 0}, {-1, 5}, {-100, 0}, {0, INT64_MAX}, {INT64_MAX, 5}};
    for (size_t index = 0; index < sizeof limits / sizeof *limits; index++) {
        char what[96];
        struct timespec limit = limits[index];
        snprintf(what, sizeof what, "%ld s %ld ns", (long)limit.tv_sec, limit.tv_nsec);
        interrupted(what, 0, &limit);
    }
}

/// Some events are there, but fewer than requested: they are not lost.
static void signal_with_some_events(void) {
    io_context_t context = context_with_events(2);
    struct io_event events[4];
    catch(SIGUSR1, 0);
    waiting_thread = gettid();
    pthread_t thread = start_thread(interrupt, NULL);
    fact_result("result", io_getevents(context, 4, 4, events, NULL));
    pthread_join(thread, NULL);
    fact_result("left", event_count_now(context));
}

static void ignored_signals_do_not_interrupt(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    struct timespec limit = {0, 50000000};
    signal(SIGUSR1, SIG_IGN);
    waiting_thread = gettid();
    pthread_t thread = start_thread(interrupt, NULL);
    fact_result("result", io_getevents(context, 1, 1, &event, &limit));
    pthread_join(thread, NULL);
}

static sigset_t set_of(int signal) {
    sigset_t set;
    sigemptyset(&set);
    if (signal) { sigaddset(&set, signal); }
    return set;
}

static bool is_blocked(int signal) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, signal) == 1;
}

/// The signal is blocked and pending outside; the mask admits it only during the call.
static void mask_lets_a_pending_signal_in(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    struct timespec limit = {10, 0};
    sigset_t blocked = set_of(SIGUSR1), open = set_of(0);
    catch(SIGUSR1, 0);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    fact_result("handled before", handled);
    fact_result("result", io_pgetevents(context, 1, 1, &event, &limit, &open));
    fact_result("handled", handled);
    fact_bool("blocked again", is_blocked(SIGUSR1));
    raise(SIGUSR1);
    fact_result("with restart and no time limit", (catch(SIGUSR1, SA_RESTART), io_pgetevents(context, 1, 1, &event,
        NULL, &open)));
    fact_result("handled twice", handled);
}

static void mask_with_events_there(void) {
    io_context_t context = context_with_events(2);
    struct io_event event;
    sigset_t blocked = set_of(SIGUSR1), open = set_of(0);
    catch(SIGUSR1, 0);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    // Both happen: the event is taken, and the signal is delivered on return.
    fact_result("result", io_pgetevents(context, 1, 1, &event, NULL, &open));
    fact_result("handled", handled);
    sigset_t pending;
    sigpending(&pending);
    fact_bool("pending", sigismember(&pending, SIGUSR1) == 1);
    fact_bool("blocked", is_blocked(SIGUSR1));
}

static void mask_without_time(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    struct timespec now = {0, 0};
    sigset_t blocked = set_of(SIGUSR1), open = set_of(0);
    catch(SIGUSR1, 0);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    fact_result("result", io_pgetevents(context, 1, 1, &event, &now, &open));
    fact_result("handled", handled);
}

/// The kernel executes the transfer within io_submit, so that libaio sees an event and makes the system call. If the
/// transfer is not done yet, the signals are admitted nevertheless.
static void mask_without_time_after_a_transfer(void) {
    static char bytes[8 << 20];
    struct io_event event;
    struct timespec now = {0, 0};
    sigset_t blocked = set_of(SIGUSR1), open = set_of(0);
    int descriptor = new_file(O_RDWR, 0, 1);
    catch(SIGUSR1, 0);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    for (int turn = 0; turn < 20; turn++) {
        io_context_t context = new_context(4);
        struct iocb write = block(IOCB_CMD_PWRITE, descriptor, bytes, sizeof bytes, 0);
        if (submit_one(context, &write) != 1) { broken("io_submit"); }
        raise(SIGUSR1);
        long count = io_pgetevents(context, 0, 1, &event, &now, &open);
        if (count < 0 && count != -EINTR) { broken("io_pgetevents"); }
        io_destroy(context);
    }
    fact_result("handled", handled);
}

/// The mask is set before the other arguments are checked.
static void mask_with_arguments_that_are_refused(void) {
    struct io_event event;
    struct timespec soon = {0, 1000};
    sigset_t blocked = set_of(SIGUSR1), open = set_of(0);
    catch(SIGUSR1, 0);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    fact_result("more than asked", io_pgetevents(new_context(4), 2, 1, &event, &soon, &open));
    fact_result("handled once", handled);
    raise(SIGUSR1);
    fact_result("no context", io_pgetevents(NULL, 1, 1, &event, &soon, &open));
    fact_result("handled twice", handled);
}

static void mask_keeps_a_signal_out(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    struct timespec limit = {0, 20000000};
    sigset_t blocked = set_of(SIGUSR1);
    catch(SIGUSR1, 0);
    waiting_thread = gettid();
    pthread_t thread = start_thread(interrupt, NULL);
    fact_result("result", io_pgetevents(context, 1, 1, &event, &limit, &blocked));
    pthread_join(thread, NULL);
    fact_result("handled afterwards", handled);
    fact_bool("open again", !is_blocked(SIGUSR1));
}

static void mask_pointers(void) {
    struct io_event event;
    struct timespec soon = {0, 1000};
    sigset_t open = set_of(0);
    fact_result("null, no events", io_pgetevents(new_context(4), 1, 1, &event, &soon, NULL));
    fact_result("null, with events", io_pgetevents(context_with_events(2), 1, 1, &event, &soon, NULL));
    fact_result("last address, no events", io_pgetevents(new_context(4), 1, 1, &event, &soon, HIGH_ADDRESS));
    fact_result("last address, with events", io_pgetevents(context_with_events(2), 1, 1, &event, &soon, HIGH_ADDRESS));
    fact_result("no context", io_pgetevents(NULL, 1, 1, &event, &soon, &open));
    fact_result("more than asked", io_pgetevents(new_context(4), 2, 1, &event, &soon, &open));
    fact_result("time limit passes", io_pgetevents(new_context(4), 1, 1, &event, &soon, &open));
    fact_result("bad events", io_pgetevents(context_with_events(2), 1, 1, HIGH_ADDRESS, &soon, &open));
    fact_result("events", io_pgetevents(context_with_events(2), 1, 1, &event, NULL, &open));
}

static void time_limit_at_the_last_address_with_a_mask(void) {
    struct io_event event;
    sigset_t open = set_of(0);
    fact_result("result", io_pgetevents(new_context(4), 1, 1, &event, HIGH_ADDRESS, &open));
}

static void *complete_later(void *descriptor) {
    waits_in_kernel(waiting_thread);
    if (write((int)(long)descriptor, "x", 1) != 1) { broken("write"); }
    return NULL;
}

static void a_waiter_is_woken_by_an_event(void) {
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    io_context_t context = new_context(4);
    struct iocb poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    submit_one(context, &poll);
    waiting_thread = gettid();
    pthread_t thread = start_thread(complete_later, (void *)(long)ends[1]);
    struct io_event events[4];
    fact_result("without a time limit", io_getevents(context, 1, 4, events, NULL));
    pthread_join(thread, NULL);
    submit_one(context, &poll);
    struct timespec limit = {15, 0};
    fact_result("with one", io_getevents(context, 1, 4, events, &limit));
}

static const struct test_case cases[] = {
    {"combinations", combinations},
    {"combinations-without-events", combinations_without_events},
    {"contexts", contexts},
    {"context-at-the-last-address", context_at_the_last_address},
    {"event-arrays", event_arrays},
    {"event-array-that-ends-with-its-memory", event_array_that_ends_with_its_memory},
    {"time-limits", time_limits},
    {"at-least-none-with-one-there", at_least_none_with_one_there},
    {"time-limits-with-events-there", time_limits_with_events_there},
    {"time-limit-at-the-last-address", time_limit_at_the_last_address},
    {"time-limit-at-a-kernel-address", time_limit_at_a_kernel_address},
    {"what-an-event-says", what_an_event_says},
    {"signals", signals},
    {"time-limits-that-never-pass", time_limits_that_never_pass},
    {"signal-with-some-events", signal_with_some_events},
    {"ignored-signals-do-not-interrupt", ignored_signals_do_not_interrupt},
    {"mask-lets-a-pending-signal-in", mask_lets_a_pending_signal_in},
    {"mask-with-events-there", mask_with_events_there},
    {"mask-without-time", mask_without_time},
    {"mask-without-time-after-a-transfer", mask_without_time_after_a_transfer},
    {"mask-with-arguments-that-are-refused", mask_with_arguments_that_are_refused},
    {"mask-keeps-a-signal-out", mask_keeps_a_signal_out},
    {"mask-pointers", mask_pointers},
    {"time-limit-at-the-last-address-with-a-mask", time_limit_at_the_last_address_with_a_mask},
    {"a-waiter-is-woken-by-an-event", a_waiter_is_woken_by_an_event},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
