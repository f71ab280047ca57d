// libaio with one of its system calls failing: see faults.h.
#include "faults.h"
#include "libaio_cases.h"

enum { SIZE = 4096, OPERATIONS = 16 };

/// An operation, and what became of it.
struct operation {
    struct iocb block;
    bool is_submitted, is_completed;
    long result;
    uint64_t seed;
    struct iovec_of_file {
        void *base;
        size_t size;
    } vectors[2];
};

static uint8_t buffers[OPERATIONS][SIZE] __attribute__((aligned(4096)));
static struct operation operations[OPERATIONS];

// MARK: Contexts

/// One that fails leaves nothing, and another one does not fail, since only one call does.
static io_context_t set_up(int depth) {
    for (int try = 0; try < 3; try++) {
        char before[2048], after[2048];
        describe(before, sizeof before);
        io_context_t context = NULL;
        int result = io_setup(depth, &context);
        if (result == 0) { return context; }
        for (int look = 0; look < 1000; look++) {
            describe(after, sizeof after);
            if (strcmp(before, after) == 0) { break; }
            // By time: between two looks at the condition.
            usleep(1000);
        }
        bool is_permitted = result == -EAGAIN || result == -ENOMEM;
        if (!is_permitted || context) { bad("io_setup: %s, context %p", result_name(result), (void *)context); }
        if (strcmp(before, after) != 0) { bad("a failed io_setup leaves %s of %s", after, before); }
    }
    bad("io_setup goes on failing");
    exit(0);
}

static void end(io_context_t context) {
    int result = io_destroy(context);
    if (result != 0) { bad("io_destroy: %s", result_name(result)); }
}

// MARK: Operations

static struct iocb *prepare(int index, int opcode, int file, size_t count, int64_t offset, uint64_t seed) {
    struct operation *one = &operations[index];
    *one = (struct operation){.block = block(opcode, file, buffers[index], count, offset), .seed = seed};
    one->block.data = (uint64_t)index;
    if (opcode == IOCB_CMD_PWRITE || opcode == IOCB_CMD_PWRITEV) {
        fill_known(buffers[index], count, (uint64_t)offset, seed);
    } else if (opcode != IOCB_CMD_POLL) {
        memset(buffers[index], 0xee, SIZE);
    }
    if (opcode == IOCB_CMD_PREADV || opcode == IOCB_CMD_PWRITEV) {
        one->vectors[0] = (struct iovec_of_file){buffers[index], count / 4};
        one->vectors[1] = (struct iovec_of_file){buffers[index] + count / 4, count - count / 4};
        one->block.buffer = (uint64_t)(uintptr_t)one->vectors;
        one->block.count = 2;
    }
    if (opcode == IOCB_CMD_FSYNC || opcode == IOCB_CMD_FDSYNC) { one->block.buffer = one->block.count = 0; }
    if (opcode == IOCB_CMD_POLL) {
        one->block.buffer = POLLIN;
        one->block.count = 0;
    }
    return &one->block;
}

/// Submits the operations from `first` on, and those once more that were refused: one call alone fails.
static void submit(io_context_t context, int first, int count) {
    struct iocb *list[OPERATIONS];
    for (int index = 0; index < count; index++) { list[index] = &operations[first + index].block; }
    int done = 0;
    for (int try = 0; done < count && try < TRIES; try++) {
        // By time: nothing tells when a library may be asked again.
        if (try > 1) { usleep(PAUSE_MICROSECONDS); }
        // Before the call, during which another thread may take the events.
        for (int index = done; index < count; index++) { operations[first + index].is_submitted = true; }
        long accepted = io_submit(context, count - done, list + done);
        if (accepted < 0 && accepted != -EAGAIN && accepted != -ENOMEM) {
            bad("io_submit: %s", result_name(accepted));
        }
        if (accepted > count - done) { bad("io_submit: %ld of %d", accepted, count - done); }
        done += accepted > 0 ? (int)accepted : 0;
    }
    if (done < count) {
        bad("io_submit goes on failing");
        exit(0);
    }
}

