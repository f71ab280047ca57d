// The differential test of Linux AIO: runs programs over the libaio that is loaded, and reports what happened.
#define IS_LINUX_AIO true

#include "aio_abi.h"
#include "differ_file_steps.h"

enum { CONTEXTS = 3, MOST_WAITED = 512, EVENT_COUNTERS = 2, MOST_OUTSTANDING = 60 };

struct context {
    io_context_t context;
    bool is_there;
    /// Created by a parent, so it is invalid in a child.
    bool is_foreign;
    /// Accepted operations whose events have not been taken yet.
    int outstanding;
    /// A thread is waiting for events.
    bool has_waiter;
    long waits_for;
    pthread_t waiter;
    long waiter_result;
    struct io_event waiter_events[MOST_WAITED];
};

static struct context contexts[CONTEXTS];
static struct iocb blocks[MOST_OPERATIONS];
static struct iovec vectors[MOST_OPERATIONS][8];
static struct iovec many_vectors[MOST_VECTORS];
static int context_of[MOST_OPERATIONS];
/// The counter that an operation signals, from 1 on.
static int counter_of[MOST_OPERATIONS];
/// A cancel has ended it: its event is there, or will come.
static bool is_cancelled[MOST_OPERATIONS];
static int counters[EVENT_COUNTERS] = {-1, -1};
static uint64_t counted[EVENT_COUNTERS], counted_told[EVENT_COUNTERS];
/// The operations of the next submission.
static int staged[MOST_OPERATIONS], staged_count;

static int counter_number(int counter) {
    if (counters[counter] < 0) {
        int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        counters[counter] = fcntl(descriptor, F_DUPFD_CLOEXEC, FIRST_NUMBER + 120);
        close(descriptor);
    }
    return counters[counter];
}

// Staging.

static bool is_transfer(long opcode) {
    return opcode == IOCB_CMD_PREAD || opcode == IOCB_CMD_PWRITE || opcode == IOCB_CMD_PREADV
        || opcode == IOCB_CMD_PWRITEV;
}

static enum access access_of(long kind, long opcode, uint32_t flags) {
    switch (opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PREADV: return READS;
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PWRITEV:
        if (kinds[kind].backing == REGULAR && (flags & RWF_APPEND
            || (fcntl(number_of(kind), F_GETFL) & O_APPEND && !(flags & RWF_NOAPPEND)))) { return APPENDS; }
        return WRITES;
    case IOCB_CMD_POLL: return WATCHES;
    default: return SYNCS;
    }
}

static bool has_vectors(long opcode) { return opcode == IOCB_CMD_PREADV || opcode == IOCB_CMD_PWRITEV; }

static const char *opcode_name(long opcode) {
    static const char *const names[] = {"read", "write", "fsync", "fdsync", "opcode 4", "poll", "noop", "readv",
        "writev"};
    return opcode >= 0 && opcode < 9 ? names[opcode] : "unknown opcode";
}

/// Fields that only some programs set.
static void fill_extras(struct iocb *block, int number, long extra) {
    switch (extra) {
    case 1:
    case 2:
        block->flags = IOCB_FLAG_RESFD;
        block->eventfd = counter_number((int)extra - 1);
        counter_of[number] = (int)extra;
        break;
    case 3: block->flags = IOCB_FLAG_RESFD, block->eventfd = 1 << 29; break;
    case 4: block->flags = IOCB_FLAG_RESFD, block->eventfd = use(FIRST_OTHER); break;
    case 5: block->flags = IOCB_FLAG_IOPRIO, block->priority = (2 << 13) | 4; break;
    case 6: block->flags = IOCB_FLAG_IOPRIO, block->priority = (7 << 13) | 4; break;
    case 7: block->flags = 1u << 5; break;
    case 8: block->reserved = 1; break;
    case 9: block->key = 12345; break;
    case 10: block->eventfd = 1 << 29, block->priority = 99; break;
    default: break;
    }
}

