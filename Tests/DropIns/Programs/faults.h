// Scenarios in which one system call of the library's does not go as the kernel would have it (AIO_FAULTS). Each prints
// a line for what must not be, and at the end what the library has open. See FaultTests.swift.
#pragma once

#include "cases.h"

#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/// Seconds after which a scenario hangs.
enum { SCENARIO_LIMIT = 10 };

// MARK: The fault

/// What AIO_FAULTS has planned: one rule, for the n-th call of a name.
static struct {
    /// The name of the system call.
    char call[32];
    /// The errno; 0 for another action, or for none.
    int error;
    bool is_short;
} planned;

static inline int error_named(const char *name) {
    for (int error = 1; error < 200; error++) {
        const char *known = strerrorname_np(error);
        if (known && strcmp(known, name) == 0) { return error; }
    }
    return 0;
}

static inline void read_plan(void) {
    const char *text = getenv("AIO_FAULTS"), *action = text ? strrchr(text, '=') : NULL;
    if (!action) { return; }
    snprintf(planned.call, sizeof planned.call, "%.*s", (int)strcspn(text, ":="), text);
    planned.error = error_named(action + 1);
    planned.is_short = strncmp(action + 1, "short:", 6) == 0;
}

/// Whether an operation may report the planned error: the call that fails is one that carries operations out.
static inline bool is_of_operations(void) {
    const char *calls[] = {"pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "read", "write", "readv",
        "writev", "fsync", "fdatasync", "recvfrom", "sendto", "recvmsg", "sendmsg", "statx",
        "epoll_ctl"};
    for (size_t index = 0; index < sizeof calls / sizeof calls[0]; index++) {
        if (strcmp(calls[index], planned.call) == 0) { return true; }
    }
    return false;
}

static int round_number;

/// How often something that is refused is tried again, after a pause: a library that could not start its loop tries to
/// a tenth of a second later.
enum { TRIES = 20, PAUSE_MICROSECONDS = 20000 };

/// Something that must not be.
__attribute__((format(printf, 1, 2))) static inline void bad(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("bad: round %d: %s\n", round_number, text);
    fflush(stdout);
}

/// Whether an operation may end with EINTR. glibc's POSIX AIO makes an interrupted call again.
static bool may_be_interrupted;

/// Whether an operation may end with this negative errno.
static inline bool is_planned_error(long result) {
    if (!planned.error || result != -planned.error || !is_of_operations()) { return false; }
    return planned.error != EINTR || may_be_interrupted;
}

/// Judges the result of an operation on `count` bytes.
static inline void judge(const char *what, long result, long count) {
    if (result == count || is_planned_error(result)) { return; }
    if (planned.is_short && result > 0 && result < count) { return; }
    bad("%s: %s of %ld", what, result_name(result), count);
}

/// Judges what a read has returned, which is at `offset` of known bytes.
static inline void judge_read(
    const char *what, const void *buffer, long result, long count, uint64_t at, uint64_t seed) {
    judge(what, result, count);
    if (result > 0 && !is_known(buffer, (size_t)result, at, seed)) { bad("%s: wrong bytes", what); }
}

/// Whether a file has these known bytes there.
static inline bool has_known(int file, size_t size, off_t at, uint64_t from, uint64_t seed) {
    uint8_t found[4096];
    return pread(file, found, size, at) == (ssize_t)size && is_known(found, size, from, seed);
}

/// Judges what a write has left in the file: what it reports to be written, and beyond that the old or the new bytes.
static inline void judge_written(
    const char *what, int file, long result, long count, uint64_t at, uint64_t seed, uint64_t old) {
    judge(what, result, count);
    uint8_t *found = malloc((size_t)count);
    if (pread(file, found, (size_t)count, (off_t)at) != count) { broken("pread"); }
    for (long index = 0; index < count; index++) {
        bool is_new = found[index] == known_byte(at + (uint64_t)index, seed);
        bool is_old = found[index] == known_byte(at + (uint64_t)index, old);
        if (is_new || (is_old && index >= (result > 0 ? result : 0))) { continue; }
        bad("%s: byte %ld is neither new nor old, of %s written", what, index, result_name(result));
        break;
    }
    free(found);
}

