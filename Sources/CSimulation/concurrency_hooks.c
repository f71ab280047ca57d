#include "concurrency_hooks.h"

#include <setjmp.h>
#include <stddef.h>
#include <time.h>

#define SWIFT_CC __attribute__((swiftcall))

typedef SWIFT_CC void (*enqueue)(void *job);
typedef SWIFT_CC void (*drain)(void);
typedef SWIFT_CC void (*enqueue_delayed)(unsigned long long delay, void *job);
typedef SWIFT_CC void (*enqueue_until)(long long seconds, long long nanoseconds, long long tolerance,
                                       long long tolerance_nanoseconds, int clock, void *job);

// The runtime's variables. Weak: a program that links another runtime has none.
extern SWIFT_CC void (*swift_task_enqueueGlobal_hook)(void *job, enqueue original) __attribute__((weak));
extern SWIFT_CC void (*swift_task_enqueueGlobalWithDelay_hook)(unsigned long long delay, void *job,
                                                               enqueue_delayed original) __attribute__((weak));
extern SWIFT_CC void (*swift_task_enqueueGlobalWithDeadline_hook)(long long seconds, long long nanoseconds,
                                                                  long long tolerance,
                                                                  long long tolerance_nanoseconds, int clock, void *job,
                                                                  enqueue_until original) __attribute__((weak));

extern SWIFT_CC void (*swift_task_enqueueMainExecutor_hook)(void *job, enqueue original) __attribute__((weak));
extern SWIFT_CC void (*swift_task_asyncMainDrainQueue_hook)(drain original, drain override) __attribute__((weak));

static ch_take_job take_job;

static SWIFT_CC void on_enqueue(void *job, enqueue original) {
    if (!take_job(job, 0, false)) original(job);
}

static SWIFT_CC void on_enqueue_main(void *job, enqueue original) {
    if (!take_job(job, 0, true)) original(job);
}

static SWIFT_CC void on_delayed(unsigned long long delay, void *job, enqueue_delayed original) {
    if (!take_job(job, delay, false)) original(delay, job);
}

// How far a time of the simulation's clock is away.
static uint64_t distance(long long seconds, long long nanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long left = (seconds - now.tv_sec) * 1000000000LL + nanoseconds - now.tv_nsec;
    return left <= 0 ? 0 : (uint64_t)left;
}

static SWIFT_CC void on_deadline(long long seconds, long long nanoseconds, long long tolerance,
                                 long long tolerance_nanoseconds, int clock, void *job, enqueue_until original) {
    if (!take_job(job, distance(seconds, nanoseconds), false))
        original(seconds, nanoseconds, tolerance, tolerance_nanoseconds, clock, job);
}

// Where `ch_begin_main` goes on, on the thread that is inside of it.
static _Thread_local jmp_buf *begun;

// The runtime calls this in the main function of an asynchronous program, to wait for the main actor's jobs for ever.
static SWIFT_CC void on_drain(drain original, drain override) {
    // Over the frame of a main function that has nothing left to do.
    if (begun != NULL) longjmp(*begun, 1);
    original();
}

bool ch_begin_main(ch_main main, int count, char **arguments) {
    jmp_buf here;
    begun = &here;
    bool is_suspended = setjmp(here) != 0;
    if (!is_suspended) main(count, arguments);
    begun = NULL;
    return is_suspended;
}

bool ch_install(ch_take_job take) {
    if (!&swift_task_enqueueGlobal_hook || !&swift_task_enqueueGlobalWithDelay_hook ||
        !&swift_task_enqueueGlobalWithDeadline_hook || !&swift_task_enqueueMainExecutor_hook ||
        !&swift_task_asyncMainDrainQueue_hook)
        return false;
    take_job = take;
    swift_task_enqueueGlobal_hook = on_enqueue;
    swift_task_enqueueGlobalWithDelay_hook = on_delayed;
    swift_task_enqueueGlobalWithDeadline_hook = on_deadline;
    swift_task_enqueueMainExecutor_hook = on_enqueue_main;
    swift_task_asyncMainDrainQueue_hook = on_drain;
    return true;
}
