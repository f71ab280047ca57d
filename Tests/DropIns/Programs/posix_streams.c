// Sockets, pipes, FIFOs and terminals: order within a direction, and no waiting request that delays others.
#include "posix_cases.h"

#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>

static char buffer[1 << 16];

static void transfers(void) {
    int ends[2], pair[2], counter = eventfd(0, EFD_CLOEXEC);
    new_pipe(ends);
    new_socket_pair(pair);
    fact_result("write to a pipe", write_now(ends[1], "hello", 5, 0));
    fact_result("read of a pipe", read_now(ends[0], buffer, 100, 1234));
    fact_bool("its content", memcmp(buffer, "hello", 5) == 0);
    fact_result("write to a socket", write_now(pair[0], "hello", 5, 99));
    fact_result("read of a socket", read_now(pair[1], buffer, 3, 0));
    fact_result("the rest", read_now(pair[1], buffer, 100, 0));
    fact_bool("the rest's content", memcmp(buffer, "lo", 2) == 0);
    fact_result("write to an eventfd", write_now(counter, &(uint64_t){3}, 8, 0));
    fact_result("read of an eventfd", read_now(counter, buffer, 8, 0));
    fact_result("what is less than nothing", read_now(ends[0], buffer, 10, -1));
    fact_result("/dev/zero", read_now(open("/dev/zero", O_RDWR), buffer, 1000, 5));
    fact_result("/dev/null", read_now(open("/dev/null", O_RDWR), buffer, 1000, 5));
    fact_result("write to /dev/null", write_now(open("/dev/null", O_RDWR), buffer, 1000, 5));
    fact_result("write to /dev/full", write_now(open("/dev/full", O_RDWR), buffer, 1000, 5));
    close(ends[1]);
    fact_result("end of a pipe", read_now(ends[0], buffer, 10, 0));
    fact_result("write to the wrong end", write_now(ends[0], buffer, 10, 0));
    close(pair[0]);
    fact_result("end of a socket", read_now(pair[1], buffer, 10, 0));
}

static void without_a_reader(void) {
    int ends[2];
    new_pipe(ends);
    close(ends[0]);
    fact_result("write to a pipe", write_now(ends[1], buffer, 10, 0));
    new_socket_pair(ends);
    close(ends[0]);
    fact_result("write to a socket", write_now(ends[1], buffer, 10, 0));
}

static void without_a_reader_or_a_handler(void) {
    signal(SIGPIPE, SIG_DFL);
    int ends[2];
    const int flags[] = {0, O_NONBLOCK};
    for (int index = 0; index < 2; index++) {
        new_pipe(ends);
        close(ends[0]);
        fcntl(ends[1], F_SETFL, flags[index]);
        fact_result(index ? "write to a pipe that does not block" : "write to a pipe",
            write_now(ends[1], buffer, 10, 0));
        new_socket_pair(ends);
        close(ends[0]);
        fcntl(ends[1], F_SETFL, flags[index]);
        fact_result(index ? "write to a socket that does not block" : "write to a socket",
            write_now(ends[1], buffer, 10, 0));
    }
    sigset_t pending;
    sigpending(&pending);
    fact_bool("SIGPIPE is pending", sigismember(&pending, SIGPIPE));
}

static void non_blocking(void) {
    int ends[2], pair[2];
    new_pipe(ends);
    new_socket_pair(pair);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    fact_result("read of an empty pipe", read_now(ends[0], buffer, 10, 0));
    fact_result("read of an empty socket", read_now(pair[0], buffer, 10, 0));
    write_now(ends[1], "abc", 3, 0);
    fact_result("read of a pipe", read_now(ends[0], buffer, 10, 0));
}

