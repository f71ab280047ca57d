// What the child process of an exit test says, and whether a sanitizer's runtime is in it.
//
// Swift Testing sends a child's standard error to /dev/null, so that a trap is reported as the signal alone. If
// AIO_TEST_CHILD_OUTPUT names a file, standard error of every such child is appended there instead, under the same
// descriptor number; and the stack of a thread that a signal ends: `module(+offset)`, as addr2line takes it.

#define _GNU_SOURCE
#include "exit_test_output.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_null(int descriptor) {
    struct stat null, status;
    return stat("/dev/null", &null) == 0 && fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == null.st_rdev;
}

// The handler is reset before it is called, so the instruction that runs again, or the signal that is raised again, ends
// the process as it would have ended without it.
static void print_stack(int number) {
    void *stack[64];
    dprintf(STDERR_FILENO, "\nsignal %d (%s) in process %d:\n", number, sigabbrev_np(number), getpid());
    backtrace_symbols_fd(stack, backtrace(stack, 64), STDERR_FILENO);
    if (number == SIGABRT) raise(number);
}

__attribute__((constructor)) static void keep_output_of_exit_test(void) {
    const char *path = getenv("AIO_TEST_CHILD_OUTPUT");
    const char *test = getenv("SWT_EXIT_TEST_ID");
    if (!path || !test || !is_null(STDERR_FILENO)) return;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return;
    dup2(file, STDERR_FILENO);
    close(file);
    // Loads the unwinder now, since a handler cannot.
    void *first;
    backtrace(&first, 1);
    static const int numbers[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV};
    struct sigaction action = {.sa_handler = print_stack, .sa_flags = SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
}

__attribute__((weak)) void __sanitizer_symbolize_pc(void *address, const char *format, char *text, size_t size);

int ct_is_sanitized(void) { return __sanitizer_symbolize_pc != NULL; }
