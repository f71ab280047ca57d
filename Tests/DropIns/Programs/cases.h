// The frame of all test programs: named cases, each in a separate process, which print facts. A fact is a line
// `case/what: result` that is the same in every run. A case that crashes or hangs leaves a line that says so.
#pragma once

#include "thread_states.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

/// Seconds after which a case that hangs is ended.
enum { CASE_LIMIT = 20 };

static const char *case_name = "";
/// A folder for this run, which its creator removes.
static const char *scratch_folder = "/tmp";

__attribute__((format(printf, 2, 3))) static inline void fact(const char *what, const char *format, ...) {
    char result[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result, sizeof result, format, arguments);
    va_end(arguments);
    printf("%s/%s: %s\n", case_name, what, result);
    fflush(stdout);
}

/// Ends the case, whose set-up failed.
static inline void broken(const char *what) {
    printf("%s: broken: %s: %s\n", case_name, what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

/// A count in digits, or the name of a negative errno. The text is in one of a few rotating buffers, enough for one
/// fact.
static inline const char *result_name(long result) {
    static _Thread_local char texts[8][32];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 8];
    const char *name = result < 0 && result > -4096 ? strerrorname_np((int)-result) : NULL;
    if (name) {
        snprintf(text, 32, "-%s", name);
    } else {
        snprintf(text, 32, "%ld", result);
    }
    return text;
}

static inline void fact_result(const char *what, long result) { fact(what, "%s", result_name(result)); }
static inline void fact_bool(const char *what, bool holds) { fact(what, "%s", holds ? "yes" : "no"); }

static inline void *aligned_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) { broken("mmap"); }
    return memory;
}

/// A byte that follows from its offset in a file and from a seed.
static inline uint8_t known_byte(uint64_t offset, uint64_t seed) {
    uint64_t mixed = (offset / 8 + seed * 0x10001) * 0x9e3779b97f4a7c15u;
    return (uint8_t)(mixed >> (8 * (offset % 8)));
}

static inline void fill_known(void *memory, size_t size, uint64_t offset, uint64_t seed) {
    for (size_t index = 0; index < size; index++) { ((uint8_t *)memory)[index] = known_byte(offset + index, seed); }
}

static inline bool is_known(const void *memory, size_t size, uint64_t offset, uint64_t seed) {
    for (size_t index = 0; index < size; index++) {
        if (((const uint8_t *)memory)[index] != known_byte(offset + index, seed)) { return false; }
    }
    return true;
}

static inline bool is_filled(const void *memory, size_t size, uint8_t byte) {
    for (size_t index = 0; index < size; index++) {
        if (((const uint8_t *)memory)[index] != byte) { return false; }
    }
    return true;
}

/// Opens a new unnamed file of this size, with known content.
static inline int new_file(int flags, size_t size, uint64_t seed) {
    char path[4096];
    snprintf(path, sizeof path, "%s/file-XXXXXX", scratch_folder);
    int writing = mkstemp(path);
    if (writing < 0) { broken("mkstemp"); }
    uint8_t *content = malloc(size + 1);
    fill_known(content, size, 0, seed);
    for (size_t done = 0; done < size;) {
        ssize_t count = write(writing, content + done, size - done);
        if (count <= 0) { broken("write"); }
        done += (size_t)count;
    }
    free(content);
    int file = open(path, flags | O_CLOEXEC);
    if (file < 0) { broken("open"); }
    close(writing);
    unlink(path);
    return file;
}

/// Removes a file's pages from the cache, so that a read has to wait for the disk.
static inline void make_cold(int file) {
    fsync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
}

static inline pthread_t start_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0) { broken("pthread_create"); }
    return thread;
}

static inline void run_case(const struct test_case *test) {
    case_name = test->name;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) { broken("fork"); }
    if (child == 0) {
        // The default action of SIGALRM ends the process, whatever its threads do.
        alarm(CASE_LIMIT);
        test->run();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status)) {
        int signal = WTERMSIG(status);
        printf("%s: %s\n", case_name, signal == SIGALRM ? "hangs" : sigabbrev_np(signal));
    } else if (WEXITSTATUS(status) != 0) {
        printf("%s: exits with %d\n", case_name, WEXITSTATUS(status));
    }
    fflush(stdout);
}

/// Runs all cases, or those named on the command line after the folder.
static inline int run_cases(int count, char **arguments, const struct test_case *cases, size_t case_count) {
    if (count > 1) { scratch_folder = arguments[1]; }
    for (size_t index = 0; index < case_count; index++) {
        bool isWanted = count <= 2;
        for (int argument = 2; argument < count; argument++) {
            isWanted |= strcmp(arguments[argument], cases[index].name) == 0;
        }
        if (isWanted) { run_case(&cases[index]); }
    }
    return 0;
}

#define CASE_COUNT(cases) (sizeof(cases) / sizeof(cases)[0])