/// Writes or reads single bytes while requests wait.
static void reads_in_call_order(void) {
    enum { COUNT = 64 };
    int ends[2];
    new_socket_pair(ends);
    static struct aiocb blocks[COUNT];
    static char bytes[COUNT];
    for (int index = 0; index < COUNT; index++) {
        blocks[index] = block_of(ends[0], bytes + index, 1, 0);
        aio_read(&blocks[index]);
    }
    for (int index = 0; index < COUNT; index++) {
        char byte = (char)index;
        if (write(ends[1], &byte, 1) != 1) { broken("write"); }
    }
    int wrong = 0;
    for (int index = 0; index < COUNT; index++) { wrong += finish(&blocks[index]) != 1 || bytes[index] != (char)index; }
    fact_result("wrong", wrong);
}

static void writes_in_call_order(void) {
    enum { COUNT = 64, SIZE = 16384 };
    int ends[2];
    new_pipe(ends);
    static struct aiocb blocks[COUNT];
    static uint8_t bytes[COUNT][SIZE];
    for (int index = 0; index < COUNT; index++) {
        memset(bytes[index], index, SIZE);
        blocks[index] = block_of(ends[1], bytes[index], SIZE, 0);
        aio_write(&blocks[index]);
    }
    bool isOrdered = true;
    for (int index = 0; index < COUNT; index++) {
        for (size_t done = 0; done < SIZE;) {
            ssize_t count = read(ends[0], buffer, SIZE - done);
            if (count <= 0) { broken("read"); }
            isOrdered &= is_filled(buffer, (size_t)count, (uint8_t)index);
            done += (size_t)count;
        }
    }
    int wrong = 0;
    for (int index = 0; index < COUNT; index++) { wrong += finish(&blocks[index]) != SIZE; }
    fact_bool("in order", isOrdered);
    fact_result("wrong", wrong);
}

static void a_waiting_read_holds_up_no_write(void) {
    int ends[2];
    new_socket_pair(ends);
    struct aiocb reading = block_of(ends[0], buffer, 10, 0), writing = block_of(ends[0], "hello", 5, 0);
    aio_read(&reading);
    aio_write(&writing);
    fact_bool("the write ends", ends_within(&writing, 500));
    if (write(ends[1], "abc", 3) != 3) { broken("write"); }
    fact_result("read", finish(&reading));
    fact_result("write", finish(&writing));
}

static void waiting_reads_hold_up_nobody(void) {
    enum { COUNT = 300 };
    int file = new_file(O_RDWR, 4096, 1);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){4096, 4096});
    static int pipes[COUNT][2];
    static struct aiocb blocks[COUNT];
    for (int index = 0; index < COUNT; index++) {
        new_pipe(pipes[index]);
        blocks[index] = block_of(pipes[index][0], buffer, 1, 0);
        aio_read(&blocks[index]);
    }
    struct aiocb writing = block_of(file, buffer, 4096, 0), sync = block_of(file, NULL, 0, 0);
    aio_write(&writing);
    aio_fsync(O_SYNC, &sync);
    fact_bool("a write ends", ends_within(&writing, 1000));
    fact_bool("a sync ends", ends_within(&sync, 1000));
    int wrong = 0;
    for (int index = COUNT - 1; index >= 0; index--) {
        if (write(pipes[index][1], "x", 1) != 1) { broken("write"); }
    }
    for (int index = 0; index < COUNT; index++) { wrong += finish(&blocks[index]) != 1; }
    fact_result("wrong reads", wrong);
    fact_result("write", finish(&writing));
    fact_result("sync", finish(&sync));
}

static void fifos(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/fifo-%d", scratch_folder, getpid());
    if (mkfifo(path, 0600) != 0) { broken("mkfifo"); }
    int both = open(path, O_RDWR);
    struct aiocb reading = block_of(both, buffer, 10, 0);
    aio_read(&reading);
    fact_bool("waits", aio_error(&reading) == EINPROGRESS);
    if (write(both, "abc", 3) != 3) { broken("write"); }
    fact_result("read", finish(&reading));
    unlink(path);
}

