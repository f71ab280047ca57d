// Resources that a program may lack: threads, descriptors, system calls.
#pragma once

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/// A file of `size` known bytes, already open, that every user may access.
static inline int file_for_all(int flags, size_t size, uint64_t seed) {
    int file = new_file(flags, size, seed);
    fchmod(file, 0666);
    return file;
}

/// From now on no thread can be started. The limit does not apply to root, so root becomes a user without other
/// processes.
static inline void refuse_threads(void) {
    if (geteuid() == 0) {
        uid_t user = 60000 + (uid_t)getpid() % 5000;
        if (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0) {
            broken("setresuid");
        }
    }
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) { broken("setrlimit"); }
}

static inline void *nothing(void *argument) { return argument; }

static inline bool can_start_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0) { return false; }
    pthread_join(thread, NULL);
    return true;
}

/// From now on no descriptor can be opened.
static inline void refuse_descriptors(void) {
    struct rlimit limit = {256, 256};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) { broken("setrlimit"); }
    while (dup(0) >= 0) {}
}

/// From now on these system calls fail with this error in all threads.
static inline void refuse_calls(const int *numbers, int count, int error) {
    struct sock_filter filter[64];
    unsigned length = 0;
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int index = 0; index < count; index++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[index], 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)length, .filter = filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) { broken("seccomp"); }
}

static const int ring_calls[] = {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};
static const int newer_calls[] = {SYS_preadv2, SYS_pwritev2, SYS_statx, SYS_memfd_create, SYS_openat2};
