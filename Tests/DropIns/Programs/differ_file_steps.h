// Steps of the differential test that are about files, streams and threads, and so the same for both interfaces.
#pragma once

#include "differ_operations.h"

#include <sys/resource.h>

/// Waits for everything that is in flight; the interface's own.
static void join_all(const long *arguments);
/// Before a descriptor changes that operations in flight may be for. Whether these must be over first, the interface
/// says.
static void before_change(long kind);
static void forget_staged(void);

static long clamped(long value, long most) { return value > most ? most : value; }

/// Once nothing is in flight.
static void end_all_drains(void) {
    for (long kind = FIRST_STREAM; kind < FIRST_COUNTER; kind++) {
        if (is_open[kind]) { end_draining(kind); }
    }
}

/// Before anything happens to a file or stream that operations in flight must not race with. A watch only has to be
/// over if what it watches for can go away again.
static void settle(long kind, bool is_added) {
    bool is_touched = false;
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        if (!is_pending(number) || one->state == STAGED || one->extent.what->backing != kinds[kind].backing) {
            continue;
        }
        if (one->extent.what->index != kinds[kind].index) { continue; }
        is_touched |= !is_added || one->extent.access != WATCHES;
    }
    if (is_touched) { join_all(NULL); }
}

/// Its flags count when it is submitted.
static bool is_staged(long kind) {
    for (int number = 0; number < operation_count; number++) {
        if (operations[number].state == STAGED && operations[number].kind == kind) { return true; }
    }
    return false;
}

static bool is_strange_one_pending(long kind) {
    for (int number = 0; number < operation_count; number++) {
        if (operations[number].kind == kind && operations[number].is_strange && is_pending(number)) { return true; }
    }
    return false;
}

/// KIND FLAGS: at any time. What was submitted goes on as it was.
static void set_flags(const long *arguments) {
    int descriptor = use(arguments[0]);
    if (is_staged(arguments[0])) { return; }
    bool has_blocking_form = kinds[arguments[0]].backing == REGULAR || kinds[arguments[0]].backing == STREAM;
    before_change(arguments[0]);
    // A fault that is left: what was accepted as direct is carried out as the flags are then.
    if (has_blocking_form && fcntl(descriptor, F_GETFL) & O_DIRECT) { join_all(NULL); }
    // A fault that is left: what was accepted as buffered is carried out direct, if it can be, and that fails, or is
    // cut, another way.
    if (arguments[1] & O_DIRECT && is_strange_one_pending(arguments[0])) { join_all(NULL); }
    long flags = arguments[1] | (has_blocking_form ? 0 : O_NONBLOCK);
    // A pipe of packets drops what a reader has no room for, and how much that is, is a matter of time.
    if (kinds[arguments[0]].backing == STREAM) { flags &= ~O_DIRECT; }
    int result = fcntl(descriptor, F_SETFL, flags);
    tell("%s, %#lx: %s", kinds[arguments[0]].name, flags, result == 0 ? "0" : error_name(errno));
}

/// KIND: the number is free, at any time.
static void close_one(const long *arguments) {
    long kind = arguments[0];
    if (!is_open[kind] || kinds[kind].backing == OTHER) { return; }
    before_change(kind);
    // The end of a stream is seen at its other end, and what is to be taken there is not told any more.
    if (kinds[kind].backing == STREAM) {
        join_all(NULL);
        end_draining(kind), end_draining(other_end(kind));
    }
    tell("%s: %s", kinds[kind].name, close(number_of(kind)) == 0 ? "0" : error_name(errno));
}

/// KIND: another of its kind takes the number, at any time.
static void reopen(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != REGULAR || kinds[kind].flags & O_PATH) { return; }
    make_file(kinds[kind].index);
    before_change(kind);
    int descriptor = open(file_paths[kinds[kind].index], kinds[kind].flags | O_CLOEXEC);
    place(kind, descriptor);
}

