// The descriptors of the differential test: three files with several flags, both ends of streams of all kinds, devices,
// and invalid numbers. Each is opened on first use by a program, and its final state is reported at the end.
#pragma once

#include "differ.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <arpa/inet.h>
#include <termios.h>

enum { FILES = 4, FILE_SIZE = 100123 };

/// The kind of object behind a descriptor.
enum backing { REGULAR, STREAM, COUNTER, OTHER };

struct kind_of_descriptor {
    const char *name;
    enum backing backing;
    /// The index of a file or a pair, and which end of the pair.
    int index, end;
    int flags;
};

enum stream { PIPE, PIPE_NONBLOCK, UNIX, UNIX_NONBLOCK, TCP, SEQPACKET, TERMINAL, FIFO, STREAMS };

static const char *const stream_names[STREAMS] = {"pipe", "non-blocking pipe", "socket", "non-blocking socket",
    "TCP connection", "packet socket", "terminal", "FIFO"};

enum other { NUL, ZERO, FULL, FOLDER, COMM, TIMER, EPOLL, CLOSED, NEGATIVE, HUGE_NUMBER };

static const struct kind_of_descriptor kinds[] = {
    {"file A", REGULAR, 0, 0, O_RDWR},
    {"file A, read only", REGULAR, 0, 0, O_RDONLY},
    {"file A, write only", REGULAR, 0, 0, O_WRONLY},
    {"file A, direct", REGULAR, 0, 0, O_RDWR | O_DIRECT},
    {"file B", REGULAR, 1, 0, O_RDWR},
    {"file B, appending", REGULAR, 1, 0, O_RDWR | O_APPEND},
    {"file B, synchronous", REGULAR, 1, 0, O_RDWR | O_DSYNC},
    {"file C, direct", REGULAR, 2, 0, O_RDWR | O_DIRECT},
    {"file C, appending, direct", REGULAR, 2, 0, O_RDWR | O_APPEND | O_DIRECT},
    {"file C", REGULAR, 2, 0, O_RDWR},
    {"file in memory", REGULAR, 3, 0, O_RDWR},
    {"file A, path only", REGULAR, 0, 0, O_PATH},
    {"pipe, reading", STREAM, PIPE, 0, 0},
    {"pipe, writing", STREAM, PIPE, 1, 0},
    {"non-blocking pipe, reading", STREAM, PIPE_NONBLOCK, 0, 0},
    {"non-blocking pipe, writing", STREAM, PIPE_NONBLOCK, 1, 0},
    {"socket, one end", STREAM, UNIX, 0, 0},
    {"socket, other end", STREAM, UNIX, 1, 0},
    {"non-blocking socket, one end", STREAM, UNIX_NONBLOCK, 0, 0},
    {"non-blocking socket, other end", STREAM, UNIX_NONBLOCK, 1, 0},
    {"TCP connection, one end", STREAM, TCP, 0, 0},
    {"TCP connection, other end", STREAM, TCP, 1, 0},
    {"packet socket, one end", STREAM, SEQPACKET, 0, 0},
    {"packet socket, other end", STREAM, SEQPACKET, 1, 0},
    {"terminal, program's end", STREAM, TERMINAL, 0, 0},
    {"terminal, keyboard's end", STREAM, TERMINAL, 1, 0},
    {"FIFO, reading", STREAM, FIFO, 0, 0},
    {"FIFO, writing", STREAM, FIFO, 1, 0},
    {"eventfd", COUNTER, 0, 0, EFD_NONBLOCK},
    {"eventfd, one at a time", COUNTER, 0, 0, EFD_NONBLOCK | EFD_SEMAPHORE},
    {"/dev/null", OTHER, NUL, 0, 0},
    {"/dev/zero", OTHER, ZERO, 0, 0},
    {"/dev/full", OTHER, FULL, 0, 0},
    {"folder", OTHER, FOLDER, 0, 0},
    {"/proc/self/comm", OTHER, COMM, 0, 0},
    {"timer", OTHER, TIMER, 0, 0},
    {"epoll", OTHER, EPOLL, 0, 0},
    {"closed number", OTHER, CLOSED, 0, 0},
    {"number -1", OTHER, NEGATIVE, 0, 0},
    {"huge number", OTHER, HUGE_NUMBER, 0, 0},
};

