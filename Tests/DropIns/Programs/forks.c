// Contexts and fork: a child's inherited contexts are invalid, and it may create its own.
#include "libaio_cases.h"

#include <sys/socket.h>

static int file;
static uint8_t bytes[4096];
static const char *suffix = "";

/// Runs `body` in a child, which prints the facts itself.
static void in_child(void (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(CASE_LIMIT - 5);
        body();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    char what[64];
    snprintf(what, sizeof what, "child%s", suffix);
    fact(what, "%s", WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : WEXITSTATUS(status) ? "failed" : "ended");
}

static io_context_t context;

static void use_parents(void) {
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    struct io_event event;
    struct timespec soon = {0, 1000}, now = {0, 0};
    // With a time of zero only the ring is read.
    fact_result("events, no time", io_getevents(context, 0, 1, &event, &now));
    fact_result("submit", submit_one(context, &read));
    fact_result("submit nothing", io_submit(context, 0, NULL));
    fact_result("submit a bad array", io_submit(context, 1, NULL));
    fact_result("events", io_getevents(context, 0, 1, &event, &soon));
    fact_result("events without a time limit", io_getevents(context, 1, 1, &event, NULL));
    fact_result("events with a mask", io_pgetevents(context, 1, 1, &event, &soon, NULL));
    fact_result("cancel", io_cancel(context, &read, &event));
    fact_result("wait", io_queue_wait(context, NULL));
    fact_result("end", io_destroy(context));
    fact_result("end again", io_destroy(context));
}

static void child_is_refused_its_parents(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(8);
    in_child(use_parents);
    fact_performed("the parent's works on", context, block(IOCB_CMD_PREAD, file, bytes, 16, 0));
    fact_result("and ends", io_destroy(context));
}

static void make_own(void) {
    io_context_t own = NULL;
    fact_result("setup", io_setup(8, &own));
    fact_performed("read", own, block(IOCB_CMD_PREAD, file, bytes, 4096, 0));
    fact_bool("content", is_known(bytes, 4096, 0, 1));
    make_cold(file);
    memset(bytes, 0, sizeof bytes);
    fact_performed("cold read", own, block(IOCB_CMD_PREAD, file, bytes, 4096, 0));
    fact_bool("its content", is_known(bytes, 4096, 0, 1));
    fact_result("parent's is refused still", io_submit(context, 0, NULL));
    fact_result("end of its own", io_destroy(own));
}

static void child_makes_its_own(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(8);
    fact_performed("parent before", context, block(IOCB_CMD_PREAD, file, bytes, 16, 0));
    in_child(make_own);
    fact_performed("parent after", context, block(IOCB_CMD_PREAD, file, bytes, 16, 0));
}

static int ends[2];

static void exit_at_once(void) { exit(0); }

/// A child does not affect operations in flight in the parent, whether it ends or continues.
static void parent_with_operations_in_flight(void) {
    file = new_file(O_RDONLY | O_DIRECT, 1 << 20, 1);
    make_cold(file);
    if (pipe(ends) != 0) { broken("pipe"); }
    uint8_t *memory = aligned_memory(1 << 20);
    context = new_context(32);
    struct iocb reads[16], *list[17], poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    for (int index = 0; index < 16; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory + index * 65536, 65536, index * 65536);
        list[index] = &reads[index];
    }
    list[16] = &poll;
    poll.data = 1;
    madvise(memory, 1 << 20, MADV_DONTFORK);
    fact_result("submit", io_submit(context, 17, list));
    in_child(exit_at_once);
    int good = 0;
    for (int index = 0; index < 16; index++) { good += next_event(context).res == 65536; }
    fact_result("good", good);
    fact_bool("content", is_known(memory, 1 << 20, 0, 1));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("then the poll", (long)next_event(context).data);
}

static void child_of_a_child(void) {
    make_own();
    context = new_context(4);
    in_child(use_parents);
}

static void grandchild(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(8);
    pid_t child = fork();
    if (child == 0) {
        alarm(CASE_LIMIT - 5);
        suffix = " of the child";
        child_of_a_child();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    fact_result("status", status);
    fact_result("parent's end", io_destroy(context));
}

/// Many children at once, each with its own context, while the parent works.
static void many_children(void) {
    file = new_file(O_RDONLY, 65536, 1);
    context = new_context(8);
    fflush(stdout);
    for (int index = 0; index < 16; index++) {
        pid_t child = fork();
        if (child != 0) { continue; }
        alarm(CASE_LIMIT - 5);
        int good = 0;
        io_context_t own = new_context(8);
        for (int round = 0; round < 16; round++) {
            good += perform(own, block(IOCB_CMD_PREAD, file, bytes, 4096, round * 4096)) == 4096;
            good += is_known(bytes, 4096, (uint64_t)round * 4096, 1);
        }
        _exit(good == 32 ? 0 : 1);
    }
    int parent = 0, children = 0;
    for (int round = 0; round < 100; round++) {
        parent += perform(context, block(IOCB_CMD_PREAD, file, bytes, 16, 0)) == 16;
    }
    for (int index = 0; index < 16; index++) {
        int status = 1;
        waitpid(-1, &status, 0);
        children += status == 0;
    }
    fact_result("good reads of the parent", parent);
    fact_result("good children", children);
}

static volatile bool is_over;

static void *work(void *unused) {
    (void)unused;
    io_context_t own = new_context(8);
    uint8_t memory[64];
    long good = 0, rounds = 0;
    for (; !__atomic_load_n(&is_over, __ATOMIC_ACQUIRE); rounds++) {
        good += perform(own, block(IOCB_CMD_PREAD, file, memory, 64, 0)) == 64;
    }
    return (void *)(long)(good == rounds);
}

/// fork may come at any moment: a thread that the child does not have must not leave locks held that it needs.
static void fork_while_others_submit(void) {
    file = new_file(O_RDONLY, 4096, 1);
    pthread_t threads[3];
    for (int index = 0; index < 3; index++) { threads[index] = start_thread(work, NULL); }
    int good = 0;
    fflush(stdout);
    for (int round = 0; round < 30; round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(CASE_LIMIT - 5);
            io_context_t own = new_context(8);
            long result = perform(own, block(IOCB_CMD_PREAD, file, bytes, 64, 0));
            _exit(result == 64 && io_destroy(own) == 0 ? 0 : 1);
        }
        int status = 1;
        waitpid(child, &status, 0);
        good += status == 0;
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
    for (int index = 0; index < 3; index++) {
        void *isGood;
        pthread_join(threads[index], &isGood);
        good += isGood != NULL;
    }
    fact_result("good", good);
}

/// vfork and exec, as in posix_spawn: the new program has none of it, and the parent keeps everything.
static void programs_started_meanwhile(void) {
    file = new_file(O_RDONLY, 4096, 1);
    context = new_context(8);
    fact_result("before", perform(context, block(IOCB_CMD_PREAD, file, bytes, 16, 0)));
    fact_result("system", system("exit 3") >> 8);
    fact_result("after", perform(context, block(IOCB_CMD_PREAD, file, bytes, 16, 0)));
}

static const struct test_case cases[] = {
    {"child-is-refused-its-parents", child_is_refused_its_parents},
    {"child-makes-its-own", child_makes_its_own},
    {"parent-with-operations-in-flight", parent_with_operations_in_flight},
    {"grandchild", grandchild},
    {"many-children", many_children},
    {"fork-while-others-submit", fork_while_others_submit},
    {"programs-started-meanwhile", programs_started_meanwhile},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
