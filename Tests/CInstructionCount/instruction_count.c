// Counts a thread's user instructions by ptrace(2), one single step each: where the processor's counters are not to be
// had, as in most virtual machines. A child process traces the thread of its parent. A step takes some microseconds.
#define _GNU_SOURCE
#include "instruction_count.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum state { IDLE, ATTACHED, COUNTING, FINISHED, DETACHED };

/// What both processes see.
static struct shared {
    atomic_int state;
    /// The steps, or a negative errno.
    atomic_long count;
} *shared;

/// The parent writes here which thread to trace.
static int requests[2];

/// Steps the thread until it says that it has finished. Returns the number of steps while it was counting.
static long step(pid_t thread) {
    int status = 0;
    if (ptrace(PTRACE_SEIZE, thread, 0, 0) != 0) { return -errno; }
    if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) != 0) { return -errno; }
    if (waitpid(thread, &status, __WALL) != thread) { return -errno; }
    atomic_store(&shared->state, ATTACHED);
    long count = 0;
    long signal = 0;
    int state = ATTACHED;
    while (state != FINISHED) {
        if (ptrace(PTRACE_SINGLESTEP, thread, 0, signal) != 0) { return -errno; }
        if (waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status)) { return -ESRCH; }
        signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        state = atomic_load(&shared->state);
        count += state == COUNTING;
    }
    return ptrace(PTRACE_DETACH, thread, 0, 0) == 0 ? count : -errno;
}

/// Both on one processor meanwhile: a step is then two context switches, and no wake-up of another processor.
static long trace(pid_t thread) {
    cpu_set_t one, before;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    int is_moved = sched_getaffinity(thread, sizeof before, &before) == 0 &&
        sched_setaffinity(0, sizeof one, &one) == 0 && sched_setaffinity(thread, sizeof one, &one) == 0;
    long count = step(thread);
    if (is_moved) {
        sched_setaffinity(thread, sizeof before, &before);
        sched_setaffinity(0, sizeof before, &before);
    }
    return count;
}

static void serve(void) {
    pid_t thread = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(requests[1]);
    while (read(requests[0], &thread, sizeof thread) == sizeof thread) {
        atomic_store(&shared->count, trace(thread));
        atomic_store(&shared->state, DETACHED);
    }
    _exit(0);
}

#ifdef __x86_64__
/// A step's trap that no tracer takes would end the process: one run in ten ended so, for a reason that is not known.
/// The thread goes on without the trap flag. Other traps end the process as ever.
static void go_on(int number, siginfo_t *information, void *context) {
    enum { TRAP_FLAG = 1 << 8 };
    if (information->si_code != TRAP_TRACE) {
        signal(number, SIG_DFL);
        raise(number);
    }
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}
#endif

int instruction_count_start(void) {
#ifdef __x86_64__
    struct sigaction action = {.sa_sigaction = go_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (sigaction(SIGTRAP, &action, NULL) != 0) { return -errno; }
#endif
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe(requests) != 0) { return -errno; }
    pid_t child = fork();
    if (child < 0) { return -errno; }
    if (child == 0) { serve(); }
    close(requests[0]);
    // Yama otherwise allows a process to be traced by its ancestors alone.
    prctl(PR_SET_PTRACER, child);
    instruction_count_begin();
    long count = instruction_count_end();
    return count < 0 ? (int)count : 0;
}

void instruction_count_begin(void) {
    pid_t thread = (pid_t)syscall(SYS_gettid);
    atomic_store(&shared->state, IDLE);
    if (write(requests[1], &thread, sizeof thread) != sizeof thread) { abort(); }
    // DETACHED: it could not be attached.
    while (atomic_load(&shared->state) == IDLE) { sched_yield(); }
    int attached = ATTACHED;
    atomic_compare_exchange_strong(&shared->state, &attached, COUNTING);
}

long instruction_count_end(void) {
    int counting = COUNTING;
    atomic_compare_exchange_strong(&shared->state, &counting, FINISHED);
    while (atomic_load(&shared->state) != DETACHED) { sched_yield(); }
    return atomic_load(&shared->count);
}
