// Descriptors other than files: pipes, sockets, eventfds, terminals, devices. The system's library waits for these in
// io_submit, so the operations here are ready, except in cases that say otherwise.
#include "libaio_cases.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static io_context_t context;
static uint8_t bytes[65536];

static void begin(void) { context = new_context(16); }

static void pipes(void) {
    begin();
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    fact_performed("write", context, block(IOCB_CMD_PWRITE, ends[1], "hello", 5, 0));
    fact_performed("read, short", context, block(IOCB_CMD_PREAD, ends[0], bytes, 100, 0));
    fact_bool("content", memcmp(bytes, "hello", 5) == 0);
    fact_performed("write at an offset", context, block(IOCB_CMD_PWRITE, ends[1], "world", 5, 1000));
    fact_performed("read at an offset", context, block(IOCB_CMD_PREAD, ends[0], bytes, 2, 4096));
    fact_performed("read vectored", context, block(IOCB_CMD_PREADV, ends[0], &(struct iovec){bytes, 100}, 1, 0));
    fact_performed("write at a negative offset", context, block(IOCB_CMD_PWRITE, ends[1], "world", 5, -1));
    fact_performed("read of the writing end", context, block(IOCB_CMD_PREAD, ends[1], bytes, 1, 0));
    fact_performed("write of the reading end", context, block(IOCB_CMD_PWRITE, ends[0], bytes, 1, 0));
    fact_performed("read of nothing", context, block(IOCB_CMD_PREAD, ends[0], bytes, 0, 0));
    while (read(ends[0], bytes, (fcntl(ends[0], F_SETFL, O_NONBLOCK), sizeof bytes)) > 0) {}
    fact_performed("empty, nonblocking", context, block(IOCB_CMD_PREAD, ends[0], bytes, 1, 0));
    close(ends[1]);
    fact_performed("at the end", context, block(IOCB_CMD_PREAD, ends[0], bytes, 1, 0));
}

static void broken_pipe(void) {
    begin();
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &set, NULL);
    close(ends[0]);
    fact_performed("write", context, block(IOCB_CMD_PWRITE, ends[1], "hello", 5, 0));
    sigpending(&set);
    fact_bool("SIGPIPE is pending", sigismember(&set, SIGPIPE) == 1);
}

static void full_pipe(void) {
    begin();
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) { broken("pipe"); }
    while (write(ends[1], bytes, sizeof bytes) > 0) {}
    fact_performed("nonblocking write", context, block(IOCB_CMD_PWRITE, ends[1], "hello", 5, 0));
}

static void sockets(void) {
    begin();
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) { broken("socketpair"); }
    fact_performed("write", context, block(IOCB_CMD_PWRITE, pair[0], "hello", 5, 0));
    fact_performed("read", context, block(IOCB_CMD_PREAD, pair[1], bytes, 100, 0));
    fact_performed("write at an offset", context, block(IOCB_CMD_PWRITE, pair[0], "hello", 5, 10));
    fact_performed("read at an offset", context, block(IOCB_CMD_PREAD, pair[1], bytes, 100, 10));
    fact_performed("write, whatever the offset", context, block(IOCB_CMD_PWRITE, pair[0], "hello", 5, 0));
    fact_performed("read vectored", context, block(IOCB_CMD_PREADV, pair[1], &(struct iovec){bytes, 3}, 1, 0));
    fact_performed("sync", context, block(IOCB_CMD_FSYNC, pair[0], NULL, 0, 0));
    close(pair[0]);
    fact_performed("the rest", context, block(IOCB_CMD_PREAD, pair[1], bytes, 100, 0));
    fact_performed("the end", context, block(IOCB_CMD_PREAD, pair[1], bytes, 100, 0));
}

