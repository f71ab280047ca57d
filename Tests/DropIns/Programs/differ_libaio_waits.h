// Steps of the test of Linux AIO that wait for events.
#pragma once

static volatile sig_atomic_t signals_seen;
static void see_signal(int number) { (void)number, signals_seen++; }

enum limit { NO_LIMIT, NO_TIME, MICROSECONDS, MILLISECONDS, SECONDS, NEGATIVE_TIME, TOO_MANY_NANOSECONDS, LIMITS };

static const char *const limit_names[LIMITS] = {"no limit", "no time", "10 us", "3 ms", "5 s", "-1 s", "-1 ns"};

static struct timespec *time_limit(long kind, struct timespec *limit) {
    switch (kind) {
    case NO_TIME: *limit = (struct timespec){0, 0}; return limit;
    case MICROSECONDS: *limit = (struct timespec){0, 10000}; return limit;
    case MILLISECONDS: *limit = (struct timespec){0, 3000000}; return limit;
    case SECONDS: *limit = (struct timespec){5, 0}; return limit;
    case NEGATIVE_TIME: *limit = (struct timespec){-1, 0}; return limit;
    case TOO_MANY_NANOSECONDS: *limit = (struct timespec){0, -1}; return limit;
    default: return NULL;
    }
}

static bool is_buffered_transfer(const struct operation *one) {
    bool is_transfer = one->is_reading || one->is_writing;
    return is_transfer && kinds[one->kind].backing == REGULAR && !one->is_direct;
}

/// Whether a buffered transfer is in flight. The kernel executes it within io_submit; ours waits for it.
static bool has_buffered_in_flight(long index) {
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        if (context_of[number] == index && one->state == IN_FLIGHT && is_buffered_transfer(one)) { return true; }
    }
    return false;
}

/// Whether the kernel may have had something to do after io_submit since the context was last idle. Which of several
/// events an earlier wait took differs from run to run, and so does what is in flight now.
static bool may_have_unfinished(long index) {
    for (int number = 0; number < operation_count; number++) {
        bool is_there = context_of[number] == index && is_pending(number);
        if (is_there && !is_buffered_transfer(&operations[number])) { return true; }
    }
    return false;
}

/// The fewest events that are right when the kernel, which executes operations in its submission, returns `all`.
///
/// Allowed difference: ours submits without executing. So a caller that does not wait may get fewer events. A caller
/// that waits gets the least that it asked for, and at least one event if there is time for that and a file is
/// buffered.
static long fewest(long index, long least, long all, long limit) {
    if (limit != NO_LIMIT && limit != SECONDS) { return 0; }
    long asked = least < all ? least : all;
    return limit == SECONDS && asked == 0 && all > 0 && has_buffered_in_flight(index) ? 1 : asked;
}

/// Reports a wait that may have returned fewer than all events, and takes the rest, so that both sides continue from
/// the same state.
static void tell_wait(long index, long least, long most, long limit, bool is_interrupted, long result,
    const struct io_event *events) {
    struct context *context = &contexts[index];
    bool is_ours = context->is_there && !context->is_foreign;
    long all = is_ours ? clamped(certain(index), most) : 0;
    // Allowed difference: a signal that the mask admits can therefore come before the first event, or between two.
    bool may_end_early = is_interrupted && context->outstanding > 0;
    bool is_enough = result <= all && (may_end_early ? result == -EINTR || result >= 0
        : result >= 0 && result >= fewest(index, least, all, limit));
    tell("context %ld, %ld to %ld, %s: %s", index, least, most, limit_names[limit],
        is_enough && is_ours ? "as many as there must be" : result_text(result));
    if (!is_ours) { return; }
    for (long event = 0; event < result; event++) { note_event(context, &events[event]); }
    if (result < 0 && result != -EINTR) { return; }
    if (result < all) { take_events(context, (int)(all - (result < 0 ? 0 : result))); }
}

/// The system's library reads the ring of a destroyed context, and crashes.
static io_context_t waited_for(long index) { return contexts[index].is_there ? contexts[index].context : NULL; }

/// Limits `least` to what lets the call end.
static long possible_least(long index, long least, long limit) {
    // The kernel treats a negative time as no limit.
    bool ends = limit == NO_TIME || limit == MICROSECONDS || limit == MILLISECONDS;
    return ends || !contexts[index].is_there || contexts[index].is_foreign ? least : clamped(least, certain(index));
}