/// Takes note of events. Each operation has one.
static void take_note(const struct io_event *events, long count) {
    for (long index = 0; index < count; index++) {
        struct operation *one = &operations[events[index].data % OPERATIONS];
        if ((uint64_t)(uintptr_t)&one->block != events[index].obj) { bad("an event of no operation"); }
        if (!one->is_submitted) { bad("an event of %d, which was not submitted", (int)(one - operations)); }
        if (one->is_completed) { bad("a second event of %d", (int)(one - operations)); }
        one->is_completed = true;
        one->result = events[index].res;
    }
}

/// Waits for so many events; exactly as many come.
static void reap(io_context_t context, int count) {
    struct io_event events[OPERATIONS + 1];
    for (int taken = 0; taken < count;) {
        int result = io_getevents(context, 1, OPERATIONS, events, NULL);
        if (result == -EINTR) { continue; }
        if (result < 1) {
            bad("io_getevents: %s", result_name(result));
            exit(0);
        }
        take_note(events, result);
        taken += result;
        if (taken > count) { bad("%d events of %d", taken, count); }
    }
    if (event_count_now(context) != 0) { bad("an event too many"); }
}

static void judge_operations(int first, int count, int file, uint64_t old) {
    static const char *const names[] = {"pread", "pwrite", "fsync", "fdsync", "", "poll", "", "preadv", "pwritev"};
    for (int index = first; index < first + count; index++) {
        struct operation *one = &operations[index];
        const char *name = names[one->block.opcode];
        uint64_t at = (uint64_t)one->block.offset;
        bool is_vectored = one->block.opcode == IOCB_CMD_PREADV || one->block.opcode == IOCB_CMD_PWRITEV;
        long size = is_vectored ? (long)(one->vectors[0].size + one->vectors[1].size) : (long)one->block.count;
        if (!one->is_completed) { bad("%s %d has no event", name, index); }
        switch (one->block.opcode) {
        case IOCB_CMD_PREAD:
        case IOCB_CMD_PREADV: judge_read(name, buffers[index], one->result, size, at, old); break;
        case IOCB_CMD_PWRITE:
        case IOCB_CMD_PWRITEV: judge_written(name, file, one->result, size, at, one->seed, old); break;
        case IOCB_CMD_POLL: judge(name, one->result, POLLIN); break;
        default: judge(name, one->result, 0);
        }
    }
}

// MARK: Files

enum { OLD = 3, NEW = 4 };

static void use_file(io_context_t context, int file) {
    prepare(0, IOCB_CMD_PWRITE, file, SIZE, 0, NEW);
    prepare(1, IOCB_CMD_PREAD, file, SIZE, 1 * SIZE, 0);
    prepare(2, IOCB_CMD_PWRITEV, file, SIZE, 2 * SIZE, NEW);
    prepare(3, IOCB_CMD_PREADV, file, SIZE, 3 * SIZE, 0);
    prepare(4, IOCB_CMD_PWRITE, file, SIZE, 4 * SIZE, NEW);
    prepare(5, IOCB_CMD_FSYNC, file, 0, 0, 0);
    prepare(6, IOCB_CMD_PREAD, file, SIZE, 6 * SIZE, 0);
    prepare(7, IOCB_CMD_FDSYNC, file, 0, 0, 0);
    submit(context, 0, 8);
    reap(context, 8);
    judge_operations(0, 8, file, OLD);
}

static void files(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    use_file(context, file);
    end(context);
    close(file);
}

static void direct(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    // Not every file system has it; then it is buffered.
    fcntl(file, F_SETFL, O_DIRECT);
    for (int index = 0; index < 4; index++) {
        prepare(index, index % 2 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE, file, SIZE, index * SIZE, NEW);
    }
    prepare(4, IOCB_CMD_FDSYNC, file, 0, 0, 0);
    submit(context, 0, 5);
    reap(context, 5);
    fcntl(file, F_SETFL, 0);
    judge_operations(0, 5, file, OLD);
    end(context);
    close(file);
}

