// Steps of the test of POSIX AIO: lists, waits and cancels; its random programs; the final report.
#pragma once

/// It was not started: its control block is unchanged.
static bool is_untouched(int number) {
    static const uint8_t filler[4] = {0x55, 0x55, 0x55, 0x55};
    int error = aio_error(&blocks[number]);
    return memcmp(&error, filler, sizeof filler) == 0;
}

/// MODE NOTIFICATION: submits the entries so far as a list, with a null pointer and a no-op among them.
static void list(const long *arguments) {
    struct aiocb *entries[MOST_LISTED + 2] = {NULL}, nothing;
    long mode = arguments[0], notification = arguments[1];
    memset(&nothing, 0x55, sizeof nothing);
    nothing.aio_lio_opcode = LIO_NOP;
    int count = 0, numbers[MOST_LISTED], staged_before = staged_count;
    for (int place = 0; place < staged_count; place++) { entries[count++] = &blocks[numbers[place] = staged[place]]; }
    entries[count++] = NULL;
    entries[count++] = &nothing;
    staged_count = 0;
    // A read that waits for later data would make LIO_WAIT hang.
    bool waits = false;
    for (int place = 0; place < staged_before; place++) { waits |= may_wait[numbers[place]]; }
    if (mode == LIO_WAIT && waits) { mode = LIO_NOWAIT; }
    if (mode == LIO_WAIT) { join_all(NULL); }
    if (list_count == LIST_VALUES) { return; }
    int value = list_count++;
    struct sigevent event = event_for(notification, MOST_OPERATIONS + value);
    for (int place = 0; place < staged_before; place++) { begin(numbers[place]); }
    has_begun = true;
    int result = lio_listio((int)mode, entries, arguments[2] ? -1 : count, arguments[1] == NOTIFICATIONS ? NULL
        : &event);
    int error = errno;
    tell("%d entries, mode %ld%s: %s", staged_before, mode,
        arguments[1] < NOTIFICATIONS ? notification_names[arguments[1]] : ", not at all", result == 0 ? "0"
            : error_name(error));
    for (int place = 0; place < staged_before; place++) {
        // If a list is refused, or has a negative length, its control blocks are not touched.
        struct operation *one = &operations[numbers[place]];
        if (is_untouched(numbers[place])) { end_operation(one, REFUSED, 0, 0); }
        may_be_untold[numbers[place]] = blocks[numbers[place]].aio_reqprio < 0
            || blocks[numbers[place]].aio_reqprio > 20;
    }
    list_way[value] = result == 0 && mode == LIO_NOWAIT ? notification : NONE;
}

static bool waits_for_others(int number) {
    const struct operation *one = &operations[number];
    return one->state == IN_FLIGHT && kinds[one->kind].backing == STREAM;
}

/// COUNT LIMIT: waits for one of the last COUNT requests.
static void suspend(const long *arguments) {
    const struct aiocb *entries[MOST_LISTED] = {NULL};
    static const struct timespec limits[] = {{0, 0}, {0, 10000}, {0, 2000000}, {5, 0}, {0, 1000000000}, {0, -1}, {-1,
        0}};
    int count = (int)clamped(arguments[0], MOST_LISTED);
    bool all_wait = true, some_ended = false;
    for (int index = 0; index < count; index++) {
        int number = operation_count - 1 - index;
        if (number < 0 || operations[number].state == STAGED || operations[number].state == REFUSED) { continue; }
        entries[index] = &blocks[number];
        some_ended |= operations[number].state == ENDED;
        all_wait &= waits_for_others(number);
    }
    long limit = arguments[1];
    if (all_wait && !some_ended && (limit == 3 || limit == 7)) { return; }
    errno = 0;
    int result = aio_suspend(entries, count, limit == 7 ? NULL : &limits[limit]), error = errno;
    bool is_certain = some_ended || all_wait || limit == 3 || limit == 7;
    // Allowed difference: requests in flight may have ended or not.
    bool is_either = !is_certain && (result == 0 || error == EAGAIN);
    // A request on a stream may complete immediately or wait for other requests.
    is_either |= !some_ended && (result == 0 || error == EAGAIN) && limit != 3 && limit != 7;
    tell("%d, limit %ld: %s", count, limit, is_either ? "done or not yet" : result == 0 ? "0" : error_name(error));
}

static const char *cancel_name(int result) {
    switch (result) {
    case AIO_CANCELED: return "cancelled";
    case AIO_NOTCANCELED: return "not cancelled";
    case AIO_ALLDONE: return "all done";
    default: return error_name(errno);
    }
}

