// Files: structures and flags of openat2, statx, preadv2 and their like, under names of our own so
// that they neither clash with the installed headers nor depend on their age.

#ifndef CK_FILES_H
#define CK_FILES_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

// openat2(2)
struct ck_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

static const int32_t CK_AT_FDCWD = -100;
static const int32_t CK_AT_EMPTY_PATH = 0x1000;
static const int32_t CK_AT_SYMLINK_NOFOLLOW = 0x100;
static const int32_t CK_AT_REMOVEDIR = 0x200;
static const int32_t CK_AT_SYMLINK_FOLLOW = 0x400;
static const int32_t CK_AT_NO_AUTOMOUNT = 0x800;
static const int32_t CK_AT_STATX_DONT_SYNC = 0x4000;

static const uint64_t CK_O_ACCMODE = 3;
static const uint64_t CK_O_RDONLY = 0;
static const uint64_t CK_O_WRONLY = 1;
static const uint64_t CK_O_RDWR = 2;
static const uint64_t CK_O_CREAT = 0100;
static const uint64_t CK_O_EXCL = 0200;
static const uint64_t CK_O_NOCTTY = 0400;
static const uint64_t CK_O_TRUNC = 01000;
static const uint64_t CK_O_APPEND = 02000;
static const uint64_t CK_O_NONBLOCK = 04000;
static const uint64_t CK_O_DSYNC = 010000;
static const uint64_t CK_O_SYNC = 04010000;
static const uint64_t CK_O_PATH = 010000000;
static const uint64_t CK_O_CLOEXEC = 02000000;
#if defined(__aarch64__)
static const uint64_t CK_O_DIRECT = 0200000;
static const uint64_t CK_O_DIRECTORY = 040000;
static const uint64_t CK_O_NOFOLLOW = 0100000;
#else
static const uint64_t CK_O_DIRECT = 040000;
static const uint64_t CK_O_DIRECTORY = 0200000;
static const uint64_t CK_O_NOFOLLOW = 0400000;
#endif

// To be combined with CK_O_DIRECTORY, whose value is the architecture's.
static const uint64_t CK_O_TMPFILE = 020000000;

static const uint64_t CK_RESOLVE_NO_XDEV = 0x01;
static const uint64_t CK_RESOLVE_NO_MAGICLINKS = 0x02;
static const uint64_t CK_RESOLVE_NO_SYMLINKS = 0x04;
static const uint64_t CK_RESOLVE_BENEATH = 0x08;
static const uint64_t CK_RESOLVE_IN_ROOT = 0x10;
// Since 5.12: only what the directory cache has; else EAGAIN.
static const uint64_t CK_RESOLVE_CACHED = 0x20;

// renameat2(2)
static const uint32_t CK_RENAME_NOREPLACE = 1;
static const uint32_t CK_RENAME_EXCHANGE = 2;

// setxattr(2)
static const int32_t CK_XATTR_CREATE = 1;
static const int32_t CK_XATTR_REPLACE = 2;
static const int32_t CK_XATTR_SIZE_MAX = 65536;

// utimensat(2): in place of nanoseconds
static const int64_t CK_UTIME_NOW = 0x3fffffff;
static const int64_t CK_UTIME_OMIT = 0x3ffffffe;

// lseek(2)
static const int32_t CK_SEEK_SET = 0;
static const int32_t CK_SEEK_CUR = 1;
static const int32_t CK_SEEK_END = 2;
static const int32_t CK_SEEK_DATA = 3;
static const int32_t CK_SEEK_HOLE = 4;

// getdents64(2): `name` follows, NUL-terminated
struct ck_directory_entry {
    uint64_t inode;
    int64_t position;
    uint16_t size;
    uint8_t type;
};
static const int32_t CK_DIRECTORY_ENTRY_NAME_OFFSET = 19;
static const uint8_t CK_DT_UNKNOWN = 0;
static const uint8_t CK_DT_FIFO = 1;
static const uint8_t CK_DT_CHR = 2;
static const uint8_t CK_DT_DIR = 4;
static const uint8_t CK_DT_BLK = 6;
static const uint8_t CK_DT_REG = 8;
static const uint8_t CK_DT_LNK = 10;
static const uint8_t CK_DT_SOCK = 12;