/// Each append is somewhere, whole unless it was short, and in order.
static void appends(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR | O_APPEND, 100, OLD);
    for (int index = 0; index < 5; index++) {
        prepare(index, IOCB_CMD_PWRITE, file, 1000, 0, (uint64_t)index + 10);
    }
    prepare(5, IOCB_CMD_FSYNC, file, 0, 0, 0);
    submit(context, 0, 6);
    reap(context, 6);
    off_t at = 100;
    for (int index = 0; index < 5; index++) {
        long result = operations[index].result;
        judge("append", result, 1000);
        if (result <= 0) { continue; }
        bool is_right = has_known(file, (size_t)result, at, 0, (uint64_t)index + 10);
        if (!is_right) { bad("append %d is not at %ld", index, (long)at); }
        at += result;
    }
    struct stat status;
    fstat(file, &status);
    if (status.st_size != at) { bad("the file has %ld bytes of %ld", (long)status.st_size, (long)at); }
    judge("fsync", operations[5].result, 0);
    end(context);
    close(file);
}

/// Operations are on the file that had the number when they were submitted.
static void closed_numbers(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD), other = new_file(O_RDWR, 16 * SIZE, NEW + 1);
    int kept = fcntl(file, F_DUPFD_CLOEXEC, 100);
    for (int index = 0; index < 4; index++) {
        prepare(index, index % 2 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE, file, SIZE, index * SIZE, NEW);
    }
    prepare(4, IOCB_CMD_FSYNC, file, 0, 0, 0);
    submit(context, 0, 5);
    // Without a free descriptor an operation keeps its number, and DropIns.md says so.
    bool keeps_number = planned.error == EMFILE;
    if (keeps_number) { reap(context, 5); }
    dup3(other, file, O_CLOEXEC);
    if (!keeps_number) { reap(context, 5); }
    judge_operations(0, 5, kept, OLD);
    for (int index = 0; index < 4; index++) {
        if (!has_known(other, SIZE, index * SIZE, (uint64_t)index * SIZE, NEW + 1)) {
            bad("block %d of the file that took the number has changed", index);
        }
    }
    end(context);
    close(file);
    close(other);
    close(kept);
}

// MARK: Streams

static void new_ends(bool is_socket, int ends[2]) {
    int result = is_socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC);
    if (result != 0) { broken("pipe2 or socketpair"); }
}

/// Takes the events of two operations, of which the second writes what the first waits for: a write that has failed is
/// made here.
static void reap_pair(io_context_t context, int waiting, int writing, int file) {
    struct io_event event;
    while (!operations[waiting].is_completed || !operations[writing].is_completed) {
        if (io_getevents(context, 1, 1, &event, NULL) != 1) { bad("no event"); }
        take_note(&event, 1);
        struct operation *one = &operations[event.data % OPERATIONS];
        if (one == &operations[writing] && one->result < 0 && write(file, buffers[writing], 400) != 400) {
            broken("write");
        }
    }
    judge("write", operations[writing].result, 400);
}

static long written_by(int index) { return operations[index].result < 0 ? 400 : operations[index].result; }

/// A poll that waits, and a read that does, and writes that end them.
static void use_stream(io_context_t context, bool is_socket) {
    int ends[2];
    new_ends(is_socket, ends);
    prepare(0, IOCB_CMD_POLL, ends[0], 0, 0, 0);
    submit(context, 0, 1);
    prepare(1, IOCB_CMD_PWRITE, ends[1], 400, 0, NEW);
    submit(context, 1, 1);
    reap_pair(context, 0, 1, ends[1]);
    // Which of the other bits of an event are told differs.
    long polled = operations[0].result;
    judge("poll", polled > 0 ? polled & POLLIN : polled, POLLIN);
    prepare(2, IOCB_CMD_PREADV, ends[0], 400, 0, 0);
    submit(context, 2, 1);
    reap(context, 1);
    judge_read("read", buffers[2], operations[2].result, written_by(1), 0, NEW);
    close(ends[0]);
    close(ends[1]);
    new_ends(is_socket, ends);
    prepare(3, IOCB_CMD_PREAD, ends[0], 400, 0, 0);
    submit(context, 3, 1);
    prepare(4, IOCB_CMD_PWRITEV, ends[1], 400, 0, NEW);
    submit(context, 4, 1);
    reap_pair(context, 3, 4, ends[1]);
    judge_read("read", buffers[3], operations[3].result, written_by(4), 0, NEW);
    close(ends[0]);
    close(ends[1]);
}