static struct operation described(const long *arguments) {
    long kind = arguments[0], opcode = arguments[1];
    struct operation one = {.kind = kind, .state = STAGED,
        .is_reading = opcode == IOCB_CMD_PREAD || opcode == IOCB_CMD_PREADV,
        .is_writing = opcode == IOCB_CMD_PWRITE || opcode == IOCB_CMD_PWRITEV};
    char extra[32] = "", shape[32] = "";
    if (has_vectors(opcode)) { snprintf(shape, sizeof shape, ", vectors %ld", arguments[7]); }
    if (arguments[6]) { snprintf(extra, sizeof extra, ", extra %ld", arguments[6]); }
    snprintf(one.text, sizeof one.text, "%s, %s of %ld at %ld%s%s%s%s", kinds[kind].name, opcode_name(opcode),
        arguments[3],
        arguments[2], flag_names((uint32_t)arguments[4]), place_name((int)arguments[5]), shape, extra);
    return one;
}

static struct extent described_extent(const long *arguments) {
    long kind = arguments[0], opcode = arguments[1];
    struct extent extent = extent_of(kind, access_of(kind, opcode, (uint32_t)arguments[4]), arguments[2],
        is_transfer(opcode) ? (uint64_t)arguments[3] : 0);
    // A watch has its events in the field for the size.
    if (opcode == IOCB_CMD_POLL) { extent.start = arguments[3]; }
    return extent;
}

static void fill_block(int number, const long *arguments, int descriptor) {
    long opcode = arguments[1], size = arguments[3], shape = arguments[7];
    struct operation *one = &operations[number];
    struct iocb *block = &blocks[number];
    context_of[number] = -1;
    counter_of[number] = 0;
    *block = (struct iocb){.data = (uint64_t)number, .opcode = (uint16_t)opcode, .descriptor = descriptor,
        .rw_flags = (uint32_t)arguments[4], .offset = arguments[2], .count = (uint64_t)size};
    if (is_transfer(opcode)) {
        one->buffer = make_buffer(number, (int)arguments[5], (size_t)size);
        block->buffer = (uint64_t)(uintptr_t)one->buffer.address;
    } else if (opcode == IOCB_CMD_POLL) {
        block->buffer = (uint64_t)size;
        block->offset = 0, block->count = 0;
    } else if (shape != 0) {
        block->offset = 0, block->count = 0;
    }
    if (has_vectors(opcode)) {
        struct iovec *list = shape % 100 == 0 ? many_vectors : vectors[number];
        block->count = (uint64_t)make_vectors(list, shape, &one->buffer, (size_t)size);
        block->buffer = (uint64_t)(uintptr_t)list;
    }
    fill_extras(block, number, arguments[6]);
}

/// While set, a few more operations than the limit can be staged, so that waiters get their events.
static bool is_filling;

/// KIND OPCODE OFFSET SIZE FLAGS PLACE EXTRA SHAPE: another operation for the next submission.
static void stage(const long *arguments) {
    long kind = arguments[0];
    int descriptor = use(kind);
    struct operation one = described(arguments);
    bool waits = !(arguments[4] & RWF_NOWAIT) && is_blocking(descriptor);
    one.is_direct = fcntl(descriptor, F_GETFL) & O_DIRECT;
    one.is_strange = arguments[3] < 0 || arguments[3] > 1 << 20 || arguments[4] != 0 || arguments[5] > AT_END
        || (has_vectors(arguments[1]) && (arguments[7] % 13 == 0 || arguments[7] % 17 == 0));
    one.extent = described_extent(arguments);
    one.extent.is_direct = one.is_direct;
    if (kinds[kind].backing == STREAM && is_slow_stream(kind) && one.is_writing && !waits) {
        tell("%s: left out, since how much finds room is a matter of time", one.text);
        return;
    }
    if (is_cut_in_stream(&one, waits, (int)arguments[5], has_vectors(arguments[1]), arguments[7])) { return; }
    bool is_shared = one.is_reading && kinds[kind].backing == STREAM && reads_in_flight(kind);
    if (is_shared || conflicts_with_flights(&one.extent) || disturbs_drain(&one, waits)) { join_all(NULL); }
    // The file's size may have changed.
    one.extent = described_extent(arguments);
    one.extent.is_direct = one.is_direct;
    bool is_full = operation_count >= (is_filling ? MOST_OPERATIONS : MOST_STAGED_OPERATIONS);
    if (is_full || conflicts_with_flights(&one.extent)) {
        tell("%s: left out, since it is not ordered with others", one.text);
    } else if (would_wait_forever(&one, waits)) {
        tell("%s: left out, since nothing is there", one.text);
    } else {
        int number = operation_count++;
        operations[number] = one;
        fill_block(number, arguments, descriptor);
        staged[staged_count++] = number;
    }
}