// ioctl_ficlone(2): _IOW(0x94, 9, int)
static const uint64_t CK_FICLONE = 0x40049409;

// fcntl(2), F_OFD_GETLK and F_OFD_SETLK
struct ck_flock {
    int16_t type;
    int16_t whence;
    int64_t start;
    int64_t length;
    int32_t process;
};
static const int16_t CK_F_RDLCK = 0;
static const int16_t CK_F_WRLCK = 1;
static const int16_t CK_F_UNLCK = 2;
static const int32_t CK_F_OFD_GETLK = 36;
static const int32_t CK_F_OFD_SETLK = 37;

static const int32_t CK_F_GETFL = 3;
static const int32_t CK_F_SETFL = 4;
static const int32_t CK_F_DUPFD_QUERY = 1027;
// kcmp(2)
static const int32_t CK_KCMP_FILE = 0;
static const int32_t CK_KCMP_FILES = 2;
static const int32_t CK_F_DUPFD_CLOEXEC = 1030;

// statx(2)
struct ck_statx_timestamp {
    int64_t seconds;
    uint32_t nanoseconds;
    int32_t reserved;
};

struct ck_statx {
    uint32_t mask;
    uint32_t block_size;
    uint64_t attributes;
    uint32_t link_count;
    uint32_t user;
    uint32_t group;
    uint16_t mode;
    uint16_t spare0;
    uint64_t inode;
    uint64_t size;
    uint64_t blocks;
    uint64_t attributes_mask;
    struct ck_statx_timestamp access_time;
    struct ck_statx_timestamp birth_time;
    struct ck_statx_timestamp change_time;
    struct ck_statx_timestamp modification_time;
    uint32_t special_device_major;
    uint32_t special_device_minor;
    uint32_t device_major;
    uint32_t device_minor;
    uint64_t mount_id;
    uint32_t direct_memory_alignment;
    uint32_t direct_offset_alignment;
    uint64_t subvolume;
    uint32_t atomic_write_unit_min;
    uint32_t atomic_write_unit_max;
    uint32_t atomic_write_segments_max;
    uint32_t direct_read_offset_alignment;
    uint32_t atomic_write_unit_max_opt;
    uint32_t spare2;
    uint64_t spare3[8];
};
_Static_assert(sizeof(struct ck_statx) == 256, "struct statx is 256 bytes in the kernel's ABI");

// statmount(2)
struct ck_mount_request {
    uint32_t size;
    uint32_t spare;
    uint64_t mount_id;
    uint64_t mask;
};
_Static_assert(sizeof(struct ck_mount_request) == 24, "the first size of struct mnt_id_req in the kernel's ABI");

struct ck_mount_status {
    uint32_t size;
    uint32_t options;
    uint64_t mask;
    uint32_t device_major;
    uint32_t device_minor;
    uint64_t type;
    uint64_t more[60];
};
_Static_assert(sizeof(struct ck_mount_status) == 512, "struct statmount is 512 bytes in the kernel's ABI");

static const uint64_t CK_STATMOUNT_SB_BASIC = 0x1;

static const uint32_t CK_STATX_MNT_ID_UNIQUE = 0x4000;
static const uint32_t CK_STATX_TYPE = 0x1;
static const uint32_t CK_STATX_NLINK = 0x4;
static const uint32_t CK_STATX_INO = 0x100;
static const uint32_t CK_STATX_SIZE = 0x200;
static const uint32_t CK_STATX_BASIC_STATS = 0x7ff;
static const uint32_t CK_STATX_BTIME = 0x800;
static const uint32_t CK_STATX_DIOALIGN = 0x2000;
static const uint32_t CK_STATX_WRITE_ATOMIC = 0x10000;

static const uint16_t CK_S_IFMT = 0170000;
static const uint16_t CK_S_IFSOCK = 0140000;
static const uint16_t CK_S_IFREG = 0100000;
static const uint16_t CK_S_IFLNK = 0120000;
static const uint16_t CK_S_IFBLK = 0060000;
static const uint16_t CK_S_IFDIR = 0040000;
static const uint16_t CK_S_IFCHR = 0020000;
static const uint16_t CK_S_IFIFO = 0010000;

