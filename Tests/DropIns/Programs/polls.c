// Polls and cancels: what can be polled, what a poll reports, what can be cancelled.
#include "libaio_cases.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

static io_context_t context;
static int ends[2];

static void begin(void) {
    context = new_context(64);
    if (pipe(ends) != 0) { broken("pipe"); }
}

static struct iocb poll_of(int descriptor, unsigned events) { return block(IOCB_CMD_POLL, descriptor,
    (void *)(uintptr_t)events, 0, 0); }

static void ready_at_once(void) {
    begin();
    int file = new_file(O_RDWR, 10, 1), event = eventfd(3, EFD_CLOEXEC), pair[2],
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) { broken("socketpair"); }
    fact_performed("pipe for writing", context, poll_of(ends[1], POLLOUT));
    fact_performed("pipe for both", context, poll_of(ends[1], POLLIN | POLLOUT));
    fact_performed("file", context, poll_of(file, POLLIN | POLLOUT));
    fact_performed("file for reading", context, poll_of(file, POLLIN));
    fact_performed("eventfd", context, poll_of(event, POLLIN | POLLOUT));
    fact_performed("socket", context, poll_of(pair[0], POLLIN | POLLOUT));
    fact_performed("null device", context, poll_of(null, POLLIN));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_performed("pipe for reading", context, poll_of(ends[0], POLLIN));
    fact_performed("pipe for reading, all bits", context, poll_of(ends[0], POLLIN | POLLRDNORM | POLLPRI | POLLRDHUP));
    close(ends[1]);
    fact_performed("closed pipe", context, poll_of(ends[0], POLLIN));
    fact_performed("closed pipe, nothing asked", context, poll_of(ends[0], 0));
    close(pair[1]);
    fact_performed("closed socket", context, poll_of(pair[0], POLLIN | POLLRDHUP));
}

static void fields(void) {
    begin();
    struct iocb odd[4] = {poll_of(ends[1], POLLOUT), poll_of(ends[1], POLLOUT), poll_of(ends[1], POLLOUT),
        poll_of(ends[1], 0x10000 | POLLOUT)};
    odd[0].count = 1;
    odd[1].offset = 1;
    odd[2].rw_flags = 1;
    fact_performed("count", context, odd[0]);
    fact_performed("offset", context, odd[1]);
    fact_performed("flag", context, odd[2]);
    fact_performed("more than sixteen bits", context, odd[3]);
    struct iocb whole = poll_of(ends[1], POLLOUT);
    whole.buffer = 1ull << 32 | POLLOUT;
    fact_performed("more than 32 bits", context, whole);
}

static void ready_later(void) {
    begin();
    struct iocb poll = poll_of(ends[0], POLLIN);
    poll.data = 42;
    fact_result("submit", submit_one(context, &poll));
    fact_result("no event", event_count_now(context));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    struct io_event event = next_event(context);
    fact_bool("readable", (event.res & POLLIN) != 0);
    fact_result("mask", event.res);
    fact_result("data", (long)event.data);
    fact_result("once only", event_count_now(context));
    poll = poll_of(ends[0], POLLRDHUP);
    fact_result("for another thing", submit_one(context, &poll));
    fact_result("no event for it", event_count_now(context));
    close(ends[1]);
    fact_bool("the end is told unasked", (next_event(context).res & POLLHUP) != 0);
}

static void many_on_one(void) {
    begin();
    struct iocb polls[32], *list[32];
    for (int index = 0; index < 32; index++) {
        polls[index] = poll_of(ends[0], POLLIN);
        polls[index].data = (uint64_t)index;
        list[index] = &polls[index];
    }
    fact_result("submit", io_submit(context, 32, list));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    uint32_t seen = 0;
    for (int index = 0; index < 32; index++) { seen |= 1u << next_event(context).data; }
    fact_bool("each its own event", seen == UINT32_MAX);
}

static void polled_file_closed_in_flight(void) {
    begin();
    struct iocb poll = poll_of(ends[0], POLLIN);
    fact_result("submit", submit_one(context, &poll));
    close(ends[0]);
    fact_result("no event", event_count_now(context));
    // The poll keeps the reading end open, so there is no SIGPIPE.
    fact_result("write", write(ends[1], "x", 1));
    fact_bool("event", (next_event(context).res & POLLIN) != 0);
}

