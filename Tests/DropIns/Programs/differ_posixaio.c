// The differential test of POSIX AIO: runs programs over libc's implementation or ours, and reports what happened.
#define IS_LINUX_AIO false

#include "differ_file_steps.h"

#include <aio.h>

#pragma GCC diagnostic ignored "-Wnonnull"

enum { MOST_LISTED = 16, LIST_VALUES = 500 };

static struct aiocb blocks[MOST_OPERATIONS];
/// How the end of an operation is notified, and how often it was.
static long notification_of[MOST_OPERATIONS];
static int signalled[MOST_OPERATIONS + LIST_VALUES], called[MOST_OPERATIONS + LIST_VALUES];
/// Lists, and how the end of each is notified.
static int list_count;
static long list_way[LIST_VALUES];
/// Entries that could not be started: their notification is reported if it comes, but not waited for.
static bool may_be_untold[MOST_OPERATIONS];
static int staged[MOST_LISTED], staged_count;
/// Operations in flight in the order of their start, in which a stream serves them.
static int begun[MOST_OPERATIONS], begun_count;
static bool has_begun;
/// Whether it may wait for data.
static bool may_wait[MOST_OPERATIONS];
/// For each readable end of a stream: the data for the reads in flight, according to the results so far.
static int64_t unread[KINDS];

enum call { READ, WRITE, FULL_SYNC, DATA_SYNC, BAD_SYNC, CALLS };
static const char *const call_names[CALLS] = {"read", "write", "fsync", "fdsync", "unknown sync"};

enum notification { NONE, SIGNAL, THREAD, UNKNOWN, BAD_SIGNAL, NO_SIGNAL, NOTIFICATIONS };
static const char *const notification_names[NOTIFICATIONS] = {
    "", ", by signal", ", by thread", ", by an unknown way", ", by signal 1000", ", by signal 0"};

static void be_called(union sigval value) { __atomic_add_fetch(&called[value.sival_int], 1, __ATOMIC_SEQ_CST); }

static struct sigevent event_for(long notification, int value) {
    struct sigevent event;
    memset(&event, 0x55, sizeof event);
    event.sigev_value.sival_int = value;
    event.sigev_signo = notification == BAD_SIGNAL ? 1000 : notification == NO_SIGNAL ? 0 : SIGRTMIN;
    switch (notification) {
    case SIGNAL:
    case BAD_SIGNAL:
    case NO_SIGNAL: event.sigev_notify = SIGEV_SIGNAL; break;
    case THREAD:
        event.sigev_notify = SIGEV_THREAD;
        event.sigev_notify_function = be_called;
        event.sigev_notify_attributes = NULL;
        break;
    case UNKNOWN: event.sigev_notify = 77; break;
    default: event.sigev_notify = SIGEV_NONE;
    }
    return event;
}

// Requests.

static struct operation described(const long *arguments) {
    long kind = arguments[0], call = arguments[1];
    struct operation one = {.kind = kind, .state = STAGED, .is_reading = call == READ, .is_writing = call == WRITE};
    char priority[32] = "";
    if (arguments[6]) { snprintf(priority, sizeof priority, ", priority %ld", arguments[6]); }
    snprintf(one.text, sizeof one.text, "%s, %s of %ld at %ld%s%s%s", kinds[kind].name, call_names[call], arguments[3],
        arguments[2], place_name((int)arguments[4]), notification_names[arguments[5]], priority);
    return one;
}

static struct extent described_extent(const long *arguments) {
    long kind = arguments[0], call = arguments[1];
    bool appends = kinds[kind].backing == REGULAR && fcntl(number_of(kind), F_GETFL) & O_APPEND;
    enum access access = call == READ ? READS : call == WRITE ? (appends ? APPENDS : WRITES) : SYNCS;
    return extent_of(kind, access, arguments[2], call <= WRITE ? (uint64_t)arguments[3] : 0);
}