// Taking events.

static void end_all_of(long index) {
    for (int number = 0; number < operation_count; number++) {
        operations[number].is_over |= context_of[number] == index && operations[number].state == ENDED;
    }
}

static void note_event(struct context *context, const struct io_event *event) {
    if (event->data >= (uint64_t)operation_count || operations[event->data].state != IN_FLIGHT) {
        tell("an event that belongs to nothing in flight: data %lu, result %s", event->data, result_text(event->res));
        return;
    }
    struct operation *one = &operations[event->data];
    if (event->obj != (uint64_t)(uintptr_t)&blocks[event->data]) {
        tell("%s: the event names another block", one->text);
    }
    // Allowed difference: for a watch that was not ready immediately, the kernel reports more events than requested.
    int64_t result = event->res;
    if (one->extent.access == WATCHES && result > 0) { result &= one->extent.start | POLLERR | POLLHUP; }
    end_operation(one, ENDED, result, event->res2);
    if (counter_of[event->data]) { counted[counter_of[event->data] - 1]++; }
    context->outstanding--;
    if (context->outstanding == 0) { end_all_of(context - contexts); }
}

/// An operation that only a cancel ends: a watch that is not ready.
static bool is_waiting_watch(int number) {
    if (operations[number].state != IN_FLIGHT || operations[number].extent.access != WATCHES) { return false; }
    if (is_cancelled[number]) { return false; }
    return !is_ready(operations[number].kind, (short)operations[number].extent.start);
}

static int certain(long index) {
    int count = contexts[index].outstanding;
    for (int number = 0; number < operation_count; number++) {
        if (context_of[number] == index && is_waiting_watch(number)) { count--; }
    }
    return count;
}

/// Takes `count` events, which are there or will come.
static void take_events(struct context *context, int count) {
    struct io_event events[64];
    while (count > 0 && context->outstanding > 0) {
        struct timespec limit = {10, 0};
        long result = io_getevents(context->context, 1, count < 64 ? count : 64, events, &limit);
        if (result == -EINTR) { continue; }
        if (result <= 0) {
            tell("waiting for %d events that must come: %s", count, result_text(result));
            return;
        }
        for (long index = 0; index < result; index++) { note_event(context, &events[index]); }
        count -= (int)result;
    }
}

static void *wait_there(void *argument) {
    struct context *context = argument;
    context->waiter_result = io_getevents(
        context->context, context->waits_for, MOST_WAITED, context->waiter_events, NULL);
    return NULL;
}

static void join_waiter(struct context *context) {
    pthread_join(context->waiter, NULL);
    context->has_waiter = false;
    long result = context->waiter_result;
    tell("who waited for %ld: %s", context->waits_for, result >= context->waits_for ? "has them" : result_text(result));
    for (long index = 0; index < result; index++) { note_event(context, &context->waiter_events[index]); }
    // The waiter's events may have come before or after others.
    take_events(context, certain(context - contexts));
}