static void pipes(void) {
    io_context_t context = set_up(32);
    use_stream(context, false);
    end(context);
}

static void sockets(void) {
    io_context_t context = set_up(32);
    use_stream(context, true);
    end(context);
}

/// A cancelled operation has one event, and a read that was cancelled has taken nothing.
static void cancels(void) {
    io_context_t context = set_up(32);
    int ends[2];
    new_ends(false, ends);
    prepare(0, IOCB_CMD_POLL, ends[0], 0, 0, 0);
    prepare(1, IOCB_CMD_PREAD, ends[0], 300, 0, 0);
    prepare(2, IOCB_CMD_PREAD, ends[0], 300, 0, 0);
    // The poll alone: while the library cannot make the kernel's context its own, a read waits in io_submit, as in the
    // original.
    submit(context, 0, 1);
    submit(context, 1, 2);
    struct io_event event;
    int result[3];
    for (int index = 0; index < 3; index++) {
        result[index] = io_cancel(context, &operations[index].block, &event);
        if (result[index] != -EINPROGRESS && !operations[index].is_completed) {
            // One that has failed by itself cannot be cancelled.
            if (result[index] != -EINVAL || !planned.error) { bad("io_cancel: %s", result_name(result[index])); }
        }
    }
    reap(context, 3);
    if (operations[0].result != 0 && !is_planned_error(operations[0].result)) {
        bad("cancelled poll: %s", result_name(operations[0].result));
    }
    for (int index = 1; index < 3; index++) {
        long ended = operations[index].result;
        if (ended != -ECANCELED && ended != -EINTR && !is_planned_error(ended)) {
            bad("cancelled read: %s", result_name(ended));
        }
    }
    uint8_t byte = 1;
    if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) { bad("a cancelled read has taken a byte"); }
    end(context);
    close(ends[0]);
    close(ends[1]);
}

/// Accepted writes are done, and what waits is gone.
static void ends_in_flight(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD), ends[2];
    new_ends(false, ends);
    prepare(0, IOCB_CMD_POLL, ends[0], 0, 0, 0);
    prepare(1, IOCB_CMD_PREAD, ends[0], 300, 0, 0);
    for (int index = 2; index < 6; index++) {
        prepare(index, IOCB_CMD_PWRITE, file, SIZE, index * SIZE, NEW);
    }
    prepare(6, IOCB_CMD_FSYNC, file, 0, 0, 0);
    submit(context, 0, 1);
    submit(context, 1, 6);
    end(context);
    int wrong = 0;
    for (int index = 2; index < 6; index++) {
        wrong += !has_known(file, SIZE, index * SIZE, (uint64_t)index * SIZE, NEW);
    }
    // One write may have failed, and in no other way than by the plan.
    bool may_fail = is_of_operations() && (planned.error || planned.is_short);
    if (wrong > may_fail) { bad("%d writes were lost", wrong); }
    struct io_event event;
    struct timespec now = {0, 0};
    if (io_getevents(context, 1, 1, &event, &now) != -EINVAL) { bad("the context has not ended"); }
    close(file);
    close(ends[0]);
    close(ends[1]);
}

// MARK: Events

