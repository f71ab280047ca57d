// Writes to blocking streams: the kernel's own Linux AIO writes all bytes, one operation after the other.
#include "libaio_cases.h"

#include "stream_ends.h"

#include <sys/uio.h>

enum { LARGE = 1 << 20 };
static char a[LARGE], b[LARGE], c[LARGE];

static void fill(void) {
    memset(a, 'A', LARGE);
    memset(b, 'B', LARGE);
    memset(c, 'C', LARGE);
}

/// The reader starts first, since the kernel's own io_submit waits for it.
static pthread_t start_drain(struct drain *drain) { return start_thread(run_drain, drain); }

static void large_ones(void) {
    fill();
    for (int kind = 0; kind < STREAM_KINDS; kind++) {
        int ends[2];
        stream_pair(kind, ends);
        struct drain drain = {.descriptor = ends[0], .limit = 3 * LARGE};
        pthread_t reader = start_drain(&drain);
        io_context_t context = new_context(8);
        struct iovec vectors[3] = {{c, 1000}, {c + 1000, LARGE - 3000}, {c + LARGE - 2000, 2000}};
        struct iocb blocks[3] = {
            block(IOCB_CMD_PWRITE, ends[1], a, LARGE, 0), block(IOCB_CMD_PWRITE, ends[1], b, LARGE, 0),
            block(IOCB_CMD_PWRITEV, ends[1], vectors, 3, 0),
        };
        struct iocb *list[3] = {&blocks[0], &blocks[1], &blocks[2]};
        fact_result(stream_kinds[kind], io_submit(context, 3, list));
        long results[3] = {0};
        for (int index = 0; index < 3; index++) {
            struct io_event event = next_event(context);
            results[(struct iocb *)(uintptr_t)event.obj - blocks] = event.res;
        }
        pthread_join(reader, NULL);
        char what[64];
        snprintf(what, sizeof what, "%s, results", stream_kinds[kind]);
        fact(what, "%ld %ld %ld", results[0], results[1], results[2]);
        snprintf(what, sizeof what, "%s, read", stream_kinds[kind]);
        fact(what, "%s", drain.runs);
        io_destroy(context);
        close(ends[0]);
        close(ends[1]);
    }
}

/// A vector of which only a part fits into the pipe.
static void a_vector(void) {
    fill();
    for (int kind = 0; kind < STREAM_KINDS; kind++) {
        int ends[2];
        stream_pair(kind, ends);
        struct drain drain = {.descriptor = ends[0], .limit = LARGE + 200};
        pthread_t reader = start_drain(&drain);
        io_context_t context = new_context(4);
        struct iovec vectors[4] = {{a, 100}, {b, LARGE / 2}, {c, LARGE / 2}, {a, 100}};
        fact_result(stream_kinds[kind], perform(context, block(IOCB_CMD_PWRITEV, ends[1], vectors, 4, 0)));
        pthread_join(reader, NULL);
        char what[64];
        snprintf(what, sizeof what, "%s, read", stream_kinds[kind]);
        fact(what, "%s", drain.runs);
        io_destroy(context);
        close(ends[0]);
        close(ends[1]);
    }
}

/// Whatever its result, its data are not in the middle of the first write's. By RWF_NOWAIT, and by O_NONBLOCK that is
/// set in between.
static void a_write_that_may_not_wait_comes_after(void) {
    fill();
    for (int round = 0; round < 2 * STREAM_KINDS; round++) {
        int ends[2], kind = round / 2;
        bool is_flag = round % 2;
        stream_pair(kind, ends);
        struct drain drain = {.descriptor = ends[0], .limit = LARGE + 1000};
        pthread_t reader = start_drain(&drain);
        io_context_t context = new_context(4);
        struct iocb one = block(IOCB_CMD_PWRITE, ends[1], a, LARGE, 0), two = block(IOCB_CMD_PWRITE, ends[1], b, 1000, 0);
        if (is_flag) { two.rw_flags = RWF_NOWAIT; }
        if (submit_one(context, &one) != 1) { broken("io_submit"); }
        if (!is_flag) { fcntl(ends[1], F_SETFL, fcntl(ends[1], F_GETFL) | O_NONBLOCK); }
        // A terminal does not support the flag.
        long submitted = submit_one(context, &two);
        for (long left = submitted < 0 ? 1 : 2; left > 0; left--) { next_event(context); }
        close(ends[1]);
        pthread_join(reader, NULL);
        char what[64];
        snprintf(what, sizeof what, "%s, by %s flag", stream_kinds[kind], is_flag ? "its" : "the file's");
        fact(what, "%s, %.9s", result_name(submitted), drain.runs);
        io_destroy(context);
        close(ends[0]);
    }
}