static void fill_block(int number, const long *arguments, int descriptor) {
    struct operation *one = &operations[number];
    struct aiocb *block = &blocks[number];
    memset(block, 0x55, sizeof *block);
    one->buffer = make_buffer(number, (int)arguments[4], (size_t)arguments[3]);
    block->aio_fildes = descriptor;
    block->aio_lio_opcode = one->is_writing ? LIO_WRITE : one->is_reading ? LIO_READ : 77;
    block->aio_reqprio = (int)arguments[6];
    block->aio_buf = one->buffer.address;
    block->aio_nbytes = (size_t)arguments[3];
    block->aio_offset = arguments[2];
    block->aio_sigevent = event_for(arguments[5], number);
    notification_of[number] = arguments[5];
}

static bool is_stream_read(const struct operation *one) {
    return one->is_reading && kinds[one->kind].backing == STREAM;
}

static bool is_read_from(long kind, enum operation_state state) {
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        if (one->state == state && one->kind == kind && one->is_reading) { return true; }
    }
    return false;
}

/// A read removes a whole packet, however little it asked for; so it would be undetermined whether a second read waits.
static bool shares_packets(const struct operation *one) {
    if (!is_stream_read(one) || kinds[one->kind].index != SEQPACKET) { return false; }
    if (is_read_from(one->kind, IN_FLIGHT)) { join_all(NULL); }
    return is_read_from(one->kind, STAGED);
}

/// Returns the number of a new operation; -1 if it cannot be in flight with the others.
static int prepare(const long *arguments) {
    long kind = arguments[0];
    int descriptor = use(kind);
    struct operation one = described(arguments);
    bool waits = is_blocking(descriptor);
    int flags = fcntl(descriptor, F_GETFL);
    one.is_direct = flags >= 0 && flags & O_DIRECT;
    if (kinds[kind].backing == STREAM && is_slow_stream(kind) && one.is_writing && !waits) { return -1; }
    one.extent = described_extent(arguments);
    if (is_cut_in_stream(&one, waits, (int)arguments[4], false, 0)) { return -1; }
    if (conflicts_with_flights(&one.extent) || disturbs_drain(&one, waits)) { join_all(NULL); }
    one.extent = described_extent(arguments);
    bool is_full = operation_count >= MOST_STAGED_OPERATIONS;
    if (is_full || shares_packets(&one) || conflicts_with_flights(&one.extent)) {
        tell("%s: left out, since it is not ordered with others", one.text);
        return -1;
    }
    one.needs_drain = one.is_writing && waits && kinds[kind].backing == STREAM;
    may_wait[operation_count] = is_stream_read(&one) && waits;
    int number = operation_count++;
    operations[number] = one;
    fill_block(number, arguments, descriptor);
    return number;
}

static void begin(int number) {
    struct operation *one = &operations[number];
    // How much the first of several reads finds can be predicted; for later ones it depends on timing.
    if (is_stream_read(one) && !is_read_from(one->kind, IN_FLIGHT)) { unread[one->kind] = readable(one->kind); }
    one->state = IN_FLIGHT;
    begun[begun_count++] = number;
    if (one->needs_drain) { begin_draining(other_end(one->kind)); }
}

/// KIND CALL OFFSET SIZE PLACE NOTIFICATION PRIORITY: a single request.
static void request(const long *arguments) {
    int number = prepare(arguments), result;
    if (number < 0) { return; }
    struct aiocb *block = &blocks[number];
    begin(number);
    has_begun = true;
    switch (arguments[1]) {
    case READ: result = aio_read(block); break;
    case WRITE: result = aio_write(block); break;
    case FULL_SYNC: result = aio_fsync(O_SYNC, block); break;
    case DATA_SYNC: result = aio_fsync(O_DSYNC, block); break;
    default: result = aio_fsync(O_RDWR, block);
    }
    int error = errno;
    tell("%s: %s", operations[number].text, result == 0 ? "0" : error_name(error));
    if (result != 0) { end_operation(&operations[number], REFUSED, 0, 0); }
}

/// KIND OPCODE OFFSET SIZE PLACE NOTIFICATION PRIORITY: an entry of the next list.
static void list_entry(const long *arguments) {
    if (staged_count == MOST_LISTED) { return; }
    int number = prepare(arguments);
    if (number >= 0) { staged[staged_count++] = number; }
}

