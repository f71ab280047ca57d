// Threads that leave a call while they sleep in it: cancelled, ended, or by a jump out of a signal handler. The
// programs are compiled with -fexceptions, so that unwinding runs a variable's cleanup function like a C++ destructor.
#pragma once

#include "cases.h"

#include <sched.h>
#include <setjmp.h>

static volatile int cleaned;

static inline void count_cleanup(int *unused) {
    (void)unused;
    __atomic_fetch_add(&cleaned, 1, __ATOMIC_SEQ_CST);
}

/// The first statement of each function between a thread's start and the call.
#define COUNTED_SCOPE __attribute__((cleanup(count_cleanup), unused)) int scope = 0

static sigjmp_buf elsewhere;

static inline void jump(int signal) {
    (void)signal;
    siglongjmp(elsewhere, 1);
}

static inline void end_thread(int signal) {
    (void)signal;
    pthread_exit((void *)77);
}

static inline void handle(int signal, void (*handler)(int)) {
    sigaction(signal, &(struct sigaction){.sa_handler = handler}, NULL);
}

struct sleeper {
    pthread_t thread;
    pid_t id;
    bool isCancelled;
};

static inline void *disturb(void *argument) {
    struct sleeper *sleeper = argument;
    waits_in_kernel(sleeper->id);
    if (sleeper->isCancelled) { pthread_cancel(sleeper->thread); } else { pthread_kill(sleeper->thread, SIGUSR1); }
    return NULL;
}

/// Calls `body` on this thread, and leaves it by a signal handler's jump once it sleeps. Returns false if it returned.
static inline bool is_left_by_jump(void (*body)(void)) {
    static struct sleeper sleeper;
    handle(SIGUSR1, jump);
    sleeper = (struct sleeper){.thread = pthread_self(), .id = gettid()};
    pthread_t thread = start_thread(disturb, &sleeper);
    bool isLeft = true;
    if (sigsetjmp(elsewhere, 1) == 0) {
        body();
        isLeft = false;
    }
    pthread_join(thread, NULL);
    return isLeft;
}

/// A thread that counts two scopes when it leaves `body`.
struct victim {
    void (*body)(void);
    /// As for pthread_setcanceltype(3).
    int type;
    bool isCancelledBefore;
    volatile pid_t id;
};

__attribute__((noinline)) static void enter_body(struct victim *victim) {
    COUNTED_SCOPE;
    if (victim->isCancelledBefore) { pthread_cancel(pthread_self()); }
    __atomic_store_n(&victim->id, gettid(), __ATOMIC_RELEASE);
    victim->body();
}

static inline void *victim_main(void *argument) {
    struct victim *victim = argument;
    COUNTED_SCOPE;
    // With a cancel already pending, the asynchronous type would take effect immediately.
    if (victim->type != PTHREAD_CANCEL_DEFERRED) { pthread_setcanceltype(victim->type, NULL); }
    enter_body(victim);
    return NULL;
}

enum disturbance { CANCELLED_BEFORE, CANCELLED_ASLEEP, CANCELLED_ANYWHERE, ENDED_BY_HANDLER };

/// A fact about how the thread ended, and how many of its scopes were unwound.
static inline void fact_left(const char *what, void (*body)(void), enum disturbance how) {
    handle(SIGUSR1, end_thread);
    cleaned = 0;
    struct victim victim = {
        .body = body,
        .type = how == CANCELLED_ANYWHERE ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED,
        .isCancelledBefore = how == CANCELLED_BEFORE,
    };
    pthread_t thread = start_thread(victim_main, &victim);
    pid_t id;
    while ((id = __atomic_load_n(&victim.id, __ATOMIC_ACQUIRE)) == 0) { sched_yield(); }
    if (how != CANCELLED_BEFORE) {
        struct sleeper sleeper = {.thread = thread, .id = id, .isCancelled = how != ENDED_BY_HANDLER};
        disturb(&sleeper);
    }
    void *result = NULL;
    pthread_join(thread, &result);
    fact(what, "%s, %d scopes left",
        result == PTHREAD_CANCELED ? "cancelled" : result == (void *)77 ? "ended" : "returned", cleaned);
}