enum { KINDS = sizeof kinds / sizeof *kinds, FILE_KINDS = 11, FIRST_STREAM = 12, FIRST_COUNTER = 28, FIRST_OTHER = 30 };

/// The numbers that programs use. They are far above those that a library may take for itself, so that only the program
/// reuses closed ones.
enum { FIRST_NUMBER = 700 };

static bool is_open[KINDS];
/// Another descriptor of each file, for inspection; -1 if no program used it.
static int file_views[FILES] = {-1, -1, -1, -1};
static char file_paths[FILES][512];

static inline int number_of(long kind) {
    switch (kinds[kind].backing == OTHER ? kinds[kind].index : -1) {
    case NEGATIVE: return -1;
    case HUGE_NUMBER: return 1 << 30;
    default: return FIRST_NUMBER + (int)kind;
    }
}

static inline void place(long kind, int descriptor) {
    if (descriptor < 0) { BROKEN("%s cannot be opened: %s", kinds[kind].name, strerror(errno)); }
    if (dup3(descriptor, number_of(kind), O_CLOEXEC) < 0) { BROKEN("dup3: %s", strerror(errno)); }
    close(descriptor);
    is_open[kind] = true;
}

static inline uint8_t content_of(int file, size_t offset) {
    return (uint8_t)((offset * 0x9e3779b1u >> 13) + (size_t)file * 31 + offset / 4096);
}

static inline void make_file(int file) {
    if (file_views[file] >= 0) { return; }
    if (file == 3) {
        file_views[file] = memfd_create("differ", MFD_CLOEXEC);
        snprintf(file_paths[file], sizeof *file_paths, "/proc/self/fd/%d", file_views[file]);
    } else {
        snprintf(file_paths[file], sizeof *file_paths, "%s/differ-%d-%c", folder, getpid(), 'a' + file);
        file_views[file] = open(file_paths[file], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    static uint8_t content[FILE_SIZE];
    struct rlimit limit, none = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &limit);
    setrlimit(RLIMIT_FSIZE, &none);
    for (size_t offset = 0; offset < FILE_SIZE; offset++) { content[offset] = content_of(file, offset); }
    if (file_views[file] < 0 || write(file_views[file], content, FILE_SIZE) != FILE_SIZE) {
        BROKEN("no file in %s: %s", folder, strerror(errno));
    }
    setrlimit(RLIMIT_FSIZE, &limit);
    int high = fcntl(file_views[file], F_DUPFD_CLOEXEC, FIRST_NUMBER + 100);
    close(file_views[file]);
    file_views[file] = high;
    if (file == 3) { snprintf(file_paths[file], sizeof *file_paths, "/proc/self/fd/%d", high); }
}

/// The other end of the pair.
static inline long other_end(long kind) { return kinds[kind].end == 0 ? kind + 1 : kind - 1; }

static inline void make_connection(int ends[2]) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (void *)&address, length) != 0 || listen(listener, 1) != 0) { BROKEN("no listener"); }
    getsockname(listener, (void *)&address, &length);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(ends[0], (void *)&address, length) != 0) { BROKEN("no connection: %s", strerror(errno)); }
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
}

static inline void make_terminal(int ends[2]) {
    // The keyboard's end is the master. Bytes pass unchanged.
    if (openpty(&ends[1], &ends[0], NULL, NULL, NULL) != 0) { BROKEN("no terminal: %s", strerror(errno)); }
    struct termios settings;
    tcgetattr(ends[0], &settings);
    cfmakeraw(&settings);
    tcsetattr(ends[0], TCSANOW, &settings);
}