// Completion.

static void note_end(int number) {
    int error = aio_error(&blocks[number]);
    ssize_t result = aio_return(&blocks[number]);
    struct operation *one = &operations[number];
    if (is_stream_read(one) && error == 0) { unread[one->kind] -= result; }
    if (error != 0 && result != -1) { tell("%s: error %d, but result %zd", one->text, error, result); }
    one->is_over = true;
    end_operation(one, ENDED, error ? -error : result, 0);
}

static bool has_ended(int number) { return aio_error(&blocks[number]) != EINPROGRESS; }

static bool await(int number, int milliseconds) {
    const struct aiocb *list[] = {&blocks[number]};
    struct timespec limit = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    for (int tries = 0; !has_ended(number) && tries < 2; tries++) { aio_suspend(list, 1, &limit); }
    return has_ended(number);
}

/// Feeds a read that waits for data. Whether it waits follows from the data that was there and what other reads took.
static void end_waiting_read(int number) {
    long kind = operations[number].kind;
    if (!may_wait[number] || unread[kind] > 0) { return; }
    ssize_t count = feed(kind, 100);
    if (count > 0) { unread[kind] += count; }
}

static void join_all(const long *arguments) {
    (void)arguments;
    for (int place = 0; place < begun_count; place++) {
        int number = begun[place];
        if (operations[number].state != IN_FLIGHT) { continue; }
        end_waiting_read(number);
        if (!await(number, 1000)) {
            tell("%s: has not ended", operations[number].text);
            // Nothing can be predicted after this.
            _exit(3);
        }
        note_end(number);
    }
    begun_count = 0;
    end_all_drains();
}

// libc uses the number's meaning when a request's turn comes, ours its meaning at the call; so the request must end
// first.
static void before_change(long kind) {
    (void)kind;
    join_all(NULL);
}

static void forget_staged(void) {
    for (int place = 0; place < staged_count; place++) { end_operation(&operations[staged[place]], REFUSED, 0, 0); }
    staged_count = 0;
}

/// Counts a signal, taken by the test, or on a thread of libc that blocks none.
static void note_signal(int number, siginfo_t *information, void *unused) {
    (void)number, (void)unused;
    int value = information->si_value.sival_int;
    if (information->si_code != SI_ASYNCIO || information->si_pid != getpid() || value < 0
        || value >= MOST_OPERATIONS + LIST_VALUES) {
        tell("a signal of code %d, value %d", information->si_code, value);
        return;
    }
    __atomic_add_fetch(&signalled[value], 1, __ATOMIC_SEQ_CST);
}

/// Whether all notifications of one kind that must come have come.
static bool are_all_there(const int *counts, long way) {
    for (int number = 0; number < operation_count; number++) {
        bool is_expected = operations[number].state == ENDED && notification_of[number] == way
            && !may_be_untold[number];
        if (is_expected && !__atomic_load_n(&counts[number], __ATOMIC_SEQ_CST)) { return false; }
    }
    for (int value = 0; value < list_count; value++) {
        if (list_way[value] == way && !__atomic_load_n(&counts[MOST_OPERATIONS + value], __ATOMIC_SEQ_CST)) {
            return false;
        }
    }
    return true;
}

static bool has_way(long way) {
    for (int number = 0; number < operation_count; number++) {
        if (notification_of[number] == way) { return true; }
    }
    return false;
}

/// Takes the signals and calls that must come, and those that come although they need not.
static void collect_notifications(void) {
    sigset_t set;
    siginfo_t information;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN);
    bool has_notifications = has_way(SIGNAL) || has_way(THREAD) || list_count > 0;
    int tries = 0, rest = has_notifications ? 3 : 0;
    while (tries < 1500 && rest >= 0) {
        struct timespec limit = {0, 1000000};
        if (sigtimedwait(&set, &information, &limit) > 0) {
            note_signal(SIGRTMIN, &information, NULL);
            continue;
        }
        tries++;
        if (are_all_there(signalled, SIGNAL) && are_all_there(called, THREAD)) { rest--; }
    }
}

#include "differ_posixaio_steps.h"