/// An accepted write is completed, even if its event is never taken.
static void the_context_ends(void) {
    fill();
    int ends[2];
    stream_pair(0, ends);
    struct drain drain = {.descriptor = ends[0], .limit = LARGE};
    pthread_t reader = start_drain(&drain);
    io_context_t context = new_context(4);
    struct iocb one = block(IOCB_CMD_PWRITE, ends[1], a, LARGE, 0);
    fact_result("submit", submit_one(context, &one));
    fact_result("end", io_destroy(context));
    close(ends[1]);
    pthread_join(reader, NULL);
    fact("read", "%s", drain.runs);
}

/// Two contexts write to one stream.
static void from_two_contexts(void) {
    fill();
    int ends[2];
    stream_pair(0, ends);
    struct drain drain = {.descriptor = ends[0], .limit = 2 * LARGE};
    pthread_t reader = start_drain(&drain);
    io_context_t first = new_context(4), second = new_context(4);
    struct iocb one = block(IOCB_CMD_PWRITE, ends[1], a, LARGE, 0), two = block(IOCB_CMD_PWRITE, ends[1], b, LARGE, 0);
    fact_result("first", submit_one(first, &one));
    fact_result("second", submit_one(second, &two));
    fact_result("of the first", next_event(first).res);
    fact_result("of the second", next_event(second).res);
    pthread_join(reader, NULL);
    fact("read", "%s", drain.runs);
}

static void *take_some_and_close(void *argument) {
    int *ends = argument;
    static char memory[200000];
    for (size_t count = 0; count < sizeof memory;) {
        ssize_t got = read(ends[0], memory, sizeof memory - count);
        if (got <= 0) { break; }
        count += (size_t)got;
    }
    close(ends[0]);
    return NULL;
}

/// The result is the number of bytes written before the reader went away.
static void the_reader_goes(void) {
    signal(SIGPIPE, SIG_IGN);
    fill();
    int ends[2];
    stream_pair(0, ends);
    pthread_t reader = start_thread(take_some_and_close, ends);
    io_context_t context = new_context(4);
    long result = perform(context, block(IOCB_CMD_PWRITE, ends[1], a, LARGE, 0));
    pthread_join(reader, NULL);
    fact_bool("some was written", result >= 200000 && result < LARGE);
    fact_performed("the next one", context, block(IOCB_CMD_PWRITE, ends[1], a, 100, 0));
}

static void *write_late(void *argument) {
    const int *ends = argument;
    static const char text[] = "onetwo";
    if (write(ends[1], text, 3) != 3 || write(ends[1], text + 3, 3) != 3) { broken("write"); }
    return NULL;
}

/// Reads take what is available, in the order of submission.
static void reads_in_order(void) {
    int ends[2];
    stream_pair(1, ends);
    io_context_t context = new_context(4);
    pthread_t writer = start_thread(write_late, ends);
    struct iocb blocks[2] = {block(IOCB_CMD_PREAD, ends[0], a, 3, 0), block(IOCB_CMD_PREAD, ends[0], b, 3, 0)};
    struct iocb *list[2] = {&blocks[0], &blocks[1]};
    fact_result("submit", io_submit(context, 2, list));
    next_event(context);
    next_event(context);
    pthread_join(writer, NULL);
    fact("first", "%.3s", a);
    fact("second", "%.3s", b);
}

static const struct test_case cases[] = {
    {"large-ones", large_ones},
    {"a-vector", a_vector},
    {"a-write-that-may-not-wait-comes-after", a_write_that_may_not_wait_comes_after},
    {"the-context-ends", the_context_ends},
    {"from-two-contexts", from_two_contexts},
    {"the-reader-goes", the_reader_goes},
    {"reads-in-order", reads_in_order},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