/// KIND BACK: cancels the request that is BACK before the last, or with -1 all requests of the descriptor.
static void cancel(const long *arguments) {
    long kind = arguments[0];
    int descriptor = use(kind), number = operation_count - 1 - (int)arguments[1];
    if (arguments[1] >= 0 && (number < 0 || operations[number].state == STAGED)) { return; }
    // Whether a transfer has started depends on timing, unless it waits for another.
    join_all(NULL);
    errno = 0;
    int result = aio_cancel(descriptor, arguments[1] < 0 ? NULL : &blocks[number]);
    tell("of %s, %s: %s", kinds[kind].name, arguments[1] < 0 ? "all" : operations[number].text, cancel_name(result));
}

/// KIND COUNT: starts reads that wait, and cancels all but the first.
static void cancel_waiting(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != STREAM || !is_blocking(use(kind))) { return; }
    join_all(NULL);
    if (readable(kind) > 0 || fcntl(number_of(kind), F_GETFL) % 4 == O_WRONLY) { return; }
    if (is_ready(kind, POLLIN | POLLHUP)) { return; }
    int first = operation_count;
    for (long count = 0; count < arguments[1]; count++) {
        request((long[MOST_ARGUMENTS]){kind, READ, 0, 100, AT_START, arguments[2]});
    }
    if (operation_count == first) { return; }
    // By then the first has started: the thread that executes it sleeps in it.
    let_others_go_on();
    int result = aio_cancel(number_of(kind), NULL);
    tell("%ld of %s: %s", arguments[1], kinds[kind].name, cancel_name(result));
    for (int number = first; number < operation_count; number++) {
        tell("%d: %s", number - first, error_name(aio_error(&blocks[number])));
    }
}

/// BACK: reads the control block's state once more.
static void ask_again(const long *arguments) {
    int number = operation_count - 1 - (int)arguments[0];
    if (number < 0 || operations[number].state != ENDED) { return; }
    int error = aio_error(&blocks[number]);
    ssize_t result = aio_return(&blocks[number]);
    tell("%s: %s, %zd", operations[number].text, error_name(error), result);
}

static void notifications(const long *arguments) {
    (void)arguments;
    join_all(NULL);
    collect_notifications();
}

/// COUNT: a child runs the next steps. Not after the first use: in libc a child relies on its parent's threads, and
/// hangs.
static void run_in_child(const long *arguments) {
    struct part part = next_part(arguments[0]);
    if (has_begun || operation_count > 0) { return; }
    pid_t process = fork();
    if (process < 0) { BROKEN("no process"); }
    if (process == 0) {
        speaker = "in a child: ";
        run_steps(part.first, part.end);
        join_all(NULL);
        for (int number = 0; number < operation_count; number++) { tell_operation(number); }
        _exit(0);
    }
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    tell("the child ends with %#x: it", status);
    current_step = part.end - 1;
}

const struct step_kind step_kinds[] = {
    {"request", 7, request},
    {"entry", 7, list_entry},
    {"list", 3, list},
    {"join", 0, join_all},
    {"suspend", 2, suspend},
    {"cancel", 2, cancel},
    {"cancel-waiting", 3, cancel_waiting},
    {"again", 1, ask_again},
    {"notifications", 0, notifications},
    {"flags", 2, set_flags},
    {"close", 1, close_one},
    {"reopen", 1, reopen},
    {"replace", 2, replace},
    {"size", 2, set_size},
    {"seek", 2, seek},
    {"limit", 1, limit_files},
    {"feed", 2, feed_stream},
    {"take", 2, take_from_stream},
    {"add", 2, add_to_counter},
    {"thread", 1, run_in_thread},
    {"child", 1, run_in_child},
    {NULL, 0, NULL},
};

#include "differ_generate.h"

