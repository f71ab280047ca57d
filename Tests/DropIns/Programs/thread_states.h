// The states of this process' threads, as the kernel tells them.
#pragma once

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// As in proc_pid_stat(5): R for one that runs, S for one that sleeps, and so on; 0 if it has ended.
static inline char thread_state(pid_t thread) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE *file = fopen(path, "re");
    if (!file) { return 0; }
    char *found = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return found ? found[2] : 0;
}

/// Waits until a thread of this process sleeps in the kernel. Returns false if the thread has ended.
static inline bool waits_in_kernel(pid_t thread) {
    while (true) {
        char state = thread_state(thread);
        if (state == 'S' || state == 0) { return state == 'S'; }
        sched_yield();
    }
}

static inline bool others_are_idle(void) {
    DIR *folder = opendir("/proc/self/task");
    if (!folder) { return false; }
    bool are_idle = true;
    for (struct dirent *entry; are_idle && (entry = readdir(folder));) {
        pid_t thread = atoi(entry->d_name);
        char state = thread > 0 && thread != gettid() ? thread_state(thread) : 0;
        are_idle = state != 'R' && state != 'D';
    }
    closedir(folder);
    return are_idle;
}

/// Waits until each other thread sleeps or has ended. Twice in a row, since one that was still running may have woken
/// one that had been looked at before.
static inline void let_others_go_on(void) {
    for (int count = 0; count < 2; sched_yield()) { count = others_are_idle() ? count + 1 : 0; }
}
