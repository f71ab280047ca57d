// Counts user instructions by the processor's counter: `bench-count PROGRAM ARGUMENT...` runs a program, and prints the
// instructions of it, its threads and its children on standard error. It fails where the machine counts none.
#include <err.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 2) errx(2, "usage: bench-count PROGRAM ARGUMENT...");
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof attributes,
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .disabled = 1,
        .inherit = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .enable_on_exec = 1,
    };
    // The child waits for the counter, which is enabled when it executes the program.
    int gate[2];
    if (pipe(gate)) err(1, "pipe");
    pid_t child = fork();
    if (child < 0) err(1, "fork");
    if (child == 0) {
        char opened = 0;
        close(gate[1]);
        if (read(gate[0], &opened, 1) != 1) _exit(127);
        close(gate[0]);
        execvp(arguments[1], arguments + 1);
        err(127, "%s", arguments[1]);
    }
    int counter = (int)syscall(SYS_perf_event_open, &attributes, child, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (counter < 0) err(1, "perf_event_open");
    if (write(gate[1], "", 1) != 1) err(1, "pipe");
    int status;
    if (waitpid(child, &status, 0) != child) err(1, "waitpid");
    uint64_t instructions;
    if (read(counter, &instructions, sizeof instructions) != sizeof instructions) err(1, "read of the counter");
    fprintf(stderr, "instructions %llu\n", (unsigned long long)instructions);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
