// Calls through `syscall` at moments when a function that stands in for it may not be ready, or must leave all as it is.
#include "libaio_cases.h"

#include <sys/syscall.h>

static struct {
    long process, closed, mapped;
    int error;
} early;

/// Before the constructors of any library.
static void begin(int count, char **arguments, char **environment) {
    (void)count, (void)arguments, (void)environment;
    early.process = syscall(SYS_getpid);
    errno = 0;
    early.closed = syscall(SYS_close, -1);
    early.error = errno;
    early.mapped = syscall(SYS_mmap, NULL, 4096L, (long)PROT_READ, (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);
}

__attribute__((section(".preinit_array"), used)) static void (*begin_pointer)(int, char **, char **) = begin;

static void before_constructors(void) {
    fact_bool("getpid", early.process == getppid());
    fact_result("close of -1", early.closed);
    fact_result("its error", -early.error);
    fact_bool("mmap, six arguments", early.mapped != -1);
}

/// A child that has its parent's stack: what it leaves there the parent returns over.
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
    // So that the library is one of the program's.
    if (count > 100) { io_destroy(NULL); }
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
