// POSIX AIO with one of the library's system calls failing: see faults.h.
#include "faults.h"
#include "posix_cases.h"

#include <semaphore.h>
#include <stdatomic.h>

enum { SIZE = 4096, REQUESTS = 8, OLD = 3, NEW = 4 };

enum kind { READ, WRITE, SYNC };

struct request {
    struct aiocb block;
    enum kind kind;
    /// How often the program was told of the end.
    atomic_int told;
};

static uint8_t buffers[REQUESTS][SIZE];
static struct request requests[REQUESTS];

static struct request *prepare(int index, enum kind kind, int file, size_t count, off_t offset) {
    struct request *one = &requests[index];
    memset(one, 0, sizeof *one);
    one->kind = kind;
    one->block = block_of(file, buffers[index], count, offset);
    one->block.aio_lio_opcode = kind == WRITE ? LIO_WRITE : LIO_READ;
    memset(buffers[index], 0xee, SIZE);
    if (kind == WRITE) { fill_known(buffers[index], count, (uint64_t)offset, NEW); }
    return one;
}

/// Submits a request, once more if it was refused: one call alone fails.
static void submit(struct request *one) {
    for (int try = 0; try < TRIES; try++) {
        // By time: nothing tells when a library may be asked again.
        if (try > 1) { usleep(PAUSE_MICROSECONDS); }
        int result = one->kind == READ ? aio_read(&one->block)
            : one->kind == WRITE       ? aio_write(&one->block)
                                       : aio_fsync(O_DSYNC, &one->block);
        if (result == 0) { return; }
        if (errno != EAGAIN) { bad("submitting: %s", strerrorname_np(errno)); }
        int error = aio_error(&one->block);
        if (error != EAGAIN) { bad("refused, with error %s", strerrorname_np(error)); }
    }
    bad("submitting goes on failing");
    exit(0);
}

static long result_of(struct request *one) {
    int error = aio_error(&one->block);
    long result = aio_return(&one->block);
    if (error == EINPROGRESS) { bad("a request that has ended is in progress"); }
    if ((error != 0) != (result == -1)) { bad("error %d and result %ld", error, result); }
    return error ? -error : result;
}

/// Waits by aio_suspend, which returns when a request of the list has ended, and not before.
static long wait_for(struct request *one) {
    const struct aiocb *list[] = {&one->block};
    while (aio_error(&one->block) == EINPROGRESS) {
        if (aio_suspend(list, 1, NULL) != 0) {
            if (errno != EINTR) { bad("aio_suspend: %s", strerrorname_np(errno)); }
        } else if (aio_error(&one->block) == EINPROGRESS) {
            bad("aio_suspend has returned too early");
        }
    }
    return result_of(one);
}

static void judge_request(struct request *one, int file, long result) {
    long count = (long)one->block.aio_nbytes;
    uint64_t at = (uint64_t)one->block.aio_offset;
    switch (one->kind) {
    case READ: judge_read("aio_read", (const void *)one->block.aio_buf, result, count, at, OLD); break;
    case WRITE: judge_written("aio_write", file, result, count, at, NEW, OLD); break;
    case SYNC: judge("aio_fsync", result, 0);
    }
}

/// Reads and writes of different places in turn, and a sync at the end.
static void prepare_all(int file) {
    for (int index = 0; index < 6; index++) { prepare(index, index % 2 ? READ : WRITE, file, SIZE, index * SIZE); }
    prepare(6, SYNC, file, 0, 0);
}

// MARK: Files

static void files(void) {
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    prepare_all(file);
    for (int index = 0; index < 7; index++) { submit(&requests[index]); }
    for (int index = 0; index < 7; index++) { judge_request(&requests[index], file, wait_for(&requests[index])); }
    close(file);
}

/// In the order of their submission.
static void appends(void) {
    int file = new_file(O_RDWR | O_APPEND, 100, OLD);
    for (int index = 0; index < 5; index++) { submit(prepare(index, WRITE, file, 1000, index * 1000)); }
    submit(prepare(5, SYNC, file, 0, 0));
    off_t at = 100;
    for (int index = 0; index < 5; index++) {
        long result = wait_for(&requests[index]);
        judge("append", result, 1000);
        if (result <= 0) { continue; }
        bool is_right = has_known(file, (size_t)result, at, (uint64_t)index * 1000, NEW);
        if (!is_right) { bad("append %d is not at %ld", index, (long)at); }
        at += result;
    }
    long synced = wait_for(&requests[5]);
    // As in glibc, a sync also reports a write before it that has failed.
    judge("aio_fsync", synced, 0);
    close(file);
}