static inline void make_fifo(int ends[2]) {
    char path[512];
    snprintf(path, sizeof path, "%s/differ-%d-fifo", folder, getpid());
    if (mkfifo(path, 0600) != 0) { BROKEN("no FIFO: %s", strerror(errno)); }
    ends[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ends[1] = open(path, O_WRONLY | O_CLOEXEC);
    fcntl(ends[0], F_SETFL, 0);
    unlink(path);
}

static inline void make_pair(enum stream stream, int ends[2]) {
    switch (stream) {
    case PIPE: pipe2(ends, O_CLOEXEC); break;
    case PIPE_NONBLOCK: pipe2(ends, O_CLOEXEC | O_NONBLOCK); break;
    case UNIX: socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends); break;
    case UNIX_NONBLOCK: socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends); break;
    case SEQPACKET: socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); break;
    case TCP: make_connection(ends); break;
    case TERMINAL: make_terminal(ends); break;
    case FIFO: make_fifo(ends); break;
    default: BROKEN("no such stream");
    }
}

static inline int open_other(enum other other) {
    switch (other) {
    case NUL: return open("/dev/null", O_RDWR | O_CLOEXEC);
    case ZERO: return open("/dev/zero", O_RDWR | O_CLOEXEC);
    case FULL: return open("/dev/full", O_RDWR | O_CLOEXEC);
    case FOLDER: return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case COMM: return open("/proc/self/comm", O_RDWR | O_CLOEXEC);
    case TIMER: return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    case EPOLL: return epoll_create1(EPOLL_CLOEXEC);
    default: return -1;
    }
}

/// Opens the descriptor of this kind if it is not open, and returns its number.
static inline int use(long kind) {
    const struct kind_of_descriptor *what = &kinds[kind];
    if (is_open[kind]) { return number_of(kind); }
    int ends[2] = {-1, -1};
    switch (what->backing) {
    case REGULAR:
        make_file(what->index);
        place(kind, open(file_paths[what->index], what->flags | O_CLOEXEC));
        break;
    case STREAM:
        make_pair((enum stream)what->index, ends);
        place(what->end == 0 ? kind : other_end(kind), ends[0]);
        place(what->end == 0 ? other_end(kind) : kind, ends[1]);
        break;
    case COUNTER: place(kind, eventfd(0, what->flags | EFD_CLOEXEC)); break;
    case OTHER:
        if (what->index < CLOSED) { place(kind, open_other((enum other)what->index)); }
        is_open[kind] = true;
        break;
    }
    return number_of(kind);
}

static inline bool is_blocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

static inline int64_t file_size(int file) {
    struct stat state;
    make_file(file);
    return fstat(file_views[file], &state) == 0 ? state.st_size : 0;
}

static inline void tell_file(int file) {
    static uint8_t content[1 << 20];
    int64_t size = file_size(file);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file_views[file]);
    int view = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = pread(view, content, sizeof content, 0);
    uint64_t sum = checksum(content, count > 0 ? (size_t)count : 0);
    // Sparse files also have data at their end, beyond the first megabyte.
    if (size > (int64_t)sizeof content) {
        count = pread(view, content, 65536, size - 65536);
        sum ^= checksum(content, count > 0 ? (size_t)count : 0);
    }
    close(view);
    tell("file %c: %ld bytes, content %016lx", 'A' + file, size, sum);
}

/// Reports the final state of files, and the positions and flags of descriptors.
static inline void tell_files(void) {
    for (int file = 0; file < FILES; file++) {
        if (file_views[file] >= 0) { tell_file(file); }
    }
    for (long kind = 0; kind < FILE_KINDS; kind++) {
        if (!is_open[kind]) { continue; }
        tell("%s at the end: position %ld, flags %#x", kinds[kind].name, lseek(number_of(kind), 0, SEEK_CUR),
            fcntl(number_of(kind), F_GETFL));
    }
}

static inline void remove_files(void) {
    for (int file = 0; file < 3; file++) {
        if (file_views[file] >= 0) { unlink(file_paths[file]); }
    }
}
