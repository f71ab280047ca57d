// The io_queue_ functions and their callbacks, and the versioned symbols, including those for old programs, whose
// arguments differ.
#include "libaio_cases.h"

#include <dlfcn.h>

static char bytes[4096];

static void symbols(void) {
    const char *names[][2] = {
        {"io_submit", "LIBAIO_0.1"}, {"io_queue_init", "LIBAIO_0.1"}, {"io_queue_run", "LIBAIO_0.1"},
        {"io_queue_release", "LIBAIO_0.1"}, {"io_cancel", "LIBAIO_0.1"}, {"io_getevents", "LIBAIO_0.1"},
        {"io_queue_wait", "LIBAIO_0.1"}, {"io_setup", "LIBAIO_0.4"}, {"io_destroy", "LIBAIO_0.4"},
        {"io_cancel", "LIBAIO_0.4"}, {"io_getevents", "LIBAIO_0.4"}, {"io_queue_wait", "LIBAIO_0.4"},
        {"io_pgetevents", "LIBAIO_0.5"}, {"io_setup", "LIBAIO_0.1"}, {"io_pgetevents", "LIBAIO_0.4"},
    };
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        char what[64];
        snprintf(what, sizeof what, "%s of %s", names[index][0], names[index][1]);
        fact_bool(what, dlvsym(RTLD_DEFAULT, names[index][0], names[index][1]) != NULL);
    }
    // The symbols that a program linked today gets, and those that a lookup without a version gets.
    const char *changed[] = {"io_cancel", "io_getevents", "io_queue_wait"};
    void *linked[] = {(void *)io_cancel, (void *)io_getevents, (void *)io_queue_wait};
    for (int index = 0; index < 3; index++) {
        char what[64];
        void *new = dlvsym(RTLD_DEFAULT, changed[index], "LIBAIO_0.4");
        snprintf(what, sizeof what, "%s of 0.1 is another", changed[index]);
        fact_bool(what, new != dlvsym(RTLD_DEFAULT, changed[index], "LIBAIO_0.1"));
        snprintf(what, sizeof what, "%s that is linked is that of 0.4", changed[index]);
        fact_bool(what, new == linked[index]);
        snprintf(what, sizeof what, "%s without a version is that of 0.4", changed[index]);
        fact_bool(what, new == dlsym(RTLD_DEFAULT, changed[index]));
    }
}

typedef int (*old_getevents)(io_context_t, long nr, struct io_event *, const struct timespec *);
typedef int (*old_cancel)(io_context_t, struct iocb *);
typedef int (*old_wait)(io_context_t, const struct timespec *);

static void old_getevents_has_no_minimum(void) {
    old_getevents events_of = (old_getevents)dlvsym(RTLD_DEFAULT, "io_getevents", "LIBAIO_0.1");
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(8);
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    struct io_event events[4];
    struct timespec now = {0, 0}, soon = {0, 1000};
    fact_result("none, no time", events_of(context, 4, events, &now));
    fact_result("none, a microsecond", events_of(context, 4, events, &soon));
    for (int index = 0; index < 3; index++) { submit_one(context, &read); }
    while (((struct aio_ring *)context)->tail != 3) { sched_yield(); }
    fact_result("two of three", events_of(context, 2, events, NULL));
    fact_result("result", events[1].res);
    fact_result("the third", events_of(context, 4, events, &now));
    fact_result("0 of none", events_of(context, 0, events, &soon));
    fact_result("negative", events_of(context, -1, events, NULL));
    fact_result("no context", events_of(NULL, 1, events, NULL));
}

static void old_cancel_has_no_event(void) {
    old_cancel cancel = (old_cancel)dlvsym(RTLD_DEFAULT, "io_cancel", "LIBAIO_0.1");
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    io_context_t context = new_context(8);
    struct iocb poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    submit_one(context, &poll);
    fact_result("poll in flight", cancel(context, &poll));
    fact_result("its event", next_event(context).res);
    fact_result("again", cancel(context, &poll));
    fact_result("null", cancel(context, NULL));
    fact_result("no context", cancel(NULL, &poll));
}