/// An eventfd counts each completion that names it.
static void eventfds(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD), ends[2], event = eventfd(0, EFD_CLOEXEC);
    new_ends(false, ends);
    prepare(0, IOCB_CMD_PWRITE, file, SIZE, 0, NEW);
    prepare(1, IOCB_CMD_PREAD, file, SIZE, SIZE, 0);
    prepare(2, IOCB_CMD_FDSYNC, file, 0, 0, 0);
    prepare(3, IOCB_CMD_POLL, ends[0], 0, 0, 0);
    for (int index = 0; index < 4; index++) {
        operations[index].block.flags = IOCB_FLAG_RESFD;
        operations[index].block.eventfd = event;
    }
    submit(context, 0, 4);
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    uint64_t total = 0, count;
    while (total < 4 && read(event, &count, sizeof count) == sizeof count) { total += count; }
    if (total != 4) { bad("the eventfd says %llu of 4", (unsigned long long)total); }
    reap(context, 4);
    judge_operations(0, 4, file, OLD);
    end(context);
    close(file);
    close(event);
    close(ends[0]);
    close(ends[1]);
}

static void *submit_later(void *argument) {
    struct io_context *context = argument;
    let_others_go_on();
    submit(context, 0, 4);
    return NULL;
}

/// Waits in all ways, one of them while another thread submits.
static void waits(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    struct io_event events[OPERATIONS];
    struct timespec soon = {0, 1000000}, now = {0, 0}, later = {5, 0};
    int none = io_getevents(context, 1, 4, events, &soon);
    if (none != 0) { bad("io_getevents without events: %s", result_name(none)); }
    none = io_getevents(context, 0, 4, events, &now);
    if (none != 0) { bad("io_getevents at once: %s", result_name(none)); }
    sigset_t mask;
    sigemptyset(&mask);
    none = io_pgetevents(context, 1, 4, events, &soon, &mask);
    if (none != 0) { bad("io_pgetevents: %s", result_name(none)); }
    for (int index = 0; index < 4; index++) {
        prepare(index, index % 2 ? IOCB_CMD_PREAD : IOCB_CMD_FSYNC, file, SIZE, index % 2 ? index * SIZE : 0, 0);
    }
    pthread_t thread = start_thread(submit_later, context);
    int taken = io_getevents(context, 3, 3, events, &later);
    if (taken != 3) { bad("io_getevents of three: %s", result_name(taken)); }
    take_note(events, taken < 0 ? 0 : taken);
    taken = io_pgetevents(context, 1, 1, events, &later, &mask);
    if (taken != 1) { bad("io_pgetevents of one: %s", result_name(taken)); }
    take_note(events, taken < 0 ? 0 : taken);
    pthread_join(thread, NULL);
    judge_operations(0, 4, file, OLD);
    end(context);
    close(file);
}

static void contexts(void) {
    io_context_t all[3];
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    for (int index = 0; index < 3; index++) { all[index] = set_up(8); }
    for (int index = 0; index < 3; index++) {
        prepare(index * 2, IOCB_CMD_PWRITE, file, SIZE, index * 2 * SIZE, NEW);
        prepare(index * 2 + 1, IOCB_CMD_FDSYNC, file, 0, 0, 0);
        submit(all[index], index * 2, 2);
    }
    for (int index = 2; index >= 0; index--) { reap(all[index], 2); }
    judge_operations(0, 6, file, OLD);
    end(all[1]);
    end(all[0]);
    end(all[2]);
    close(file);
}

/// A child begins afresh, and its parent goes on.
static void forks(void) {
    io_context_t context = set_up(32);
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    use_file(context, file);
    let_others_go_on();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(SCENARIO_LIMIT);
        int own = new_file(O_RDWR, 16 * SIZE, OLD);
        io_context_t mine = set_up(32);
        use_file(mine, own);
        end(mine);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) { bad("the child ends with %d", status); }
    int other = new_file(O_RDWR, 16 * SIZE, OLD);
    use_file(context, other);
    end(context);
    close(file);
    close(other);
}

static const struct scenario all[] = {
    {"files", files}, {"direct", direct}, {"appends", appends}, {"closed-numbers", closed_numbers}, {"pipes", pipes},
    {"sockets", sockets}, {"cancels", cancels}, {"ends-in-flight", ends_in_flight}, {"eventfds", eventfds},
    {"waits", waits}, {"contexts", contexts}, {"forks", forks},
};

int main(int count, char **arguments) {
    // The kernel's own Linux AIO never makes a call again.
    may_be_interrupted = true;
    return run_scenario(count, arguments, all, CASE_COUNT(all));
}
