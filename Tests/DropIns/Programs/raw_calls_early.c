// Calls through `syscall` at moments when its replacement may not be initialized yet, or must not change any state.
#include "libaio_cases.h"

#include <sys/syscall.h>

static struct {
    long process, closed, mapped;
    int error;
    int replaced, closed_again, range, range_again;
} early;

/// Runs before the constructors of all libraries.
static void begin(int count, char **arguments, char **environment) {
    (void)count, (void)arguments, (void)environment;
    early.process = syscall(SYS_getpid);
    errno = 0;
    early.closed = syscall(SYS_close, -1);
    early.error = errno;
    early.replaced = dup2(0, 40) == 40 && dup3(0, 41, O_CLOEXEC) == 41;
    early.closed_again = close(40) == 0 && close(40) == -1 ? -errno : 0;
    early.range = close_range(41, 41, 0);
    early.range_again = syscall(SYS_close_range, 40L, 41L, 0L) == 0 && close(41) == -1 ? -errno : 0;
    early.mapped = syscall(SYS_mmap, NULL, 4096L, (long)PROT_READ, (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);
}

__attribute__((section(".preinit_array"), used)) static void (*begin_pointer)(int, char **, char **) = begin;

static void before_constructors(void) {
    fact_bool("getpid", early.process == getppid());
    fact_result("close of -1", early.closed);
    fact_result("its error", -early.error);
    fact_bool("dup2 and dup3", early.replaced);
    fact_result("close, and once more", early.closed_again);
    fact_result("close_range", early.range);
    fact_result("close_range by syscall, and close", early.range_again);
    fact_bool("mmap, six arguments", early.mapped != -1);
}

/// A child that shares its parent's stack: the parent returns over what the child leaves there.
static void shared_stack(void) {
#ifdef SYS_vfork
    long child = syscall(SYS_vfork);
#else
    long child = vfork();
#endif
    if (child == 0) { _exit(7); }
    int status = 0;
    waitpid((pid_t)child, &status, 0);
    fact_result("status of the child", WEXITSTATUS(status));
}

static const struct test_case cases[] = {
    {"before-constructors", before_constructors},
    {"shared-stack", shared_stack},
};

int main(int count, char **arguments) {
    // A reference to libaio, so that the program is linked with it.
    if (count > 100) { io_destroy(NULL); }
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
