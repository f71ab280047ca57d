// Processes whose main thread calls pthread_exit: they end with the program's last thread, and with status 0.
#pragma once

#include "cases.h"

static int report_pipe[2];
/// Set once the thread has written its report.
static volatile int has_told;

static inline void report_exit(void) {
    if (write(report_pipe[1], "e", 1) != 1) { _exit(9); }
}

static inline void *end_later(void *body) {
    // Waits until the main thread has ended.
    while (thread_state(getpid()) != 'Z') { sched_yield(); }
    if (body) { ((void (*)(void))body)(); }
    if (write(report_pipe[1], "t", 1) != 1) { _exit(9); }
    has_told = 1;
    return NULL;
}

/// Runs `first` in the main thread of a child, which then ends by pthread_exit, and afterwards `later` in the child's
/// other thread. The fact says how the child ended: t for the thread, e for its exit handlers.
static inline void fact_ends(const char *what, void (*first)(void), void (*later)(void)) {
    if (pipe2(report_pipe, O_CLOEXEC) != 0) { broken("pipe2"); }
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) { broken("fork"); }
    if (child == 0) {
        atexit(report_exit);
        if (first) { first(); }
        pthread_t thread = start_thread(end_later, (void *)later);
        pthread_detach(thread);
        pthread_exit((void *)5);
    }
    close(report_pipe[1]);
    char text[16] = "";
    size_t length = 0;
    ssize_t count;
    // If the child hangs, the case's own time limit ends this.
    while (length < sizeof text - 1 && (count = read(report_pipe[0], text + length, sizeof text - 1 - length)) > 0) {
        length += (size_t)count;
    }
    int status = 0;
    waitpid(child, &status, 0);
    close(report_pipe[0]);
    fact(what, "%s, %s %d", text, WIFSIGNALED(status) ? "signal" : "status",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/// Whether the whole file has its known content.
static inline bool has_content(int file, size_t size, uint64_t seed) {
    uint8_t *content = malloc(size + 1);
    fcntl(file, F_SETFL, 0);
    ssize_t count = pread(file, content, size + 1, 0);
    bool isRight = count == (ssize_t)size && is_known(content, size, 0, seed);
    free(content);
    return isRight;
}
