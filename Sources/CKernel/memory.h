// Memory mappings.

#ifndef CK_MEMORY_H
#define CK_MEMORY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

// mmap(2)
static const int32_t CK_PROT_READ = 1;
static const int32_t CK_PROT_WRITE = 2;
static const int32_t CK_MAP_SHARED = 0x01;
static const int32_t CK_MAP_PRIVATE = 0x02;
static const int32_t CK_MAP_ANONYMOUS = 0x20;
static const int32_t CK_MAP_POPULATE = 0x8000;

// mremap(2)
static const int32_t CK_MREMAP_MAYMOVE = 1;
static const int32_t CK_MREMAP_FIXED = 2;

// madvise(2)
static const int32_t CK_MADV_DONTFORK = 10;
static const int32_t CK_MADV_WIPEONFORK = 18;

// memfd_create(2)
static const uint32_t CK_MFD_CLOEXEC = 1;

// munmap(2): 0 or a negative errno. libc's errno stays as it was.
//
// By libc's function, because ThreadSanitizer intercepts it. After a raw system call the sanitizer would report the first use
// of a later mapping at the same address as a race with the last use of this one.
static inline long ck_munmap(void *start, size_t count) {
    int before = errno;
    long result = munmap(start, count) == 0 ? 0 : -errno;
    errno = before;
    return result;
}

#endif