static void cancel_pointers(void) {
    begin();
    struct iocb read = block(IOCB_CMD_PREAD, 0, NULL, 0, 0), poll = poll_of(ends[0], POLLIN);
    struct io_event event;
    fact_result("null context", io_cancel(NULL, &read, &event));
    fact_result("null block", io_cancel(context, NULL, &event));
    fact_result("last address", io_cancel(context, HIGH_ADDRESS, &event));
    fact_result("kernel address", io_cancel(context, KERNEL_ADDRESS, &event));
    fact_result("never submitted", io_cancel(context, &read, &event));
    read.key = 7;
    fact_result("with a key", io_cancel(context, &read, &event));
    fact_result("null context and block", io_cancel(NULL, NULL, NULL));
    fact_result("submit", submit_one(context, &poll));
    fact_result("in another context", io_cancel(new_context(4), &poll, &event));
    struct iocb copy = poll;
    fact_result("by a copy of its block", io_cancel(context, &copy, &event));
    poll.key = 9;
    fact_result("key changed", io_cancel(context, &poll, &event));
    poll.key = 0;
    memset(&poll.data, 0xff, 8);
    fact_result("null event", io_cancel(context, &poll, NULL));
    fact_result("no second time", io_cancel(context, &poll, &event));
    struct io_event taken = next_event(context);
    fact("event", "%s, data %s", result_name(taken.res), taken.data == 0 ? "as submitted" : "changed");
}

static void cancel_of_a_poll(void) {
    begin();
    struct iocb poll = poll_of(ends[0], POLLIN);
    poll.data = 42;
    struct io_event event;
    memset(&event, 0x55, sizeof event);
    submit_one(context, &poll);
    fact_result("result", io_cancel(context, &poll, &event));
    fact_bool("event argument is left alone", is_filled(&event, sizeof event, 0x55));
    struct io_event taken = next_event(context);
    fact("event", "res %ld, res2 %ld, data %ld", (long)taken.res, (long)taken.res2, (long)taken.data);
    fact_bool("its block", taken.obj == (uint64_t)(uintptr_t)&poll);
    fact_result("again", io_cancel(context, &poll, &event));
    fact_result("no more events", event_count_now(context));
    // A cancelled poll stays cancelled.
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("none after it became ready", event_count_now(context));
}

static void cancel_with_an_eventfd(void) {
    begin();
    int signal = eventfd(0, EFD_CLOEXEC);
    struct iocb poll = poll_of(ends[0], POLLIN);
    poll.flags = IOCB_FLAG_RESFD;
    poll.eventfd = signal;
    struct io_event event;
    submit_one(context, &poll);
    fact_result("result", io_cancel(context, &poll, &event));
    uint64_t count = 0;
    fact_result("signalled", eventfd_read(signal, &count) == 0 ? (long)count : -errno);
    fact_result("event", event_count_now(context));
}

static void cancel_of_what_is_done(void) {
    begin();
    int file = new_file(O_RDONLY, 4096, 1);
    char bytes[16];
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    struct io_event event;
    submit_one(context, &read);
    next_event(context);
    fact_result("read, event taken", io_cancel(context, &read, &event));
    submit_one(context, &read);
    while (((struct aio_ring *)context)->tail != 2) { sched_yield(); }
    fact_result("read, event there", io_cancel(context, &read, &event));
    fact_result("its event", event_count_now(context));
    struct iocb poll = poll_of(ends[1], POLLOUT);
    submit_one(context, &poll);
    next_event(context);
    fact_result("poll", io_cancel(context, &poll, &event));
}

static void cancel_of_one_of_two_with_the_same_block(void) {
    begin();
    struct iocb poll = poll_of(ends[0], POLLIN);
    struct io_event event;
    submit_one(context, &poll);
    submit_one(context, &poll);
    fact_result("first", io_cancel(context, &poll, &event));
    fact_result("second", io_cancel(context, &poll, &event));
    fact_result("third", io_cancel(context, &poll, &event));
    next_event(context);
    next_event(context);
    fact_result("events left", event_count_now(context));
}