// MARK: What is left

static inline int compare_kinds(const void *one, const void *other) { return strcmp(one, other); }

/// Appends the kind of each descriptor above standard error, but for the log of calls.
static inline void append_descriptors(char *text, size_t text_size) {
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) { broken("/proc/self/fd"); }
    char kinds[64][64];
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) && count < 64;) {
        char link[256] = "";
        int number = atoi(entry->d_name);
        if (number <= STDERR_FILENO || number == dirfd(folder)) { continue; }
        ssize_t size = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        if (size <= 0 || strstr(link, "/calls")) { continue; }
        snprintf(kinds[count++], 64, "%.63s", link);
    }
    closedir(folder);
    qsort(kinds, count, 64, compare_kinds);
    for (size_t index = 0; index < count; index++) {
        size_t used = strlen(text);
        snprintf(text + used, text_size - used, " %.63s", kinds[index]);
    }
}

static inline int count_threads(const char *prefix) {
    DIR *folder = opendir("/proc/self/task");
    if (!folder) { broken("/proc/self/task"); }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (!file) { continue; }
        if (fgets(name, sizeof name, file)) { count += strncmp(name, prefix, strlen(prefix)) == 0; }
        fclose(file);
    }
    closedir(folder);
    return count;
}

/// What the library has: its descriptors, its loops, and whether it has other threads without one.
static inline void describe(char *text, size_t size) {
    int loops = count_threads("aio-dropin-loop");
    bool has_threads = loops == 0 && count_threads("aio-") > 0;
    snprintf(text, size, "%d loops%s", loops, has_threads ? ", but threads" : "");
    append_descriptors(text, size);
}

static inline int count_word(const char *text, const char *word) {
    int count = 0;
    for (const char *place = text; (place = strstr(place, word)); place += strlen(word)) { count++; }
    return count;
}

/// A loop has a ring or an epoll, at most one timer and one eventfd, and nothing else is left.
static inline bool is_all_of_loops(const char *text) {
    int loops = atoi(text), all = count_word(text, "anon_inode:");
    int rings = count_word(text, "[io_uring]"), epolls = count_word(text, "[eventpoll]");
    int timers = count_word(text, "[timerfd]"), events = count_word(text, "[eventfd]");
    bool has_threads = strstr(text, "threads");
    return !has_threads && rings + epolls == loops && timers <= loops && events <= loops
        && rings + epolls + timers + events == all && count_word(text, " ") == all + 1;
}

// MARK: Hanging

/// Prints the stacks of all threads, if there is a debugger.
static inline void print_stacks(int signal) {
    (void)signal;
    static char process[16];
    snprintf(process, sizeof process, "%d", getpid());
    bad("hangs");
    pid_t child = fork();
    if (child == 0) {
        unsetenv("LD_PRELOAD");
        execlp("gdb", "gdb", "-batch", "-nx", "-ex", "thread apply all backtrace 12", "-p", process, (char *)NULL);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    _exit(4);
}

// MARK: Running

struct scenario {
    const char *name;
    void (*round)(void);
};

/// Sets the scene of each round, since files must not be what the last round has left.
static inline int run_scenario(int count, char **arguments, const struct scenario *all, size_t all_count) {
    if (count < 4) {
        for (size_t index = 0; index < all_count; index++) { printf("%s\n", all[index].name); }
        return 0;
    }
    scratch_folder = arguments[1];
    read_plan();
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    signal(SIGALRM, print_stacks);
    for (size_t index = 0; index < all_count; index++) {
        if (strcmp(arguments[2], all[index].name) != 0) { continue; }
        case_name = all[index].name;
        for (round_number = 1; round_number <= atoi(arguments[3]); round_number++) {
            alarm(SCENARIO_LIMIT);
            all[index].round();
        }
        char left[2048];
        // Threads that end still close what they have, and one that starts has the name of the one that started it.
        for (int try = 0; try < 1000; try++) {
            describe(left, sizeof left);
            if (is_all_of_loops(left)) { return 0; }
            // By time: between two looks at the condition.
            usleep(1000);
        }
        bad("left: %s", left);
        return 0;
    }
    return 1;
}