/// KIND OTHER: the number names another file from now on.
static void replace(const long *arguments) {
    long kind = arguments[0], other = arguments[1];
    if (kinds[kind].backing != REGULAR || kinds[other].backing != REGULAR || kinds[kind].flags & O_PATH) { return; }
    use(kind);
    before_change(kind);
    // Nothing is submitted through the number any more: the model would take it for the file that it was.
    tell("%s by %s: %s", kinds[kind].name, kinds[other].name,
        dup3(use(other), number_of(kind), O_CLOEXEC) < 0 ? error_name(errno) : "0");
    forget_staged();
    join_all(NULL);
    reopen(arguments);
}

/// KIND SIZE
static void set_size(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != REGULAR) { return; }
    make_file(kinds[kind].index);
    // What is staged was looked at with the size that there was.
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        if (one->state == STAGED && one->extent.what->backing == REGULAR
            && one->extent.what->index == kinds[kind].index) {
            return;
        }
    }
    settle(kind, false);
    tell("%s: %s", kinds[kind].name, ftruncate(file_views[kinds[kind].index], arguments[1]) == 0 ? "0"
        : error_name(errno));
}

/// KIND OFFSET: positions are not what operations with offsets go by, at any time.
static void seek(const long *arguments) {
    if (kinds[arguments[0]].backing != REGULAR) { return; }
    tell("%s: %ld", kinds[arguments[0]].name, lseek(use(arguments[0]), arguments[1], SEEK_SET));
}

/// SIZE: no file may become larger from now on. What was accepted before is not affected.
static void limit_files(const long *arguments) {
    // A fault that is left: the limit counts when an operation is carried out, which with the kernel's it was when it
    // was submitted.
    join_all(NULL);
    // To make one later would lift the limit for a moment.
    for (int file = 0; file < FILES; file++) { make_file(file); }
    struct rlimit limit = {(rlim_t)arguments[0], RLIM_INFINITY};
    tell("%ld: %s", arguments[0], setrlimit(RLIMIT_FSIZE, &limit) == 0 ? "0" : error_name(errno));
}

/// KIND SIZE: so much can be read there more.
static void feed_stream(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != STREAM) { return; }
    use(kind);
    settle(kind, true);
    end_draining(kind), end_draining(other_end(kind));
    tell("%s: %ld", kinds[kind].name, feed(kind, (size_t)arguments[1]));
}

/// KIND SIZE: takes so much there.
static void take_from_stream(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != STREAM) { return; }
    use(kind);
    settle(kind, false);
    end_draining(kind), end_draining(other_end(kind));
    // What staged reads count on stays.
    int64_t most = readable(kind) - far_ends[kind].claimed;
    ssize_t count = take(kind, (size_t)clamped(arguments[1], most > 0 ? most : 0));
    tell("%s: %ld, content %016lx", kinds[kind].name, count, far_ends[kind].sum);
}

/// KIND VALUE
static void add_to_counter(const long *arguments) {
    uint64_t value = (uint64_t)arguments[1];
    if (kinds[arguments[0]].backing != COUNTER) { return; }
    int descriptor = use(arguments[0]);
    settle(arguments[0], true);
    tell("%s: %s", kinds[arguments[0]].name, write(descriptor, &value, 8) == 8 ? "8" : error_name(errno));
}

// Threads.

struct part { int first, end; };

static void *run_part(void *argument) {
    const struct part *part = argument;
    run_steps(part->first, part->end);
    return NULL;
}

static struct part next_part(long count) {
    int first = current_step + 1, end = first + (int)clamped(count, 40);
    return (struct part){first, end < current->count ? end : current->count};
}

/// COUNT: the next steps are another thread's.
static void run_in_thread(const long *arguments) {
    struct part part = next_part(arguments[0]);
    const char *before = speaker;
    pthread_t thread;
    speaker = "on another thread: ";
    if (pthread_create(&thread, NULL, run_part, &part) != 0) { BROKEN("no thread"); }
    pthread_join(thread, NULL);
    speaker = before;
    current_step = part.end - 1;
}

static void prepare_all(void) {
    make_memory();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    // Nobody else is to get the numbers.
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int number = FIRST_NUMBER; number < FIRST_NUMBER + 200; number++) { dup3(null, number, O_CLOEXEC); }
    close(null);
    for (long kind = 0; kind < KINDS; kind++) {
        if (kinds[kind].backing == OTHER && kinds[kind].index == CLOSED) { close(number_of(kind)); }
    }
}
