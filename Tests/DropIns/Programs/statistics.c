// Uses the library a known number of times, and then ends in the way that its second argument names; for the
// statistics.
#include "libaio_cases.h"

#include <poll.h>
#include <sys/resource.h>

/// From now on what is not async-signal-safe ends the process: a handler may have interrupted it.
static volatile sig_atomic_t is_in_handler;

static void check_handler(const char *what) {
    if (!is_in_handler) { return; }
    if (write(2, what, strlen(what)) < 0) { abort(); }
    abort();
}

extern void *__libc_malloc(size_t), *__libc_memalign(size_t, size_t);
void *malloc(size_t size) {
    check_handler("malloc in a handler\n");
    return __libc_malloc(size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    check_handler("posix_memalign in a handler\n");
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
void *aligned_alloc(size_t alignment, size_t size) {
    check_handler("aligned_alloc in a handler\n");
    return __libc_memalign(alignment, size);
}
char *strerror(int number) {
    check_handler("strerror in a handler\n");
    return (char *)strerrordesc_np(number);
}

static void end_in_handler(int signal) {
    (void)signal;
    is_in_handler = 1;
    _exit(3);
}

enum { READ_COUNT = 40 };

static uint8_t bytes[READ_COUNT][512];

/// Reads that hit the page cache, a sync, and a read that is refused.
static void use(void) {
    int file = new_file(O_RDWR, sizeof bytes, 1);
    io_context_t context = new_context(64);
    for (int index = 0; index < READ_COUNT; index++) {
        struct iocb read = block(IOCB_CMD_PREAD, file, bytes[index], 512, index * 512);
        if (perform(context, read) != 512) { broken("read"); }
    }
    struct iocb sync = block(IOCB_CMD_FSYNC, file, NULL, 0, 0);
    if (perform(context, sync) != 0) { broken("fsync"); }
    struct iocb bad = block(IOCB_CMD_PREAD, -1, bytes, 512, 0);
    if (submit_one(context, &bad) != -EBADF) { broken("a bad descriptor"); }
    io_destroy(context);
    close(file);
}

static void use_in_children(int count) {
    for (int index = 0; index < count; index++) {
        pid_t child = fork();
        if (child == 0) {
            // The first child does not use the library; the others end in both ways.
            if (index > 0) { use(); }
            if (index % 2) { exit(0); }
            _exit(0);
        }
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
}

/// Closes standard error, and opens a file of the program's under its number.
static void put_file_in_place_of_errors(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/own", scratch_folder);
    close(2);
    if (open(path, O_RDWR | O_CREAT, 0600) != 2) { broken("open"); }
}

static void put_broken_pipe_in_place_of_errors(void) {
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
}

/// Leaves no memory for a thread's stack; the operation's result does not matter.
static void use_without_threads(void) {
    int file = new_file(O_RDWR, sizeof bytes, 1);
    io_context_t context = new_context(8);
    long pages = 0;
    FILE *sizes = fopen("/proc/self/statm", "re");
    if (!sizes || fscanf(sizes, "%ld", &pages) != 1) { broken("statm"); }
    fclose(sizes);
    rlim_t limit = (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + (1 << 20);
    setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit});
    struct iocb sync = block(IOCB_CMD_FSYNC, file, NULL, 0, 0);
    submit_one(context, &sync);
}

/// Operations that the kernel's own implementation completes without waiting, or refuses.
static void use_what_is_the_kernels(void) {
    int file = new_file(O_RDWR | O_DIRECT, 8192, 1), folder = open(scratch_folder, O_RDONLY | O_CLOEXEC);
    io_context_t context = new_context(8);
    void *memory = aligned_memory(4096);
    struct iocb poll = block(IOCB_CMD_POLL, file, (void *)POLLIN, 0, 0), other = poll;
    other.descriptor = (uint32_t)folder;
    if (perform(context, poll) <= 0 || perform(context, other) <= 0) { broken("poll"); }
    struct iocb bad = block(IOCB_CMD_POLL, -1, (void *)POLLIN, 0, 0);
    if (submit_one(context, &bad) != -EBADF) { broken("a bad descriptor"); }
    if (perform(context, block(IOCB_CMD_FSYNC, file, NULL, 0, 0)) != 0) { broken("fsync"); }
    if (perform(context, block(IOCB_CMD_PREAD, file, memory, 4096, 4096)) != 4096) { broken("read"); }
    io_destroy(context);
}

/// A poll that is cancelled, and a write that fails.
static void use_in_vain(void) {
    int ends[2], closed[2];
    if (pipe(ends) != 0 || pipe(closed) != 0) { broken("pipe"); }
    close(closed[0]);
    signal(SIGPIPE, SIG_IGN);
    io_context_t context = new_context(8);
    struct iocb poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    struct io_event event;
    if (submit_one(context, &poll) != 1 || io_cancel(context, &poll, &event) != -EINPROGRESS) { broken("cancel"); }
    next_event(context);
    if (perform(context, block(IOCB_CMD_PWRITE, closed[1], bytes, 512, 0)) != -EPIPE) { broken("write"); }
    io_destroy(context);
}

/// Buffered reads in a context that had a direct one.
static void use_direct_first(void) {
    int direct = new_file(O_RDONLY | O_DIRECT, 8192, 1), file = new_file(O_RDONLY, sizeof bytes, 1);
    io_context_t context = new_context(8);
    if (perform(context, block(IOCB_CMD_PREAD, direct, aligned_memory(4096), 4096, 0)) != 4096) { broken("direct"); }
    for (int index = 0; index < 100; index++) {
        if (perform(context, block(IOCB_CMD_PREAD, file, bytes, 512, 0)) != 512) { broken("read"); }
    }
    io_destroy(context);
}

static ssize_t end_in_write(void *cookie, const char *text, size_t size) {
    (void)cookie, (void)text, (void)size;
    _exit(3);
}

/// Has exit(3) call _exit(2), after all destructors: when it flushes the streams.
static void end_in_the_last_flush(void) {
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = end_in_write});
    if (!stream || fputs("not flushed yet", stream) < 0) { broken("fopencookie"); }
}

int main(int count, char **arguments) {
    scratch_folder = arguments[1];
    const char *way = count > 2 ? arguments[2] : "return";
    if (strcmp(way, "unused") == 0) { return 3; }
    if (strcmp(way, "own-file") == 0) { put_file_in_place_of_errors(); }
    if (strcmp(way, "broken-pipe") == 0) { put_broken_pipe_in_place_of_errors(); }
    if (strcmp(way, "no-threads") == 0 || strcmp(way, "no-threads-and-a-handler") == 0) {
        use_without_threads();
        if (strcmp(way, "no-threads") == 0) { return 3; }
        signal(SIGUSR1, end_in_handler);
        raise(SIGUSR1);
    }
    if (strcmp(way, "kernels") == 0) {
        use_what_is_the_kernels();
        return 3;
    }
    if (strcmp(way, "direct-first") == 0) {
        use_direct_first();
        return 3;
    }
    use();
    if (strcmp(way, "in-vain") == 0) { use_in_vain(); }
    if (strcmp(way, "last-flush") == 0) { end_in_the_last_flush(); }
    if (strcmp(way, "children") == 0) { use_in_children(4); }
    if (strcmp(way, "_exit") == 0) { _exit(3); }
    if (strcmp(way, "handler") == 0) {
        signal(SIGUSR1, end_in_handler);
        raise(SIGUSR1);
    }
    if (strcmp(way, "vfork") == 0) {
        pid_t child = vfork();
        if (child == 0) { _exit(0); }
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
    return 3;
}