static void eventfds_as_files(void) {
    begin();
    int event = eventfd(5, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t value = 0, three = 3;
    fact_performed("read", context, block(IOCB_CMD_PREAD, event, &value, 8, 0));
    fact_result("its value", (long)value);
    fact_performed("read of 0", context, block(IOCB_CMD_PREAD, event, &value, 8, 0));
    fact_performed("short read", context, block(IOCB_CMD_PREAD, event, &value, 4, 0));
    fact_performed("write", context, block(IOCB_CMD_PWRITE, event, &three, 8, 0));
    fact_performed("poll", context, block(IOCB_CMD_POLL, event, (void *)(POLLIN | POLLOUT), 0, 0));
    fact_performed("sync", context, block(IOCB_CMD_FSYNC, event, NULL, 0, 0));
}

static void timers_as_files(void) {
    begin();
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec soon = {.it_value = {0, 1000000}};
    timerfd_settime(timer, 0, &soon, NULL);
    struct iocb poll = block(IOCB_CMD_POLL, timer, (void *)POLLIN, 0, 0);
    fact_result("submit", submit_one(context, &poll));
    fact_bool("fires", (next_event(context).res & POLLIN) != 0);
}

static void terminals(void) {
    begin();
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) { broken("posix_openpt"); }
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (write(master, "line\n", 5) != 5) { broken("write"); }
    // The line may not have arrived yet; then the kernel reports more events than requested.
    fact_bool("poll", (perform(context, block(IOCB_CMD_POLL, terminal, (void *)POLLIN, 0, 0)) & POLLIN) != 0);
    fact_performed("read of a line", context, block(IOCB_CMD_PREAD, terminal, bytes, 100, 0));
    fact_performed("write", context, block(IOCB_CMD_PWRITE, terminal, "hi", 2, 0));
    fact_performed("write of nothing", context, block(IOCB_CMD_PWRITE, terminal, "hi", 0, 0));
    close(master);
    fact_performed("write of nothing to one that has hung up", context,
        block(IOCB_CMD_PWRITE, terminal, "hi", 0, 0));
    fact_performed("write to one that has hung up", context, block(IOCB_CMD_PWRITE, terminal, "hi", 2, 0));
}

static void memory_files(void) {
    begin();
    int file = memfd_create("test", MFD_CLOEXEC);
    fill_known(bytes, 4096, 0, 9);
    fact_performed("write", context, block(IOCB_CMD_PWRITE, file, bytes, 4096, 4096));
    memset(bytes, 0xee, sizeof bytes);
    fact_performed("read of the hole", context, block(IOCB_CMD_PREAD, file, bytes, 4096, 0));
    fact_bool("zeros", is_filled(bytes, 4096, 0));
    fact_performed("read", context, block(IOCB_CMD_PREAD, file, bytes, 8192, 4096));
    fact_bool("content", is_known(bytes, 4096, 0, 9));
    fact_performed("sync", context, block(IOCB_CMD_FSYNC, file, NULL, 0, 0));
}

/// write(2) of zero bytes calls a socket's driver, which sends an empty message or reports a broken connection;
/// pwritev2(2) of zero bytes does not.
static void nothing_on_sockets(void) {
    begin();
    signal(SIGPIPE, SIG_IGN);
    static const int types[] = {SOCK_SEQPACKET, SOCK_DGRAM, SOCK_STREAM};
    struct iovec none[2] = {{bytes, 0}, {NULL, 0}};
    for (int index = 0; index < 6; index++) {
        bool is_nonblocking = index >= 3;
        int pair[2], type = types[index % 3] | (is_nonblocking ? SOCK_NONBLOCK : 0);
        if (socketpair(AF_UNIX, type, 0, pair) != 0) { broken("socketpair"); }
        char what[96];
        const char *name = index % 3 == 0 ? "packets" : index % 3 == 1 ? "datagrams" : "stream";
        const char *mode = is_nonblocking ? "nonblocking" : "blocking";
        struct iocb forms[] = {block(IOCB_CMD_PWRITE, pair[0], bytes, 0, 0),
            block(IOCB_CMD_PWRITEV, pair[0], none, 2, 0), block(IOCB_CMD_PWRITEV, pair[0], none, 0, 0)};
        for (int form = 0; form < 3; form++) {
            snprintf(what, sizeof what, "%s, %s, %d", name, mode, form);
            fact_performed(what, context, forms[form]);
            long came = recv(pair[1], bytes, 10, MSG_DONTWAIT);
            snprintf(what, sizeof what, "%s, %s, %d, received", name, mode, form);
            fact_result(what, came < 0 ? -errno : came);
        }
        close(pair[1]);
        for (int form = 0; form < 3; form++) {
            snprintf(what, sizeof what, "%s, %s, %d, nobody there", name, mode, form);
            fact_performed(what, context, forms[form]);
        }
        close(pair[0]);
    }
}

static const struct test_case cases[] = {
    {"pipes", pipes},
    {"broken-pipe", broken_pipe},
    {"full-pipe", full_pipe},
    {"sockets", sockets},
    {"nothing-on-sockets", nothing_on_sockets},
    {"eventfds-as-files", eventfds_as_files},
    {"timers-as-files", timers_as_files},
    {"terminals", terminals},
    {"memory-files", memory_files},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