/// More than a library may have in flight at a time: one that is cancelled may still be waiting behind others.
static void cancel_among_many(void) {
    enum { COUNT = 3000 };
    static struct iocb polls[COUNT], *list[COUNT];
    static int events[COUNT];
    const int cancelled[] = {2000, 2500, COUNT - 1, 1, 2001};
    if (pipe(ends) != 0) { broken("pipe"); }
    context = new_context(COUNT);
    for (int index = 0; index < COUNT; index++) {
        polls[index] = poll_of(ends[0], POLLIN);
        polls[index].data = (uint64_t)index;
        list[index] = &polls[index];
    }
    fact_result("submit", io_submit(context, COUNT, list));
    struct io_event event;
    for (size_t index = 0; index < sizeof cancelled / sizeof *cancelled; index++) {
        char what[32];
        snprintf(what, sizeof what, "cancel of %d", cancelled[index]);
        long result = io_cancel(context, &polls[cancelled[index]], &event);
        bool is_right = next_event(context).data == (uint64_t)cancelled[index];
        fact(what, "%s, %s event", result_name(result), is_right ? "its" : "another");
        events[cancelled[index]]++;
    }
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    for (size_t left = COUNT - sizeof cancelled / sizeof *cancelled; left > 0; left--) {
        events[next_event(context).data]++;
    }
    int once = 0;
    for (int index = 0; index < COUNT; index++) { once += events[index] == 1; }
    fact_result("with one event", once);
    fact_result("no more events", event_count_now(context));
    fact_result("end", io_destroy(context));
}

static void *cancel_soon(void *poll) {
    struct io_event event;
    return (void *)(long)io_cancel(context, poll, &event);
}

static void cancel_from_another_thread(void) {
    begin();
    struct iocb poll = poll_of(ends[0], POLLIN);
    submit_one(context, &poll);
    pthread_t thread = start_thread(cancel_soon, &poll);
    struct io_event event = next_event(context);
    void *result;
    pthread_join(thread, &result);
    fact_result("event", event.res);
    fact_result("result", (long)result);
}

/// A cancel races with readiness: there is one event in any case.
static void cancel_against_readiness(void) {
    begin();
    int events = 0, rounds = 500;
    for (int round = 0; round < rounds; round++) {
        struct iocb poll = poll_of(ends[0], POLLIN);
        submit_one(context, &poll);
        pthread_t thread = start_thread(cancel_soon, &poll);
        char byte = 'x';
        if (write(ends[1], &byte, 1) != 1) { broken("write"); }
        next_event(context);
        pthread_join(thread, NULL);
        if (read(ends[0], &byte, 1) != 1) { broken("read"); }
        events += event_count_now(context) == 0;
    }
    fact_bool("one event each", events == rounds);
}

/// A poll that was submitted among direct transfers, before a call with a buffered one: each may be carried out in
/// another way.
static void cancel_of_a_poll_among_transfers(void) {
    begin();
    int file = new_file(O_RDWR, 65536, 3), direct = new_file(O_RDWR, 65536, 3);
    void *memory = aligned_memory(4096);
    fcntl(direct, F_SETFL, O_DIRECT);
    perform(context, block(IOCB_CMD_PREAD, direct, memory, 4096, 0));
    struct iocb poll = poll_of(ends[0], POLLIN);
    submit_one(context, &poll);
    for (int index = 0; index < 40; index++) { perform(context, block(IOCB_CMD_PWRITE, file, memory, 4096, 0)); }
    struct io_event event;
    fact_result("result", io_cancel(context, &poll, &event));
    event = next_event(context);
    fact_bool("its event", event.obj == (uint64_t)(uintptr_t)&poll);
    fact_result("again", io_cancel(context, &poll, &event));
    fact_result("end", io_destroy(context));
}

static const struct test_case cases[] = {
    {"ready-at-once", ready_at_once},
    {"fields", fields},
    {"ready-later", ready_later},
    {"many-on-one", many_on_one},
    {"polled-file-closed-in-flight", polled_file_closed_in_flight},
    {"cancel-pointers", cancel_pointers},
    {"cancel-of-a-poll", cancel_of_a_poll},
    {"cancel-with-an-eventfd", cancel_with_an_eventfd},
    {"cancel-of-what-is-done", cancel_of_what_is_done},
    {"cancel-of-one-of-two-with-the-same-block", cancel_of_one_of_two_with_the_same_block},
    {"cancel-of-a-poll-among-transfers", cancel_of_a_poll_among_transfers},
    {"cancel-among-many", cancel_among_many},
    {"cancel-from-another-thread", cancel_from_another_thread},
    {"cancel-against-readiness", cancel_against_readiness},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