/// Requests are on the file that had the number when they were submitted.
static void closed_numbers(void) {
    int file = new_file(O_RDWR, 16 * SIZE, OLD), other = new_file(O_RDWR, 16 * SIZE, NEW + 1);
    int kept = fcntl(file, F_DUPFD_CLOEXEC, 100);
    prepare_all(file);
    for (int index = 0; index < 7; index++) { submit(&requests[index]); }
    long results[7];
    // Without a free descriptor a request keeps its number, and DropIns.md says so.
    bool keeps_number = planned.error == EMFILE;
    if (!keeps_number) { dup3(other, file, O_CLOEXEC); }
    for (int index = 0; index < 7; index++) { results[index] = wait_for(&requests[index]); }
    if (keeps_number) { dup3(other, file, O_CLOEXEC); }
    for (int index = 0; index < 7; index++) { judge_request(&requests[index], kept, results[index]); }
    for (int index = 0; index < 7; index++) {
        if (!has_known(other, SIZE, index * SIZE, (uint64_t)index * SIZE, NEW + 1)) {
            bad("block %d of the file that took the number has changed", index);
        }
    }
    close(file);
    close(other);
    close(kept);
}

// MARK: Lists

/// Submits those of a list once more that were refused, and waits for all.
static void finish_list(int count) {
    for (int index = 0; index < count; index++) {
        if (aio_error(&requests[index].block) == EAGAIN) { submit(&requests[index]); }
    }
    for (int index = 0; index < count; index++) { wait_for(&requests[index]); }
}

static void judge_list(int file, int count) {
    for (int index = 0; index < count; index++) { judge_request(&requests[index], file, result_of(&requests[index])); }
}

static void lists(void) {
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    struct aiocb *list[6];
    for (int wait = 0; wait < 2; wait++) {
        for (int index = 0; index < 6; index++) {
            list[index] = &prepare(index, index % 2 ? READ : WRITE, file, SIZE, (wait * 6 + index) * SIZE)->block;
        }
        struct sigevent nothing = {.sigev_notify = SIGEV_NONE};
        int result = lio_listio(wait ? LIO_WAIT : LIO_NOWAIT, list, 6, &nothing);
        int error = errno;
        // EIO: one of them has failed, or was not begun. EAGAIN: some were not begun.
        bool is_permitted = result == 0 || error == EIO || error == EAGAIN || (error == EINTR && wait);
        if (!is_permitted) { bad("lio_listio: %s", strerrorname_np(error)); }
        bool has_failed = false;
        for (int index = 0; index < 6 && wait; index++) {
            int state = aio_error(&requests[index].block);
            if (state == EINPROGRESS) { bad("lio_listio has not waited for %d", index); }
            has_failed |= state != 0;
        }
        if (wait && has_failed == (result == 0)) { bad("lio_listio: %d, and failed: %d", result, has_failed); }
        finish_list(6);
        judge_list(file, 6);
    }
    close(file);
}

// MARK: Notifications

static sigset_t blocked;

static struct sigevent signal_event(int value) {
    return (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = value};
}

/// Each end has one signal.
static void take_signals(int count, int last) {
    int seen[REQUESTS + 1] = {0};
    for (int taken = 0; taken < count; taken++) {
        siginfo_t info;
        struct timespec limit = {5, 0};
        if (sigtimedwait(&blocked, &info, &limit) < 0) {
            bad("%d signals of %d", taken, count);
            return;
        }
        int value = info.si_value.sival_int;
        if (value < 0 || value > last || seen[value]++) { bad("a signal with value %d", value); }
    }
    struct timespec now = {0, 0};
    if (sigtimedwait(&blocked, NULL, &now) >= 0) { bad("a signal too many"); }
}

static void signals(void) {
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    prepare_all(file);
    for (int index = 0; index < 7; index++) {
        requests[index].block.aio_sigevent = signal_event(index);
        submit(&requests[index]);
    }
    take_signals(7, 6);
    for (int index = 0; index < 7; index++) { judge_request(&requests[index], file, result_of(&requests[index])); }
    // The end of a list, too.
    struct aiocb *list[4];
    for (int index = 0; index < 4; index++) {
        list[index] = &prepare(index, index % 2 ? READ : WRITE, file, SIZE, (8 + index) * SIZE)->block;
    }
    struct sigevent event = signal_event(REQUESTS);
    int result = lio_listio(LIO_NOWAIT, list, 4, &event);
    if (result != 0 && errno != EAGAIN && errno != EIO) { bad("lio_listio: %s", strerrorname_np(errno)); }
    // Without memory for the list, none of it has begun. Otherwise what was accepted ends, and so does the list.
    if (result == 0 || strcmp(planned.call, "mmap") != 0) { take_signals(1, REQUESTS); }
    finish_list(4);
    judge_list(file, 4);
    close(file);
}