static void submit_filler(long index);

/// Submits what a waiting thread needs to return, and joins it.
static void end_waiter(long index) {
    struct context *context = &contexts[index];
    if (!context->has_waiter) { return; }
    while (certain(index) < context->waits_for) { submit_filler(index); }
    join_waiter(context);
}

static void tell_cancel(long index, int number);

static void join_context(long index) {
    struct context *context = &contexts[index];
    if (!context->is_there || context->is_foreign) { return; }
    end_waiter(index);
    for (int number = 0; number < operation_count; number++) {
        if (context_of[number] == index && is_waiting_watch(number)) { tell_cancel(index, number); }
    }
    take_events(context, context->outstanding);
}

/// Waits for all operations in flight.
static void join_all(const long *arguments) {
    (void)arguments;
    for (long index = 0; index < CONTEXTS; index++) { join_context(index); }
    end_all_drains();
}

// Submitted operations are not affected by later changes of their descriptor.
static void before_change(long kind) { (void)kind; }

static void forget_staged(void) {
    for (int place = 0; place < staged_count; place++) { end_operation(&operations[staged[place]], REFUSED, 0, 0); }
    staged_count = 0;
}

// Submission.

static void note_submission(long index, int number, bool is_accepted) {
    struct operation *one = &operations[number];
    context_of[number] = is_accepted ? (int)index : -1;
    if (is_accepted) {
        one->state = IN_FLIGHT;
        contexts[index].outstanding++;
    } else {
        end_operation(one, REFUSED, 0, 0);
    }
}

/// CONTEXT SPOIL: submits the staged operations. SPOIL 1 overwrites the blocks and vectors afterwards.
static void submit(const long *arguments) {
    long index = arguments[0];
    struct context *context = &contexts[index];
    struct iocb *list[MOST_OPERATIONS];
    // How many operations beyond its size a context accepts depends on the CPUs that counted them.
    if (context->outstanding + staged_count > MOST_OUTSTANDING && !context->has_waiter) { join_context(index); }
    for (int place = 0; place < staged_count; place++) { list[place] = &blocks[staged[place]]; }
    for (int place = 0; place < staged_count; place++) {
        const struct operation *one = &operations[staged[place]];
        if (one->needs_drain) { begin_draining(other_end(one->kind)); }
    }
    int result = io_submit(context->context, staged_count, list);
    if (result >= staged_count) {
        tell("%d to context %ld: %s", staged_count, index, result_text(result));
    } else {
        tell("%d to context %ld: %s, not %s", staged_count, index, result_text(result),
            operations[staged[result < 0 ? 0 : result]].text);
    }
    for (int place = 0; place < staged_count; place++) {
        note_submission(index, staged[place], place < result);
        if (arguments[1]) { memset(vectors[staged[place]], 0xff, sizeof *vectors); }
        if (arguments[1] && place < result) {
            // The key, by which the kernel recognizes a block that is to be cancelled, and the opcode are restored.
            uint16_t opcode = blocks[staged[place]].opcode;
            memset(&blocks[staged[place]], 0xff, sizeof *blocks);
            blocks[staged[place]].opcode = opcode;
            blocks[staged[place]].key = 0;
        }
    }
    staged_count = 0;
}

static void submit_filler(long index) {
    int saved[MOST_OPERATIONS], saved_count = staged_count;
    memcpy(saved, staged, sizeof saved);
    staged_count = 0;
    is_filling = true;
    stage((long[MOST_ARGUMENTS]){FIRST_OTHER, IOCB_CMD_PREAD, 0, 8, 0, AT_NULL});
    is_filling = false;
    if (staged_count == 0) { BROKEN("too many operations"); }
    submit((long[MOST_ARGUMENTS]){index});
    memcpy(staged, saved, sizeof saved);
    staged_count = saved_count;
}

