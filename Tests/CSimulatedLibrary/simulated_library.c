#define _GNU_SOURCE
#include "simulated_library.h"

#include "simulated_process.h"
#include "system_call.h"

bool sl_is_simulated(void) { return ch_current_host() != NULL; }

long sl_system_call(long number, long a, long b, long c, long d, long e, long f) {
    return ch_current_host() != NULL ? ch_call(number, a, b, c, d, e, f) : ck_system_call_6(number, a, b, c, d, e, f);
}

#ifdef CH_HAS_SANITIZER

bool sl_is_linked(void) { return false; }

#else

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

bool sl_is_linked(void) { return true; }

// The result as the C library gives it. Here `syscall` is the real kernel's.
static long call(long number, long a, long b, long c, long d, long e, long f) {
    if (!sl_is_simulated()) return syscall(number, a, b, c, d, e, f);
    long result = ch_call(number, a, b, c, d, e, f);
    if (result >= 0 || result < -4095) return result;
    errno = (int)-result;
    return -1;
}

#define CALL0(n) call(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) call(n, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) call(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(n, a, b, c, d) call(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(n, a, b, c, d, e) call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define CALL6(n, a, b, c, d, e, f) call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

// MARK: Opening and closing

struct how {
    uint64_t flags, mode, resolve;
};

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    if (!sl_is_simulated()) return (int)CALL4(SYS_openat, directory, path, flags, mode);
    struct how how = {(uint64_t)(unsigned)flags, mode & 07777, 0};
    return (int)CALL4(SYS_openat2, directory, path, &how, sizeof how);
}

#define MODE_ARGUMENT(flags)                       \
    mode_t mode = 0;                               \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list list;                              \
        va_start(list, flags);                     \
        mode = va_arg(list, mode_t);               \
        va_end(list);                              \
    }

int open(const char *path, int flags, ...) {
    MODE_ARGUMENT(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE_ARGUMENT(flags)
    return open_at(directory, path, flags, mode);
}

int close(int descriptor) { return (int)CALL1(SYS_close, descriptor); }
int dup2(int descriptor, int number) {
    if (descriptor == number) return fcntl(descriptor, F_GETFD, 0) < 0 ? -1 : number;
    return (int)CALL3(SYS_dup3, descriptor, number, 0);
}
int dup(int descriptor) { return (int)CALL3(SYS_fcntl, descriptor, F_DUPFD, 0); }
int pipe2(int ends[2], int flags) { return (int)CALL2(SYS_pipe2, ends, flags); }
int pipe(int ends[2]) { return pipe2(ends, 0); }

int fcntl(int descriptor, int command, ...) {
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return (int)CALL3(SYS_fcntl, descriptor, command, argument);
}

int ioctl(int descriptor, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    long argument = va_arg(list, long);
    va_end(list);
    return (int)CALL3(SYS_ioctl, descriptor, request, argument);
}

// MARK: Reading and writing

ssize_t read(int d, void *bytes, size_t count) { return CALL3(SYS_read, d, bytes, count); }
ssize_t write(int d, const void *bytes, size_t count) { return CALL3(SYS_write, d, bytes, count); }
ssize_t readv(int d, const struct iovec *vectors, int count) { return CALL3(SYS_readv, d, vectors, count); }
ssize_t writev(int d, const struct iovec *vectors, int count) { return CALL3(SYS_writev, d, vectors, count); }
ssize_t pread(int d, void *bytes, size_t count, off_t o) { return CALL4(SYS_pread64, d, bytes, count, o); }
ssize_t pwrite(int d, const void *bytes, size_t count, off_t o) { return CALL4(SYS_pwrite64, d, bytes, count, o); }
off_t lseek(int d, off_t offset, int whence) { return CALL3(SYS_lseek, d, offset, whence); }
int ftruncate(int d, off_t size) { return (int)CALL2(SYS_ftruncate, d, size); }
int fsync(int d) { return (int)CALL1(SYS_fsync, d); }
int fdatasync(int d) { return (int)CALL1(SYS_fdatasync, d); }

int truncate(const char *path, off_t size) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    int result = ftruncate(descriptor, size), error = errno;
    close(descriptor);
    errno = error;
    return result;
}

int posix_fadvise(int d, off_t offset, off_t count, int advice) {
    int before = errno;
    long result = CALL4(SYS_fadvise64, d, offset, count, advice);
    int error = result < 0 ? errno : 0;
    errno = before;
    return error;
}

// MARK: Names

