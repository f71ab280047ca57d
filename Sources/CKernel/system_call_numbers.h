// Numbers of the system calls that are used, by the kernel's own headers where they know them and
// by the kernel's tables where the installed headers are older (the numbers above 423 are the same
// on every architecture).

#ifndef CK_SYSTEM_CALL_NUMBERS_H
#define CK_SYSTEM_CALL_NUMBERS_H

#include <asm/unistd.h>

#define CK_NR(name, number) static const long CK_NR_##name = number

CK_NR(clone, __NR_clone);
CK_NR(close, __NR_close);
CK_NR(dup3, __NR_dup3);
CK_NR(fcntl, __NR_fcntl);
CK_NR(preadv2, __NR_preadv2);
CK_NR(preadv, __NR_preadv);
CK_NR(pwritev, __NR_pwritev);
CK_NR(openat, __NR_openat);
CK_NR(newfstatat, __NR_newfstatat);
CK_NR(pwritev2, __NR_pwritev2);
CK_NR(pread64, __NR_pread64);
CK_NR(pwrite64, __NR_pwrite64);
CK_NR(read, __NR_read);
CK_NR(write, __NR_write);
CK_NR(readv, __NR_readv);
CK_NR(writev, __NR_writev);
CK_NR(fsync, __NR_fsync);
CK_NR(fdatasync, __NR_fdatasync);
CK_NR(sync_file_range, __NR_sync_file_range);
CK_NR(fallocate, __NR_fallocate);
CK_NR(ftruncate, __NR_ftruncate);
CK_NR(fadvise64, __NR_fadvise64);
CK_NR(readahead, __NR_readahead);
CK_NR(unlinkat, __NR_unlinkat);
CK_NR(renameat2, __NR_renameat2);
CK_NR(mkdirat, __NR_mkdirat);
CK_NR(mknodat, __NR_mknodat);
CK_NR(linkat, __NR_linkat);
CK_NR(symlinkat, __NR_symlinkat);
CK_NR(readlinkat, __NR_readlinkat);
CK_NR(fchmod, __NR_fchmod);
CK_NR(fchmodat, __NR_fchmodat);
CK_NR(fchown, __NR_fchown);
CK_NR(fchownat, __NR_fchownat);
CK_NR(utimensat, __NR_utimensat);
CK_NR(statfs, __NR_statfs);
CK_NR(fstatfs, __NR_fstatfs);
CK_NR(getxattr, __NR_getxattr);
CK_NR(lgetxattr, __NR_lgetxattr);
CK_NR(fgetxattr, __NR_fgetxattr);
CK_NR(setxattr, __NR_setxattr);
CK_NR(lsetxattr, __NR_lsetxattr);
CK_NR(fsetxattr, __NR_fsetxattr);
CK_NR(listxattr, __NR_listxattr);
CK_NR(llistxattr, __NR_llistxattr);
CK_NR(flistxattr, __NR_flistxattr);
CK_NR(removexattr, __NR_removexattr);
CK_NR(lremovexattr, __NR_lremovexattr);
CK_NR(fremovexattr, __NR_fremovexattr);
CK_NR(lseek, __NR_lseek);
CK_NR(getdents64, __NR_getdents64);
CK_NR(copy_file_range, __NR_copy_file_range);
CK_NR(ioctl, __NR_ioctl);
CK_NR(process_vm_readv, __NR_process_vm_readv);
CK_NR(mmap, __NR_mmap);
CK_NR(mremap, __NR_mremap);
CK_NR(kcmp, __NR_kcmp);
CK_NR(madvise, __NR_madvise);
CK_NR(epoll_create1, __NR_epoll_create1);
CK_NR(epoll_ctl, __NR_epoll_ctl);
CK_NR(epoll_pwait, __NR_epoll_pwait);
CK_NR(futex, __NR_futex);
CK_NR(rt_sigprocmask, __NR_rt_sigprocmask);
CK_NR(rt_sigpending, __NR_rt_sigpending);
CK_NR(rt_sigtimedwait, __NR_rt_sigtimedwait);
CK_NR(rt_sigqueueinfo, __NR_rt_sigqueueinfo);
CK_NR(rt_tgsigqueueinfo, __NR_rt_tgsigqueueinfo);
CK_NR(kill, __NR_kill);
CK_NR(tgkill, __NR_tgkill);
CK_NR(memfd_create, __NR_memfd_create);
CK_NR(ppoll, __NR_ppoll);
CK_NR(eventfd2, __NR_eventfd2);
CK_NR(timerfd_create, __NR_timerfd_create);
CK_NR(timerfd_settime, __NR_timerfd_settime);
CK_NR(timerfd_gettime, __NR_timerfd_gettime);
CK_NR(socket, __NR_socket);
CK_NR(socketpair, __NR_socketpair);
CK_NR(bind, __NR_bind);
CK_NR(listen, __NR_listen);
CK_NR(accept4, __NR_accept4);
CK_NR(connect, __NR_connect);
CK_NR(getsockopt, __NR_getsockopt);
CK_NR(setsockopt, __NR_setsockopt);
CK_NR(getsockname, __NR_getsockname);
CK_NR(getpeername, __NR_getpeername);
CK_NR(shutdown, __NR_shutdown);
CK_NR(sendto, __NR_sendto);
CK_NR(recvfrom, __NR_recvfrom);
CK_NR(sendmsg, __NR_sendmsg);
CK_NR(recvmsg, __NR_recvmsg);
CK_NR(pipe2, __NR_pipe2);
CK_NR(splice, __NR_splice);
CK_NR(tee, __NR_tee);
CK_NR(signalfd4, __NR_signalfd4);
CK_NR(waitid, __NR_waitid);
CK_NR(inotify_init1, __NR_inotify_init1);
CK_NR(inotify_add_watch, __NR_inotify_add_watch);
CK_NR(io_setup, __NR_io_setup);
CK_NR(io_destroy, __NR_io_destroy);
CK_NR(io_submit, __NR_io_submit);
CK_NR(io_cancel, __NR_io_cancel);
CK_NR(io_getevents, __NR_io_getevents);
CK_NR(io_pgetevents, __NR_io_pgetevents);
CK_NR(gettid, __NR_gettid);
CK_NR(geteuid, __NR_geteuid);
CK_NR(getuid, __NR_getuid);
CK_NR(getpid, __NR_getpid);
CK_NR(prctl, __NR_prctl);
CK_NR(uname, __NR_uname);
CK_NR(prlimit64, __NR_prlimit64);
CK_NR(getrusage, __NR_getrusage);
CK_NR(sched_getaffinity, __NR_sched_getaffinity);
CK_NR(sched_setaffinity, __NR_sched_setaffinity);
CK_NR(statx, 332
#if defined(__aarch64__)
    - 332 + 291
#endif
);

CK_NR(pidfd_send_signal, 424);
CK_NR(io_uring_setup, 425);
CK_NR(io_uring_enter, 426);
CK_NR(io_uring_register, 427);
CK_NR(fsopen, 430);
CK_NR(fsconfig, 431);
CK_NR(fsmount, 432);
CK_NR(pidfd_open, 434);
CK_NR(openat2, 437);
CK_NR(epoll_pwait2, 441);
CK_NR(futex_waitv, 449);
CK_NR(cachestat, 451);
CK_NR(statmount, 457);
CK_NR(fchmodat2, 452);

#undef CK_NR

#endif
