#define _GNU_SOURCE
#include "last_thread.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// POSIX: when main has ended by pthread_exit(3), the process ends with its last thread, with status 0. libc counts
// threads, and ours live as long as the process: so it would never end. They cannot stay out of that count, since they
// need what libc keeps for a thread (malloc and the locks use it). So once the main thread has ended, which is rare,
// one more of ours looks whether the program has any left. libc's own threads for POSIX AIO end a second after their
// last request, and end those before; so does this.

static pthread_key_t main_key;
static _Bool has_main_key;
/// Processes, since a forked child finds these as they were; 0 for none.
static _Atomic pid_t main_ended_in, started_threads_in, watched_in;

static void *watch(void *unused);

static void start_watch(void) {
    pid_t process = getpid(), before = atomic_load(&watched_in);
    if (before == process || !atomic_compare_exchange_strong(&watched_in, &before, process)) { return; }
    sigset_t all, kept;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch, NULL) == 0) {
        pthread_detach(thread);
    } else {
        atomic_store(&watched_in, 0);
    }
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
}

/// The destructor of a value that the main thread alone has: exit(3) does not call it, pthread_exit(3) does.
static void main_ends(void *unused) {
    (void)unused;
    // Sequentially consistent, here and below: one of the two sees what the other stores.
    atomic_store(&main_ended_in, getpid());
    if (atomic_load(&started_threads_in) == getpid()) { start_watch(); }
}

/// To be called on the main thread, if it can be had.
static void note_main_thread(void) {
    if (has_main_key && gettid() == getpid()) { pthread_setspecific(main_key, &main_key); }
}

__attribute__((constructor)) static void make_key(void) {
    has_main_key = pthread_key_create(&main_key, main_ends) == 0;
    note_main_thread();
}

void drop_in_starts_threads(void) {
    // A child's main thread may have been another in its parent.
    note_main_thread();
    atomic_store(&started_threads_in, getpid());
    if (atomic_load(&main_ended_in) == getpid()) { start_watch(); }
}

/// Whether a thread is there, and neither ours nor the kernel's for an io_uring.
static _Bool is_programs(pid_t thread) {
    char text[512];
    snprintf(text, sizeof text, "/proc/self/task/%d/stat", thread);
    int file = open(text, O_RDONLY | O_CLOEXEC);
    // What cannot be known may be one.
    if (file < 0) { return errno != ENOENT; }
    ssize_t count = read(file, text, sizeof text - 1);
    if (count < 0) { count = errno == ESRCH ? 0 : -1; }
    close(file);
    if (count <= 0) { return count < 0; }
    text[count] = 0;
    // proc(5): the number, the name in parentheses, which may hold anything, and the state. The main thread stays,
    // ended.
    const char *name = strchr(text, '('), *end = strrchr(text, ')');
    if (!name || !end) { return 1; }
    name++;
    if (strchr("ZX", end[2])) { return 0; }
    const char *others[] = {DROP_IN_THREAD, "iou-wrk-", "iou-sqp-"};
    for (int index = 0; index < 3; index++) {
        if (strncmp(name, others[index], strlen(others[index])) == 0) { return 0; }
    }
    return 1;
}

/// A thread of the program's; 0 if there is none, -1 if that cannot be known.
static pid_t find_programs_thread(void) {
    DIR *folder = opendir("/proc/self/task");
    if (!folder) { return -1; }
    pid_t found = 0;
    struct dirent *entry;
    while (!found && (entry = readdir(folder))) {
        pid_t thread = (pid_t)atoi(entry->d_name);
        if (thread > 0 && is_programs(thread)) { found = thread; }
    }
    closedir(folder);
    return found;
}

/// Exported, for the other drop-in library, which may be loaded as well.
__attribute__((used)) _Bool is_idle_for_others(void) __asm__("aio_drop_in_is_idle@@");
_Bool is_idle_for_others(void) { return drop_in_has_nothing_in_flight(); }

static _Bool is_idle(void) {
    void *const handles[] = {RTLD_DEFAULT, RTLD_NEXT};
    for (int index = 0; index < 2; index++) {
        _Bool (*ask)(void) = (_Bool (*)(void))dlsym(handles[index], "aio_drop_in_is_idle");
        if (ask && !ask()) { return 0; }
    }
    return drop_in_has_nothing_in_flight();
}

static void *watch(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), DROP_IN_THREAD "-end");
    pid_t thread = 0;
    int idle_count = 0;
    // From a millisecond to a quarter of a second, as it takes longer.
    struct timespec interval = {0, 1000000};
    while (1) {
        nanosleep(&interval, NULL);
        if (interval.tv_nsec < 250000000) { interval.tv_nsec *= 2; }
        // The one found last, as long as there is that one.
        if (thread <= 0 || !is_programs(thread)) { thread = find_programs_thread(); }
        // Twice: a thread that starts another and ends may not have been seen, nor the other.
        idle_count = thread == 0 && is_idle() ? idle_count + 1 : 0;
        if (idle_count == 2) { exit(0); }
        if (idle_count == 1) { interval.tv_nsec = 1000000; }
    }
    return NULL;
}