static void terminals(void) {
    int controller = posix_openpt(O_RDWR | O_NOCTTY);
    if (controller < 0 || grantpt(controller) != 0 || unlockpt(controller) != 0) { broken("posix_openpt"); }
    int terminal = open(ptsname(controller), O_RDWR | O_NOCTTY);
    if (terminal < 0) { broken("open"); }
    struct aiocb first = block_of(terminal, buffer, 100, 0), second = block_of(terminal, buffer + 100, 100, 0);
    struct aiocb writing = block_of(controller, "hello\n", 6, 0);
    aio_read(&first);
    aio_read(&second);
    fact_bool("waits", aio_error(&first) == EINPROGRESS);
    aio_write(&writing);
    fact_result("write", finish(&writing));
    fact_result("a line", finish(&first));
    fact_bool("its content", memcmp(buffer, "hello\n", 6) == 0);
    fact_bool("the second waits", aio_error(&second) == EINPROGRESS);
    if (write(controller, "x\n", 2) != 2) { broken("write"); }
    fact_result("the second line", finish(&second));
    fact_bool("the second's content", memcmp(buffer + 100, "x\n", 2) == 0);
}

static void a_terminal_that_waits_both_ways(void) {
    int controller = posix_openpt(O_RDWR | O_NOCTTY);
    if (controller < 0 || grantpt(controller) != 0 || unlockpt(controller) != 0) { broken("posix_openpt"); }
    int terminal = open(ptsname(controller), O_RDWR | O_NOCTTY);
    struct termios raw;
    tcgetattr(terminal, &raw);
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    struct aiocb reading = block_of(terminal, buffer, 10, 0), writing = block_of(terminal, "out", 3, 0);
    aio_read(&reading);
    aio_write(&writing);
    fact_bool("the write ends", ends_within(&writing, 500));
    if (write(controller, "in", 2) != 2) { broken("write"); }
    fact_result("read", finish(&reading));
    fact_result("write", finish(&writing));
}

/// write(2) of zero bytes calls the driver of most files, pwritev2(2) of zero bytes does not.
static void nothing(void) {
    int ends[2], pair[2], one = posix_openpt(O_RDWR | O_NOCTTY), other = posix_openpt(O_RDWR | O_NOCTTY);
    if (one < 0 || other < 0 || unlockpt(one) != 0 || unlockpt(other) != 0) { broken("posix_openpt"); }
    int terminal = open(ptsname(one), O_RDWR | O_NOCTTY), left = open(ptsname(other), O_RDWR | O_NOCTTY);
    close(other);
    new_pipe(ends);
    new_socket_pair(pair);
    const struct {
        const char *what;
        int descriptor;
    } files[] = {{"pipe", ends[1]}, {"socket", pair[0]}, {"terminal", terminal}, {"its other end", one},
        {"terminal that has hung up", left}, {"eventfd", eventfd(0, EFD_CLOEXEC)}, {"/dev/full", open("/dev/full", O_RDWR)},
        {"/dev/null", open("/dev/null", O_RDWR)}, {"timer", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)}};
    for (size_t index = 0; index < CASE_COUNT(files); index++) {
        fact_result(files[index].what, write_now(files[index].descriptor, buffer, 0, 0));
        char what[64];
        snprintf(what, sizeof what, "%s, an address of the kernel's", files[index].what);
        fact_result(what, write_now(files[index].descriptor, (void *)0xffff888000000000u, 0, 0));
    }
    close(ends[0]);
    fact_result("pipe that nobody reads", write_now(ends[1], buffer, 0, 0));
    fcntl(left, F_SETFL, O_NONBLOCK);
    fact_result("hung up and not blocking", write_now(left, buffer, 0, 0));
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    const struct test_case cases[] = {
        {"transfers", transfers}, {"without-a-reader", without_a_reader},
        {"without-a-reader-or-a-handler", without_a_reader_or_a_handler}, {"non-blocking", non_blocking},
        {"reads-in-call-order", reads_in_call_order}, {"writes-in-call-order", writes_in_call_order},
        {"a-waiting-read-holds-up-no-write", a_waiting_read_holds_up_no_write},
        {"waiting-reads-hold-up-nobody", waiting_reads_hold_up_nobody}, {"fifos", fifos}, {"terminals", terminals},
        {"a-terminal-that-waits-both-ways", a_terminal_that_waits_both_ways}, {"nothing", nothing},
    };
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
