// Steps of the differential test on files, streams and threads, which are the same for both interfaces.
#pragma once

#include "differ_operations.h"

#include <sys/resource.h>

/// Waits for all operations in flight; defined by each interface.
static void join_all(const long *arguments);
/// Called before a descriptor changes that operations in flight may use. The interface decides whether these must end
/// first.
static void before_change(long kind);
static void forget_staged(void);

static long clamped(long value, long most) { return value > most ? most : value; }

/// Called when nothing is in flight.
static void end_all_drains(void) {
    for (long kind = FIRST_STREAM; kind < FIRST_COUNTER; kind++) {
        if (is_open[kind]) { end_draining(kind); }
    }
}

/// Called before a change to a file or stream with which operations in flight must not race. A watch only has to end
/// first if its condition may become false again.
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

/// Whether the descriptor has a staged operation, for which its flags count at submission.
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

/// KIND FLAGS: allowed at any time. Submitted operations are not affected.
static void set_flags(const long *arguments) {
    int descriptor = use(arguments[0]);
    if (is_staged(arguments[0])) { return; }
    bool has_blocking_form = kinds[arguments[0]].backing == REGULAR || kinds[arguments[0]].backing == STREAM;
    before_change(arguments[0]);
    // Known fault, avoided here: an operation accepted as direct is executed with the flags of its execution time.
    if (has_blocking_form && fcntl(descriptor, F_GETFL) & O_DIRECT) { join_all(NULL); }
    // Known fault, avoided here: an operation accepted as buffered is executed as direct I/O where possible, which
    // fails, or is cut, differently.
    if (arguments[1] & O_DIRECT && is_strange_one_pending(arguments[0])) { join_all(NULL); }
    long flags = arguments[1] | (has_blocking_form ? 0 : O_NONBLOCK);
    // A packet-mode pipe discards what exceeds the reader's buffer; how much depends on timing.
    if (kinds[arguments[0]].backing == STREAM) { flags &= ~O_DIRECT; }
    int result = fcntl(descriptor, F_SETFL, flags);
    tell("%s, %#lx: %s", kinds[arguments[0]].name, flags, result == 0 ? "0" : error_name(errno));
}

/// KIND: closes the number, at any time.
static void close_one(const long *arguments) {
    long kind = arguments[0];
    if (!is_open[kind] || kinds[kind].backing == OTHER) { return; }
    before_change(kind);
    // The other end sees the end of the stream, and the rest of the data there is no longer reported.
    if (kinds[kind].backing == STREAM) {
        join_all(NULL);
        end_draining(kind), end_draining(other_end(kind));
    }
    tell("%s: %s", kinds[kind].name, close(number_of(kind)) == 0 ? "0" : error_name(errno));
}

/// KIND: another descriptor of the same kind takes the number, at any time.
static void reopen(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != REGULAR || kinds[kind].flags & O_PATH) { return; }
    make_file(kinds[kind].index);
    before_change(kind);
    int descriptor = open(file_paths[kinds[kind].index], kinds[kind].flags | O_CLOEXEC);
    place(kind, descriptor);
}

/// KIND OTHER: from now on the number refers to another file.
static void replace(const long *arguments) {
    long kind = arguments[0], other = arguments[1];
    if (kinds[kind].backing != REGULAR || kinds[other].backing != REGULAR || kinds[kind].flags & O_PATH) { return; }
    use(kind);
    before_change(kind);
    // Nothing is submitted through the number afterwards: the model would still assume the old file.
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
    // The extents of staged operations were computed with the current size.
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

/// KIND OFFSET: allowed at any time, since operations with offsets do not use the position.
static void seek(const long *arguments) {
    if (kinds[arguments[0]].backing != REGULAR) { return; }
    tell("%s: %ld", kinds[arguments[0]].name, lseek(use(arguments[0]), arguments[1], SEEK_SET));
}

/// SIZE: from now on no file may grow beyond it. Operations accepted before are not affected.
static void limit_files(const long *arguments) {
    // Known fault, avoided here: the limit counts when an operation is executed. In the kernel that is at its
    // submission.
    join_all(NULL);
    // Creating a file later would lift the limit for a moment.
    for (int file = 0; file < FILES; file++) { make_file(file); }
    struct rlimit limit = {(rlim_t)arguments[0], RLIM_INFINITY};
    tell("%ld: %s", arguments[0], setrlimit(RLIMIT_FSIZE, &limit) == 0 ? "0" : error_name(errno));
}

/// KIND SIZE: makes that many more bytes readable at the descriptor.
static void feed_stream(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != STREAM) { return; }
    use(kind);
    settle(kind, true);
    end_draining(kind), end_draining(other_end(kind));
    tell("%s: %ld", kinds[kind].name, feed(kind, (size_t)arguments[1]));
}

/// KIND SIZE: reads that many bytes from the descriptor.
static void take_from_stream(const long *arguments) {
    long kind = arguments[0];
    if (kinds[kind].backing != STREAM) { return; }
    use(kind);
    settle(kind, false);
    end_draining(kind), end_draining(other_end(kind));
    // Leaves the data that staged reads depend on.
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

/// COUNT: another thread runs the next steps.
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
    // Reserves the numbers, so that nothing else gets them.
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int number = FIRST_NUMBER; number < FIRST_NUMBER + 200; number++) { dup3(null, number, O_CLOEXEC); }
    close(null);
    for (long kind = 0; kind < KINDS; kind++) {
        if (kinds[kind].backing == OTHER && kinds[kind].index == CLOSED) { close(number_of(kind)); }
    }
}
