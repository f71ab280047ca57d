// What the fuzzers share: seeded random numbers, memory that may be overwritten, descriptors of all kinds, and the
// check at the end that nothing was left behind.
#pragma once

#include "random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// Ends the fuzzer: something is wrong that no arguments can excuse.
#define FAIL(...) (fprintf(stderr, "failed: " __VA_ARGS__), fprintf(stderr, "\n"), _exit(1))

// Memory. A random operation writes to the arena or nowhere: the memory after the arena is not writable, and all other
// addresses that are passed are invalid.

enum { ARENA = 1 << 20 };

static uint8_t *arena;
static uint8_t *readonly_page;
static uint8_t *unmapped_page;

static inline void make_memory(void) {
    arena = mmap(NULL, ARENA + 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    readonly_page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // Reserved without access, so that nothing else is mapped there.
    unmapped_page = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED || readonly_page == MAP_FAILED || unmapped_page == MAP_FAILED) { FAIL("no memory"); }
    mprotect(arena, ARENA, PROT_READ | PROT_WRITE);
}

static inline void *bad_address(struct fuzz_random *random) {
    switch (below(random, 7)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)below(random, 4096);
    case 2: return (void *)-1L;
    case 3: return (void *)(0xffff800000000000u | random_number(random));
    case 4: return readonly_page + below(random, 4096);
    case 5: return (void *)(0x8000000000000000u | random_number(random));
    default: return unmapped_page + below(random, 65536);
    }
}

static inline void *arena_address(struct fuzz_random *random) {
    unsigned offset = below(random, ARENA);
    if (one_in(random, 2)) { offset &= ~4095u; }
    return arena + offset;
}

static inline void *any_address(struct fuzz_random *random) {
    return one_in(random, 5) ? bad_address(random) : arena_address(random);
}

static inline size_t any_size(struct fuzz_random *random) {
    switch (below(random, 8)) {
    case 0: return 0;
    case 1: return below(random, 64);
    case 2: return random_number(random);
    case 3: return 1ul << below(random, 64);
    default: return (below(random, 32) + 1) * 512;
    }
}

static inline int64_t any_offset(struct fuzz_random *random) {
    switch (below(random, 8)) {
    case 0: return (int64_t)random_number(random);
    case 1: return -(int64_t)below(random, 100);
    case 2: return (int64_t)(1ul << below(random, 63));
    case 3: return below(random, 1 << 20);
    default: return (int64_t)below(random, 256) * 4096;
    }
}

// Descriptors. They stay open to the end: a number that is free for a moment could become the library's own.

enum { FUZZ_FILE_SIZE = 1 << 20, MOST_DESCRIPTORS = 32 };

static int descriptors[MOST_DESCRIPTORS];
static unsigned descriptor_count;
/// A file of known content that is never written.
static int known_file;
/// No byte of any file is below 128, so that its content is invalid as a pointer and as a descriptor.
static inline uint8_t known_byte(uint64_t offset) { return (uint8_t)(0x80 | ((offset * 0x9e3779b1u) >> 16)); }

static inline void keep(int descriptor) {
    if (descriptor >= 0 && descriptor_count < MOST_DESCRIPTORS) { descriptors[descriptor_count++] = descriptor; }
}

static inline int fuzz_file(const char *folder, int flags) {
    char path[4096];
    snprintf(path, sizeof path, "%s/fuzz-XXXXXX", folder);
    int writing = mkstemp(path);
    uint8_t *content = malloc(FUZZ_FILE_SIZE);
    for (int index = 0; index < FUZZ_FILE_SIZE; index++) { content[index] = known_byte((uint64_t)index); }
    if (writing < 0 || write(writing, content, FUZZ_FILE_SIZE) != FUZZ_FILE_SIZE) { FAIL("no file in %s", folder); }
    free(content);
    int file = open(path, flags | O_CLOEXEC);
    close(writing);
    unlink(path);
    return file;
}

static inline void make_descriptors(const char *folder) {
    const int flags[] = {O_RDWR, O_RDWR, O_RDWR | O_DIRECT, O_RDONLY, O_WRONLY, O_RDWR | O_APPEND, O_RDWR | O_DSYNC,
        O_PATH};
    for (size_t index = 0; index < sizeof flags / sizeof *flags; index++) { keep(fuzz_file(folder, flags[index])); }
    const char *paths[] = {"/dev/null", "/dev/zero", "/dev/full", "/proc/self/stat", "/"};
    for (int index = 0; index < 5; index++) { keep(open(paths[index], (index < 3 ? O_RDWR : O_RDONLY) | O_CLOEXEC)); }
    int ends[2];
    // Non-blocking, since the system's library waits in io_submit.
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) { keep(ends[0]), keep(ends[1]); }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0) { keep(ends[0]), keep(ends[1]); }
    keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    known_file = fuzz_file(folder, O_RDONLY);
}

static inline int any_descriptor(struct fuzz_random *random) {
    switch (below(random, 16)) {
    case 0: return -1;
    case 1: return 1000000 + (int)below(random, 1000);
    case 2: return (int)(0x80000000u | below(random, 1u << 31));
    default: return descriptors[below(random, descriptor_count)];
    }
}

// The state at the beginning and at the end.

static inline long count_entries(const char *path) {
    DIR *folder = opendir(path);
    long count = 0;
    while (folder && readdir(folder)) { count++; }
    if (folder) { closedir(folder); }
    return count;
}

static inline long resident_kilobytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) { pages = 0; }
    if (file) { fclose(file); }
    return pages * 4;
}

/// A library may keep an engine, its workers and some memory for later use.
enum { DESCRIPTOR_ALLOWANCE = 24, THREAD_ALLOWANCE = 160, MEMORY_ALLOWANCE_KILOBYTES = 128 << 10 };

struct left_behind { long descriptors, threads, kilobytes; };

static inline struct left_behind measure(void) {
    return (struct left_behind){count_entries("/proc/self/fd"), count_entries("/proc/self/task"), resident_kilobytes()};
}

static inline void check_left_behind(struct left_behind before) {
    struct left_behind after = measure();
    printf("descriptors %ld to %ld, threads %ld to %ld, memory %ld to %ld KiB\n", before.descriptors, after.descriptors,
        before.threads, after.threads, before.kilobytes, after.kilobytes);
    if (after.descriptors > before.descriptors + DESCRIPTOR_ALLOWANCE) { FAIL("descriptors are left"); }
    if (after.threads > before.threads + THREAD_ALLOWANCE) { FAIL("threads are left"); }
    if (after.kilobytes > before.kilobytes + MEMORY_ALLOWANCE_KILOBYTES) { FAIL("memory is left"); }
}

static inline double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void ignore_signal(int signal) { (void)signal; }

/// Sends a signal every few milliseconds to any thread, so that waits are interrupted now and then.
static inline void begin_interruptions(void) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){16 << 20, 16 << 20});
    struct sigaction action = {.sa_handler = ignore_signal};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval interval = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &interval, NULL);
}

static inline void end_interruptions(void) {
    struct itimerval none = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &none, NULL);
}