static void old_wait_takes_nothing(void) {
    old_wait wait = (old_wait)dlvsym(RTLD_DEFAULT, "io_queue_wait", "LIBAIO_0.1");
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(8);
    struct timespec now = {0, 0};
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    fact_result("none", wait(context, &now));
    fact_result("none, no time limit", wait(context, NULL));
    submit_one(context, &read);
    fact_result("one", wait(context, NULL));
    fact_result("left", event_count_now(context));
    fact_result("no context", wait(NULL, &now));
}

static void wait_takes_nothing(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(8);
    struct timespec now = {0, 0};
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    fact_result("none", io_queue_wait(context, &now));
    fact_result("none, no time limit", io_queue_wait(context, NULL));
    submit_one(context, &read);
    fact_result("one", io_queue_wait(context, NULL));
    fact_result("left", event_count_now(context));
    fact_result("no context", io_queue_wait(NULL, &now));
}

static void init(void) {
    io_context_t context = NULL;
    fact_result("0", io_queue_init(0, &context));
    fact_result("-1", io_queue_init(-1, &context));
    fact_result("8", io_queue_init(8, &context));
    fact_bool("context", context != NULL);
    io_context_t again = context;
    // Unlike io_setup, it ignores the variable's old value.
    fact_result("over a context", io_queue_init(8, &again));
    fact_bool("another one", again != context);
    fact_result("release", io_queue_release(context));
    fact_result("release again", io_queue_release(context));
    fact_result("release of null", io_queue_release(NULL));
}

static int calls;
static long results, second_results;
static io_context_t called_with;
static struct iocb *called_for[4];

static void callback(io_context_t context, struct iocb *block, long result, long second) {
    called_with = context;
    called_for[calls++ % 4] = block;
    results += result;
    second_results += second;
}

static void run_calls_back(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = NULL;
    if (io_queue_init(8, &context) != 0) { broken("io_queue_init"); }
    fact_result("nothing there", io_queue_run(context));
    struct iocb reads[3];
    for (int index = 0; index < 3; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, bytes, 16, index == 2 ? 4090 : 0);
        reads[index].data = (uint64_t)(uintptr_t)callback;
        submit_one(context, &reads[index]);
    }
    while (((struct aio_ring *)context)->tail != 3) { sched_yield(); }
    fact_result("three there", io_queue_run(context));
    fact_result("calls", calls);
    fact_result("sum of results", results);
    fact_result("sum of second results", second_results);
    fact_bool("context", called_with == context);
    bool isEachOnce = true;
    for (int index = 0; index < 3; index++) {
        int count = 0;
        for (int call = 0; call < 3; call++) { count += called_for[call] == &reads[index]; }
        isEachOnce &= count == 1;
    }
    fact_bool("each block once", isEachOnce);
    fact_result("nothing left", event_count_now(context));
    fact_result("no context", io_queue_run(NULL));
}

static struct iocb next_read;
static int chained;

static void chain(io_context_t context, struct iocb *block, long result, long second) {
    (void)block, (void)result, (void)second;
    if (++chained < 5) { submit_one(context, &next_read); }
}

/// A callback may submit.
static void callbacks_submit(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = NULL;
    if (io_queue_init(8, &context) != 0) { broken("io_queue_init"); }
    next_read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    next_read.data = (uint64_t)(uintptr_t)chain;
    submit_one(context, &next_read);
    while (chained < 5) {
        io_queue_wait(context, NULL);
        if (io_queue_run(context) != 0) { broken("io_queue_run"); }
    }
    fact_result("calls", chained);
    fact_result("left", event_count_now(context));
}

static const struct test_case cases[] = {
    {"symbols", symbols},
    {"old-getevents-has-no-minimum", old_getevents_has_no_minimum},
    {"old-cancel-has-no-event", old_cancel_has_no_event},
    {"old-wait-takes-nothing", old_wait_takes_nothing},
    {"wait-takes-nothing", wait_takes_nothing},
    {"init", init},
    {"run-calls-back", run_calls_back},
    {"callbacks-submit", callbacks_submit},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