int mkdirat(int d, const char *path, mode_t mode) { return (int)CALL3(SYS_mkdirat, d, path, mode); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int unlinkat(int d, const char *path, int flags) { return (int)CALL3(SYS_unlinkat, d, path, flags); }
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int rename(const char *from, const char *to) { return (int)CALL5(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int link(const char *from, const char *to) { return (int)CALL5(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); }
int symlink(const char *target, const char *path) { return (int)CALL3(SYS_symlinkat, target, AT_FDCWD, path); }
int mknod(const char *path, mode_t mode, dev_t device) {
    return (int)CALL4(SYS_mknodat, AT_FDCWD, path, mode, device);
}
int mkfifo(const char *path, mode_t mode) { return mknod(path, (mode & 07777) | S_IFIFO, 0); }
ssize_t readlink(const char *restrict path, char *restrict bytes, size_t count) {
    return CALL4(SYS_readlinkat, AT_FDCWD, path, bytes, count);
}

// A lookup of the name, by root: permissions are no matter.
int access(const char *path, int mode) {
    if (!sl_is_simulated()) return (int)CALL3(SYS_faccessat, AT_FDCWD, path, mode);
    struct stat status;
    return stat(path, &status);
}

static const char temporary_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

static void fill_template(char *name) {
    uint64_t random = 0;
    syscall(SYS_getrandom, &random, sizeof random, 0);
    for (char *letter = name + strlen(name) - 6; *letter; letter++, random /= 36)
        *letter = temporary_letters[random % 36];
}

char *mkdtemp(char *name) {
    for (int attempt = 0; attempt < 100; attempt++) {
        fill_template(name);
        if (mkdir(name, 0700) == 0) return name;
        if (errno != EEXIST) return NULL;
    }
    return NULL;
}

int mkstemp(char *name) {
    for (int attempt = 0; attempt < 100; attempt++) {
        fill_template(name);
        int descriptor = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (descriptor >= 0 || errno != EEXIST) return descriptor;
    }
    return -1;
}

// MARK: Metadata

int fchmod(int d, mode_t mode) { return (int)CALL2(SYS_fchmod, d, mode); }
int chmod(const char *path, mode_t mode) { return (int)CALL3(SYS_fchmodat, AT_FDCWD, path, mode); }
int fchown(int d, uid_t user, gid_t group) { return (int)CALL3(SYS_fchown, d, user, group); }
int chown(const char *path, uid_t user, gid_t group) {
    return (int)CALL5(SYS_fchownat, AT_FDCWD, path, user, group, 0);
}
int lchown(const char *path, uid_t user, gid_t group) {
    return (int)CALL5(SYS_fchownat, AT_FDCWD, path, user, group, AT_SYMLINK_NOFOLLOW);
}
int utimensat(int d, const char *path, const struct timespec times[2], int flags) {
    return (int)CALL4(SYS_utimensat, d, path, times, flags);
}
int futimens(int d, const struct timespec times[2]) { return (int)CALL4(SYS_utimensat, d, NULL, times, 0); }

static int status_of(int directory, const char *path, struct stat *status, int flags) {
    struct statx found;
    if (CALL5(SYS_statx, directory, path, flags, STATX_BASIC_STATS, &found) != 0) return -1;
    memset(status, 0, sizeof *status);
    status->st_dev = makedev(found.stx_dev_major, found.stx_dev_minor);
    status->st_rdev = makedev(found.stx_rdev_major, found.stx_rdev_minor);
    status->st_ino = found.stx_ino;
    status->st_mode = found.stx_mode;
    status->st_nlink = found.stx_nlink;
    status->st_uid = found.stx_uid;
    status->st_gid = found.stx_gid;
    status->st_size = (off_t)found.stx_size;
    status->st_blksize = (blksize_t)found.stx_blksize;
    status->st_blocks = (blkcnt_t)found.stx_blocks;
    status->st_atim = (struct timespec){found.stx_atime.tv_sec, found.stx_atime.tv_nsec};
    status->st_mtim = (struct timespec){found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec};
    status->st_ctim = (struct timespec){found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec};
    return 0;
}

int fstat(int d, struct stat *status) { return status_of(d, "", status, AT_EMPTY_PATH); }
int stat(const char *restrict path, struct stat *restrict status) { return status_of(AT_FDCWD, path, status, 0); }
int lstat(const char *restrict path, struct stat *restrict status) {
    return status_of(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}

mode_t umask(mode_t mask) { return (mode_t)CALL1(SYS_umask, mask); }

int statvfs(const char *restrict path, struct statvfs *restrict status) {
    struct statfs found;
    if (CALL2(SYS_statfs, path, &found) != 0) return -1;
    memset(status, 0, sizeof *status);
    status->f_bsize = (unsigned long)found.f_bsize;
    status->f_frsize = (unsigned long)(found.f_frsize != 0 ? found.f_frsize : found.f_bsize);
    status->f_blocks = found.f_blocks;
    status->f_bfree = found.f_bfree;
    status->f_bavail = found.f_bavail;
    status->f_files = found.f_files;
    status->f_ffree = found.f_ffree;
    status->f_favail = found.f_ffree;
    status->f_namemax = (unsigned long)found.f_namelen;
    // ST_RDONLY to ST_RELATIME are the bits of statfs(2); ST_VALID (32) is the kernel's alone.
    status->f_flag = (unsigned long)found.f_flags & ~32ul;
    return 0;
}

// MARK: The process

int sched_yield(void) { return (int)CALL0(SYS_sched_yield); }
int getrlimit(__rlimit_resource_t resource, struct rlimit *limit) {
    return (int)CALL4(SYS_prlimit64, 0, resource, NULL, limit);
}
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
    return (int)CALL4(SYS_prlimit64, 0, resource, limit, NULL);
}

// MARK: Directories

// Told from the C library's by its first word, which there is a small number.
static const uint64_t directory_mark = 0x5af7d1a3c0de5eedu;

struct simulated_directory {
    uint64_t mark;
    int descriptor;
    long position, count;
    char bytes[4096];
};

static void *next_function(const char *name);

DIR *opendir(const char *path) {
    if (!sl_is_simulated()) return ((DIR * (*)(const char *)) next_function("opendir"))(path);
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return descriptor < 0 ? NULL : fdopendir(descriptor);
}

DIR *fdopendir(int descriptor) {
    if (!sl_is_simulated()) return ((DIR * (*)(int)) next_function("fdopendir"))(descriptor);
    struct simulated_directory *directory = calloc(1, sizeof *directory);
    directory->mark = directory_mark;
    directory->descriptor = descriptor;
    return (DIR *)directory;
}

static struct simulated_directory *simulated(DIR *directory) {
    struct simulated_directory *simulated = (struct simulated_directory *)directory;
    return simulated->mark == directory_mark ? simulated : NULL;
}

struct dirent *readdir(DIR *opened) {
    struct simulated_directory *directory = simulated(opened);
    if (directory == NULL) return ((struct dirent * (*)(DIR *)) next_function("readdir"))(opened);
    if (directory->position >= directory->count) {
        directory->count = CALL3(SYS_getdents64, directory->descriptor, directory->bytes, sizeof directory->bytes);
        directory->position = 0;
        if (directory->count <= 0) return NULL;
    }
    struct dirent *entry = (struct dirent *)(directory->bytes + directory->position);
    directory->position += entry->d_reclen;
    return entry;
}

int closedir(DIR *opened) {
    struct simulated_directory *directory = simulated(opened);
    if (directory == NULL) return ((int (*)(DIR *))next_function("closedir"))(opened);
    int result = close(directory->descriptor);
    free(directory);
    return result;
}

// MARK: Sockets

int socket(int domain, int type, int protocol) { return (int)CALL3(SYS_socket, domain, type, protocol); }
int socketpair(int domain, int type, int protocol, int ends[2]) {
    return (int)CALL4(SYS_socketpair, domain, type, protocol, ends);
}
int bind(int d, const struct sockaddr *name, socklen_t count) { return (int)CALL3(SYS_bind, d, name, count); }
int listen(int d, int backlog) { return (int)CALL2(SYS_listen, d, backlog); }
int connect(int d, const struct sockaddr *name, socklen_t count) { return (int)CALL3(SYS_connect, d, name, count); }
int accept4(int d, struct sockaddr *restrict name, socklen_t *restrict count, int flags) {
    return (int)CALL4(SYS_accept4, d, name, count, flags);
}
int accept(int d, struct sockaddr *restrict name, socklen_t *restrict count) { return accept4(d, name, count, 0); }
int shutdown(int d, int how) { return (int)CALL2(SYS_shutdown, d, how); }
int getsockname(int d, struct sockaddr *restrict name, socklen_t *restrict count) {
    return (int)CALL3(SYS_getsockname, d, name, count);
}
int getpeername(int d, struct sockaddr *restrict name, socklen_t *restrict count) {
    return (int)CALL3(SYS_getpeername, d, name, count);
}
int getsockopt(int d, int level, int option, void *restrict value, socklen_t *restrict count) {
    return (int)CALL5(SYS_getsockopt, d, level, option, value, count);
}
int setsockopt(int d, int level, int option, const void *value, socklen_t count) {
    return (int)CALL5(SYS_setsockopt, d, level, option, value, count);
}
ssize_t sendto(int d, const void *bytes, size_t count, int flags, const struct sockaddr *name, socklen_t size) {
    return CALL6(SYS_sendto, d, bytes, count, flags, name, size);
}
ssize_t recvfrom(int d, void *restrict bytes, size_t count, int flags, struct sockaddr *restrict name,
                 socklen_t *restrict size) {
    return CALL6(SYS_recvfrom, d, bytes, count, flags, name, size);
}
ssize_t send(int d, const void *bytes, size_t count, int flags) { return sendto(d, bytes, count, flags, NULL, 0); }
ssize_t recv(int d, void *bytes, size_t count, int flags) { return recvfrom(d, bytes, count, flags, NULL, NULL); }
ssize_t sendmsg(int d, const struct msghdr *message, int flags) { return CALL3(SYS_sendmsg, d, message, flags); }
ssize_t recvmsg(int d, struct msghdr *message, int flags) { return CALL3(SYS_recvmsg, d, message, flags); }

int poll(struct pollfd *descriptors, nfds_t count, int milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    return (int)CALL5(SYS_ppoll, descriptors, count, milliseconds < 0 ? NULL : &time, NULL, 8);
}

// MARK: The C library's own functions

#include <dlfcn.h>

static void *next_function(const char *name) { return dlsym(RTLD_NEXT, name); }

#endif