static void add_request(struct fuzz_random *random, const struct theme *theme, struct program *program,
    const char *name) {
    static const long priorities[] = {1, 20, 21, -1, 1000000};
    long kind = theme_kind(random, theme), size = any_size(random, theme), offset = any_offset(random, theme);
    // Allowed difference: a ring polls an epoll descriptor until it is readable, which nothing causes here, before it
    // finds that reads of it are refused.
    if (kinds[kind].backing == OTHER && kinds[kind].index == EPOLL) { kind = FIRST_OTHER; }
    // Allowed difference: a read next to a write returns old or new data; libc executes one request at a time.
    if (kinds[kind].backing == OTHER && kinds[kind].index == COMM) { kind = FIRST_OTHER; }
    // Allowed differences: transfers of no bytes do not reach the driver, and offsets of files without positions are
    // not checked.
    if (kinds[kind].backing != REGULAR && size == 0) { size = 1; }
    if (kinds[kind].backing == OTHER) { offset &= 0xfffff; }
    long call = one_in(random, 12) ? (long)below(random, CALLS) : (long)below(random, 2);
    if (kinds[kind].backing == STREAM && kinds[kind].index <= PIPE_NONBLOCK && !one_in(random, 10)) {
        call = kinds[kind].end;
    }
    bool is_direct = kinds[kind].flags & O_DIRECT;
    if (is_direct && !one_in(random, 6)) { offset &= ~511l, size = size > 512 ? size & ~511l : 512; }
    long place = one_in(random, theme->strange_memory) ? below(random, PLACE_KINDS)
        : is_direct ? (one_in(random, 8) ? AT_ODD : AT_START) : below(random, AT_END + 1);
    long notification = one_in(random, theme->strange_fields) ? below(random, NOTIFICATIONS) : below(random,
        THREAD + 1);
    // libc passes the whole size to the kernel, which checks whether that much memory could exist; ours first limits it
    // to 2 GiB.
    if (size > 1l << 32) { size = 60000; }
    // How much of a write to a stream is written before inaccessible memory depends on how the kernel splits it.
    if (kinds[kind].backing == STREAM && size > 1000000) { size = 1000000; }
    // The kernel may lose the wake-up of a writer that waits for room in a terminal's line discipline.
    if (kinds[kind].backing == STREAM && kinds[kind].index == TERMINAL) { size = 1 + size % 4000; }
    // If libc cannot send a signal, it discards the data it read, and the stream's content could not be predicted.
    if (kinds[kind].backing == STREAM && notification > THREAD) { notification = NONE; }
    // With priorities the order of a stream's requests, and of appending writes, would depend on timing.
    bool has_order = kinds[kind].backing == STREAM || call == WRITE;
    long priority = priorities[has_order ? 2 + below(random, 3) : below(random, 5)];
    if (!one_in(random, theme->strange_fields)) { priority = 0; }
    add_step(program, name, kind, call, offset, size, place, notification, priority);
}

static void add_other_step(struct fuzz_random *random, const struct theme *theme, struct program *program) {
    switch (below(random, 8)) {
    case 0:
    case 1: add_step(program, "suspend", (long)below(random, 6), (long)below(random, 8)); break;
    case 2: add_step(program, "cancel", theme_kind(random, theme), (long)below(random, 4) - 1); break;
    case 3:
        if (one_in(random, 3)) {
            add_step(program, "cancel-waiting", theme_kind(random, theme), 1 + (long)below(random, 4),
                (long)below(random, 3));
        }
        break;
    case 4: add_step(program, "again", (long)below(random, 4)); break;
    case 5: add_step(program, "notifications"); break;
    case 6:
        if (theme->has_threads) {
            add_step(program, one_in(random, 2) ? "child" : "thread", 1 + (long)below(random, 8));
        }
        break;
    default: add_step(program, "join");
    }
}

static void generate(struct fuzz_random *random, struct program *program) {
    struct theme theme = any_theme(random);
    int length = one_in(random, 20) ? 100 + (int)below(random, 200) : 5 + (int)below(random, 40);
    if (one_in(random, 8)) { add_step(program, "child", 1 + (long)below(random, 20)); }
    while (program->count < length) {
        unsigned choice = below(random, 100);
        if (choice < 45) {
            add_request(random, &theme, program, "request");
        } else if (choice < 65) {
            for (unsigned count = 1 + below(random, 6); count > 0; count--) {
                add_request(random, &theme, program, "entry");
            }
            add_step(program, "list", (long)(one_in(random, 15) ? 2 : below(random, 2)),
                (long)below(random, one_in(random, 4) ? NOTIFICATIONS + 1 : THREAD + 1), (long)one_in(random, 30));
        } else if (choice < 80) {
            add_file_step(random, &theme, program);
        } else {
            add_other_step(random, &theme, program);
        }
    }
}

static void tell_end(void) {
    join_all(NULL);
    collect_notifications();
    for (int number = 0; number < operation_count; number++) {
        tell_operation(number);
        if (operations[number].state == ENDED && notification_of[number] != NONE) {
            tell("%s, notified by signals, calls: %d, %d", operations[number].text, signalled[number], called[number]);
        }
    }
    for (int value = MOST_OPERATIONS; value < MOST_OPERATIONS + LIST_VALUES; value++) {
        // A notification of a list that was refused, or waited for, may come late.
        int expected = list_way[value] == SIGNAL || list_way[value] == THREAD;
        if (signalled[value] + called[value] > !expected) {
            tell("list %d, notified by signals, calls: %d, %d", value - MOST_OPERATIONS, signalled[value],
                called[value]);
        }
    }
    tell_files();
    tell_streams();
}

static void run_program(const struct program *program) {
    current = program;
    run_steps(0, program->count);
    forget_staged();
    tell_end();
    remove_files();
}

static void prepare_processes(void) {
    prepare_all();
    struct sigaction action = {.sa_sigaction = note_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &action, NULL);
    // Signals are taken at the end and interrupt nothing, since libc's lists do not survive interruption.
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int main(int count, char **arguments) { return differ_main(count, arguments); }
