// Pairs of connected blocking streams, and a thread that drains one of the ends.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <termios.h>

static const char *const stream_kinds[] = {"pipe", "unix", "tcp", "terminal"};
enum { STREAM_KINDS = 4 };

static inline void tcp_pair(int ends[2]) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0) { broken("listen"); }
    getsockname(listener, (struct sockaddr *)&address, &size);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(ends[1], (struct sockaddr *)&address, size) != 0) { broken("connect"); }
    ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
}

static inline void terminal_pair(int ends[2]) {
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0) { broken("posix_openpt"); }
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    tcgetattr(ends[1], &raw);
    cfmakeraw(&raw);
    tcsetattr(ends[1], TCSANOW, &raw);
}

/// Data written to the second end are read from the first.
static inline void stream_pair(int kind, int ends[2]) {
    switch (kind) {
    case 0: if (pipe2(ends, O_CLOEXEC) != 0) { broken("pipe2"); } break;
    case 1: if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) { broken("socketpair"); } break;
    case 2: tcp_pair(ends); break;
    default: terminal_pair(ends);
    }
}

/// Reads a number of bytes, and describes them as runs of equal ones: "100000 A, 100000 B".
struct drain {
    int descriptor;
    size_t limit, count;
    char runs[256];
};

static inline void *run_drain(void *argument) {
    struct drain *drain = argument;
    static char memory[1 << 16];
    char last = 0;
    size_t run = 0;
    while (drain->count < drain->limit) {
        ssize_t count = read(drain->descriptor, memory, sizeof memory);
        if (count <= 0) { break; }
        drain->count += (size_t)count;
        for (ssize_t index = 0; index < count; index++) {
            if (memory[index] == last) { run++; continue; }
            size_t length = strlen(drain->runs);
            if (run && length < 200) { snprintf(drain->runs + length, 56, "%zu %c, ", run, last); }
            last = memory[index];
            run = 1;
        }
    }
    size_t length = strlen(drain->runs);
    snprintf(drain->runs + length, 56, "%zu %c", run, last);
    return NULL;
}