/// CONTEXT LEAST MOST LIMIT
static void wait_for_events(const long *arguments) {
    static struct io_event events[MOST_WAITED];
    long index = arguments[0], limit = arguments[3], most = clamped(arguments[2], MOST_WAITED);
    struct timespec time;
    end_waiter(index);
    // The system's library checks whether the ring is empty before it checks the numbers.
    if (limit == NO_TIME && (arguments[1] < 0 || arguments[1] > most)) { join_context(index); }
    long least = possible_least(index, arguments[1], limit);
    memset(events, 0x55, sizeof events);
    long result = io_getevents(waited_for(index), least, most, events, time_limit(limit, &time));
    tell_wait(index, least, most, limit, false, result, events);
}

/// CONTEXT LEAST MOST LIMIT MASK: waits with a pending signal that was blocked before; MASK 1 admits it, 0 keeps it
/// blocked, 2 passes no mask.
static void wait_with_mask(const long *arguments) {
    static struct io_event events[MOST_WAITED];
    long index = arguments[0], limit = arguments[3], most = clamped(arguments[2], MOST_WAITED);
    struct timespec time;
    sigset_t blocked, old, mask;
    end_waiter(index);
    if (limit == NO_TIME && (arguments[1] < 0 || arguments[1] > most)) { join_context(index); }
    long least = possible_least(index, arguments[1], limit);
    signals_seen = 0;
    sigemptyset(&blocked), sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, &old);
    pthread_kill(pthread_self(), SIGUSR1);
    mask = arguments[4] == 1 ? old : blocked;
    long result = io_pgetevents(waited_for(index), least, most, events, time_limit(limit, &time),
        arguments[4] == 2 ? NULL : &mask);
    int during = signals_seen;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    // The system's library makes no call when it sees no event yet.
    bool is_open = limit == NO_TIME && contexts[index].is_there && may_have_unfinished(index);
    if (!is_open) { tell("signals during it, and after: %d, %d", during, signals_seen); }
    tell_wait(index, least, most, limit, arguments[4] == 1, result, events);
}

/// CONTEXT RESTARTS: waits without operations until a signal comes.
static void wait_for_signal(const long *arguments) {
    long index = arguments[0];
    join_context(index);
    if (!contexts[index].is_there) { return; }
    struct sigaction action = {.sa_handler = see_signal, .sa_flags = arguments[1] ? SA_RESTART : 0};
    sigaction(SIGALRM, &action, NULL);
    signals_seen = 0;
    // Sent to this thread, since the main thread would take it otherwise; and repeatedly, since the first signal may
    // precede the wait.
    struct sigevent here = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM, ._sigev_un._tid = gettid()};
    struct itimerspec soon = {{0, 2000000}, {0, 2000000}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &here, &timer) != 0) { BROKEN("no timer"); }
    timer_settime(timer, 0, &soon, NULL);
    struct io_event event;
    struct timespec limit = {2, 0};
    int result = io_getevents(contexts[index].context, 1, 1, &event, &limit);
    timer_delete(timer);
    // A call that is refused may return before the first signal.
    const char *seen = signals_seen > 0 || result == -EINVAL ? "seen" : "not seen";
    tell("context %ld: %s, signals %s", index, result_text(result), seen);
}

/// CONTEXT LEAST: waits on a separate thread.
static void begin_waiter(const long *arguments) {
    long index = arguments[0];
    struct context *context = &contexts[index];
    if (context->has_waiter || !context->is_there || context->is_foreign) { return; }
    context->waits_for = clamped(arguments[1], 8);
    context->has_waiter = true;
    if (pthread_create(&context->waiter, NULL, wait_there, context) != 0) { BROKEN("no thread"); }
}

// The queue functions, which pass each event to a callback that its operation names.

static int called_back;
static struct context *called_context;

static void call_back(io_context_t given, struct iocb *block, long result, long second) {
    (void)given;
    called_back++;
    struct io_event event = {(uint64_t)(block - blocks), (uint64_t)(uintptr_t)block, result, second};
    note_event(called_context, &event);
}

/// CONTEXT COUNT: reads whose events io_queue_run passes to a callback.
static void run_queue(const long *arguments) {
    long index = arguments[0];
    join_context(index);
    struct context *context = &contexts[index];
    if (staged_count > 0 || !context->is_there || context->is_foreign) { return; }
    for (long count = 0; count < arguments[1]; count++) {
        stage((long[MOST_ARGUMENTS]){0, IOCB_CMD_PREAD, count * 4096, 4096});
    }
    for (int place = 0; place < staged_count; place++) { blocks[staged[place]].data = (uint64_t)(uintptr_t)call_back; }
    submit((long[MOST_ARGUMENTS]){index});
    called_back = 0;
    called_context = context;
    double tries = 0;
    int result = 0;
    while (context->outstanding > 0 && result >= 0 && tries++ < 5000) {
        result = io_queue_run(context->context);
        if (context->outstanding > 0) { usleep(200); }  // By time: a pause between two looks.
    }
    tell("context %ld: %s, called %d times", index, result < 0 ? result_text(result) : "runs", called_back);
}