// preadv2(2), pwritev2(2)
static const uint32_t CK_RWF_HIPRI = 0x01;
static const uint32_t CK_RWF_DSYNC = 0x02;
static const uint32_t CK_RWF_SYNC = 0x04;
static const uint32_t CK_RWF_NOWAIT = 0x08;
static const uint32_t CK_RWF_APPEND = 0x10;
static const uint32_t CK_RWF_NOAPPEND = 0x20;
static const uint32_t CK_RWF_ATOMIC = 0x40;
static const uint32_t CK_RWF_DONTCACHE = 0x80;

// fallocate(2)
static const int32_t CK_FALLOC_FL_KEEP_SIZE = 0x01;
static const int32_t CK_FALLOC_FL_PUNCH_HOLE = 0x02;
static const int32_t CK_FALLOC_FL_COLLAPSE_RANGE = 0x08;
static const int32_t CK_FALLOC_FL_ZERO_RANGE = 0x10;
static const int32_t CK_FALLOC_FL_INSERT_RANGE = 0x20;

// sync_file_range(2)
static const uint32_t CK_SYNC_FILE_RANGE_WAIT_BEFORE = 1;
static const uint32_t CK_SYNC_FILE_RANGE_WRITE = 2;
static const uint32_t CK_SYNC_FILE_RANGE_WAIT_AFTER = 4;

// posix_fadvise(2)
static const int32_t CK_FADV_NORMAL = 0;
static const int32_t CK_FADV_RANDOM = 1;
static const int32_t CK_FADV_SEQUENTIAL = 2;
static const int32_t CK_FADV_WILLNEED = 3;
static const int32_t CK_FADV_DONTNEED = 4;
static const int32_t CK_FADV_NOREUSE = 5;

// statfs(2)
struct ck_statfs {
    int64_t type;
    int64_t block_size;
    uint64_t blocks;
    uint64_t blocks_free;
    uint64_t blocks_available;
    uint64_t files;
    uint64_t files_free;
    int32_t id[2];
    int64_t name_length_max;
    int64_t fragment_size;
    int64_t flags;
    int64_t spare[4];
};
_Static_assert(sizeof(struct ck_statfs) == 120, "struct statfs is 120 bytes in the kernel's ABI");

// statfs(2), linux/magic.h: file systems in memory
static const uint32_t CK_TMPFS_MAGIC = 0x01021994;
static const uint32_t CK_RAMFS_MAGIC = 0x858458f6;
// and those with another machine, or a program, behind them
static const uint32_t CK_FUSE_SUPER_MAGIC = 0x65735546;
static const uint32_t CK_NFS_SUPER_MAGIC = 0x6969;
static const uint32_t CK_CIFS_SUPER_MAGIC = 0xff534d42;
static const uint32_t CK_SMB2_SUPER_MAGIC = 0xfe534d42;
static const uint32_t CK_V9FS_MAGIC = 0x01021997;
static const uint32_t CK_CEPH_SUPER_MAGIC = 0x00c36400;
static const uint32_t CK_AFS_SUPER_MAGIC = 0x5346414f;
static const uint32_t CK_CODA_SUPER_MAGIC = 0x73757245;
static const uint32_t CK_LUSTRE_SUPER_MAGIC = 0x0bd00bd0;
static const int64_t CK_ST_RDONLY = 1;

// cachestat(2)
struct ck_cachestat_range {
    uint64_t offset;
    uint64_t count;
};

struct ck_cachestat {
    uint64_t cached;
    uint64_t dirty;
    uint64_t under_writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

// prlimit64(2)
struct ck_rlimit {
    uint64_t soft;
    uint64_t hard;
};
static const int32_t CK_RLIMIT_FSIZE = 1;
static const int32_t CK_RLIMIT_NOFILE = 7;
static const int32_t CK_RLIMIT_MEMLOCK = 8;

// getrusage(2)
struct ck_timeval {
    int64_t seconds;
    int64_t microseconds;
};

struct ck_rusage {
    struct ck_timeval user;
    struct ck_timeval system;
    int64_t other[14];
};
_Static_assert(sizeof(struct ck_rusage) == 144, "struct rusage is 144 bytes in the kernel's ABI");
static const int32_t CK_RUSAGE_SELF = 0;

// uname(2)
struct ck_utsname {
    char system[65];
    char node[65];
    char release[65];
    char version[65];
    char machine[65];
    char domain[65];
};

#endif