static sem_t told;

static void tell(union sigval value) {
    struct request *one = value.sival_ptr;
    if (aio_error(&one->block) == EINPROGRESS) { bad("told before the end"); }
    atomic_fetch_add(&one->told, 1);
    sem_post(&told);
}

static void threads(void) {
    int file = new_file(O_RDWR, 16 * SIZE, OLD);
    sem_init(&told, 0, 0);
    prepare_all(file);
    for (int index = 0; index < 7; index++) {
        requests[index].block.aio_sigevent = (struct sigevent){
            .sigev_notify = SIGEV_THREAD, .sigev_notify_function = tell, .sigev_value.sival_ptr = &requests[index]};
        submit(&requests[index]);
    }
    // As in glibc, a notification is lost for want of memory.
    bool may_lose = strcmp(planned.call, "mmap") == 0;
    for (int index = 0; index < 7; index++) {
        wait_for(&requests[index]);
        while (!may_lose && sem_wait(&told) != 0) {}
    }
    let_others_go_on();
    for (int index = 0; index < 7; index++) {
        int count = requests[index].told;
        if (count != 1 && !(may_lose && count == 0)) { bad("told %d times of %d", count, index); }
        judge_request(&requests[index], file, result_of(&requests[index]));
    }
    let_others_go_on();
    close(file);
}

// MARK: Streams

static void use_stream(int ends[2]) {
    prepare(0, READ, ends[0], 500, 0);
    submit(&requests[0]);
    prepare(1, WRITE, ends[1], 500, 0);
    submit(&requests[1]);
    long written = wait_for(&requests[1]);
    judge("write", written, 500);
    if (written < 0 && write(ends[1], buffers[1], 500) != 500) { broken("write"); }
    judge_read("read", buffers[0], wait_for(&requests[0]), written < 0 ? 500 : written, 0, NEW);
    close(ends[0]);
    close(ends[1]);
}

static void pipes(void) {
    int ends[2];
    new_pipe(ends);
    use_stream(ends);
}

static void sockets(void) {
    int ends[2];
    new_socket_pair(ends);
    use_stream(ends);
}

/// What begins goes on; what waits for its turn can be cancelled. Nothing is lost.
static void cancels(void) {
    int ends[2];
    new_pipe(ends);
    for (int index = 0; index < 3; index++) { submit(prepare(index, READ, ends[0], 100, 0)); }
    long results[3];
    for (int index = 2; index >= 0; index--) {
        int answer = aio_cancel(ends[0], &requests[index].block);
        if (answer < 0) { bad("aio_cancel: %s", strerrorname_np(errno)); }
        if (answer == AIO_CANCELED) {
            if (aio_error(&requests[index].block) != ECANCELED) { bad("cancelled, and has not ended"); }
        }
        if (answer == AIO_ALLDONE && aio_error(&requests[index].block) == EINPROGRESS) { bad("done, and in progress"); }
    }
    uint8_t bytes[300];
    fill_known(bytes, sizeof bytes, 0, OLD);
    if (write(ends[1], bytes, 300) != 300) { broken("write"); }
    size_t at = 0;
    for (int index = 0; index < 3; index++) {
        results[index] = wait_for(&requests[index]);
        if (results[index] == -ECANCELED) { continue; }
        judge_read("read", buffers[index], results[index], 100, at, OLD);
        at += results[index] > 0 ? (size_t)results[index] : 0;
    }
    for (; at < 300; at++) {
        uint8_t byte;
        if (read(ends[0], &byte, 1) != 1 || byte != known_byte(at, OLD)) {
            bad("byte %zu is lost", at);
            break;
        }
    }
    close(ends[0]);
    close(ends[1]);
}

/// A child begins afresh, and its parent goes on.
static void forks(void) {
    files();
    let_others_go_on();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(SCENARIO_LIMIT);
        files();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) { bad("the child ends with %d", status); }
    files();
}

static const struct scenario all[] = {
    {"files", files}, {"appends", appends}, {"closed-numbers", closed_numbers}, {"lists", lists}, {"signals", signals},
    {"threads", threads}, {"pipes", pipes}, {"sockets", sockets}, {"cancels", cancels}, {"forks", forks},
};

int main(int count, char **arguments) { return run_scenario(count, arguments, all, CASE_COUNT(all)); }