/// CONTEXT COUNT: reads of /dev/null in one call, in spite of staged operations.
static void submit_many(const long *arguments) {
    long index = arguments[0];
    int saved[MOST_OPERATIONS], saved_count = staged_count;
    memcpy(saved, staged, sizeof saved);
    staged_count = 0;
    for (long number = 0; number < arguments[1] && number < MOST_OUTSTANDING; number++) {
        stage((long[MOST_ARGUMENTS]){FIRST_OTHER, IOCB_CMD_PREAD, 0, 8, 0, AT_NULL});
    }
    submit((long[MOST_ARGUMENTS]){index});
    memcpy(staged, saved, sizeof saved);
    staged_count = saved_count;
}

// Contexts.

/// CONTEXT SIZE
static void setup(const long *arguments) {
    struct context *context = &contexts[arguments[0]];
    io_context_t made = context->is_there ? context->context : NULL;
    int result = io_setup((int)arguments[1], &made);
    tell("context %ld of %ld: %s", arguments[0], arguments[1], result_text(result));
    if (result == 0) { *context = (struct context){.context = made, .is_there = true}; }
}

/// CONTEXT
static void destroy(const long *arguments) {
    long index = arguments[0];
    struct context *context = &contexts[index];
    // Allowed difference: a worker reads from terminals, and the destruction cancels such reads.
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        bool is_terminal = kinds[one->kind].backing == STREAM && kinds[one->kind].index == TERMINAL;
        if (is_terminal && context_of[number] == index && one->state == IN_FLIGHT && is_pending(number)) {
            join_context(index);
        }
    }
    // The system's library would lead a waiter that comes after the destruction to an unmapped ring, and crash.
    if (context->has_waiter) { let_others_go_on(); }
    int result = io_destroy(context->context);
    tell("context %ld: %s", index, result_text(result));
    if (result != 0 || !context->is_there) { return; }
    if (context->has_waiter) {
        pthread_join(context->waiter, NULL);
        context->has_waiter = false;
        // Whether it had all its events before the destruction is undetermined.
        tell("who waited for %ld: %s", context->waits_for,
            context->outstanding >= context->waits_for ? "may have had them" : result_text(context->waiter_result));
    }
    // The next context may get the same address.
    context->context = NULL;
    context->is_there = false;
    for (int number = 0; number < operation_count; number++) {
        // Which events were taken before is undetermined.
        if (context_of[number] != index || !is_pending(number)) { continue; }
        if (operations[number].state == IN_FLIGHT && counter_of[number]) { counted[counter_of[number] - 1]++; }
        end_operation(&operations[number], ENDED, 0, 0);
        // A read may have been executed or not.
        operations[number].sum = 0;
        strncat(operations[number].text, ", no event", sizeof operations->text - strlen(operations[number].text) - 1);
    }
    context->outstanding = 0;
    end_all_of(index);
}

static void tell_cancel(long index, int number) {
    struct io_event event;
    memset(&event, 0x55, sizeof event);
    int result = io_cancel(contexts[index].context, &blocks[number], &event);
    is_cancelled[number] |= result == -EINPROGRESS;
    tell("cancel of %s: %s, event %s", operations[number].text, result_text(result),
        event.data == 0x5555555555555555u && event.res == 0x5555555555555555 ? "untouched" : "written");
}

/// CONTEXT BACK: cancels the operation that is BACK before the last.
static void cancel(const long *arguments) {
    int number = operation_count - 1 - (int)arguments[1];
    if (number < 0 || operations[number].state == STAGED) { return; }
    // The outcome of a watch that becomes ready at this moment is undetermined.
    if (context_of[number] == arguments[0] && operations[number].state == IN_FLIGHT
        && operations[number].extent.access == WATCHES && !is_waiting_watch(number)) { return; }
    tell_cancel(arguments[0], number);
}

#include "differ_libaio_waits.h"
#include "differ_libaio_steps.h"
