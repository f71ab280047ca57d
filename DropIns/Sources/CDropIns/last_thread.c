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

// POSIX: after main has ended by pthread_exit(3), the process ends with its last thread, with status 0. libc implements
// this by a count of threads. The library's threads live as long as the process and would keep the count above zero.
// They cannot be raw clone(2) threads outside that count, since malloc and the locks rely on libc's per-thread data. So
// once the main thread has ended, which is rare, a watcher thread looks whether the program still has any thread.
// glibc's POSIX AIO threads carry out the remaining requests and exit when they have been idle for a second. The
// watcher likewise waits until nothing is in flight.

static pthread_key_t main_key;
static _Bool has_main_key;
/// Process IDs rather than flags, since a forked child inherits these values. 0 is none.
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

/// The destructor of a thread-specific value that only the main thread has. pthread_exit(3) calls it, exit(3) does not.
static void main_ends(void *unused) {
    (void)unused;
    // Sequentially consistent, here and below: of the two sides, at least one sees the other's store.
    atomic_store(&main_ended_in, getpid());
    if (atomic_load(&started_threads_in) == getpid()) { start_watch(); }
}

/// Sets the main thread's value. Does nothing on any other thread.
static void note_main_thread(void) {
    if (has_main_key && gettid() == getpid()) { pthread_setspecific(main_key, &main_key); }
}

__attribute__((constructor)) static void make_key(void) {
    has_main_key = pthread_key_create(&main_key, main_ends) == 0;
    note_main_thread();
}

void drop_in_starts_threads(void) {
    // The main thread of a forked child may have been another thread in the parent.
    note_main_thread();
    atomic_store(&started_threads_in, getpid());
    if (atomic_load(&main_ended_in) == getpid()) { start_watch(); }
}

/// Whether the thread exists and is neither the library's nor one of the kernel's for an io_uring.
static _Bool is_programs(pid_t thread) {
    char text[512];
    snprintf(text, sizeof text, "/proc/self/task/%d/stat", thread);
    int file = open(text, O_RDONLY | O_CLOEXEC);
    // A thread whose state cannot be read counts as the program's.
    if (file < 0) { return errno != ENOENT; }
    ssize_t count = read(file, text, sizeof text - 1);
    if (count < 0) { count = errno == ESRCH ? 0 : -1; }
    close(file);
    if (count <= 0) { return count < 0; }
    text[count] = 0;
    // proc(5): the number, the name in parentheses, which may contain any character, and the state. An ended main
    // thread remains as a zombie.
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

/// Returns one of the program's threads, 0 if there is none, or -1 if /proc/self/task cannot be read.
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

/// Exported for the other drop-in library, which may be loaded in the same process.
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
    // Polling backs off from a millisecond to some quarter of a second.
    struct timespec interval = {0, 1000000};
    while (1) {
        nanosleep(&interval, NULL);
        if (interval.tv_nsec < 250000000) { interval.tv_nsec *= 2; }
        // Check the thread found last, and search again only when it has ended.
        if (thread <= 0 || !is_programs(thread)) { thread = find_programs_thread(); }
        // Require two idle looks: a scan can miss a thread that starts another and ends, and the new thread as well.
        idle_count = thread == 0 && is_idle() ? idle_count + 1 : 0;
        if (idle_count == 2) { exit(0); }
        if (idle_count == 1) { interval.tv_nsec = 1000000; }
    }
    return NULL;
}
