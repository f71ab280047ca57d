#define _GNU_SOURCE
#include "drop_ins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const void *di_marker(void) {
    static const char marker;
    return &marker;
}

long di_configured_processors(void) {
    long count = sysconf(_SC_NPROCESSORS_CONF);
    return count > 0 ? count : 1;
}

// glibc's record of the program break. Other C libraries have none, and then no memory counts as heap.
extern char *__curbrk __attribute__((weak));

/// Reads the start of the heap, field 47 of /proc/thread-self/stat (proc(5)). UINTPTR_MAX if it cannot be read.
static uintptr_t find_heap_start(void) {
    char text[2048];
    int file = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);
    if (file < 0) { return UINTPTR_MAX; }
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count <= 0) { return UINTPTR_MAX; }
    text[count] = 0;
    // The second field is the name in parentheses, which may contain any character.
    const char *place = strrchr(text, ')');
    for (int field = 2; field < 47; field++) { place = place ? strchr(place + 1, ' ') : NULL; }
    uintptr_t start = place ? strtoul(place, NULL, 10) : 0;
    return start ? start : UINTPTR_MAX;
}

// The end of the main thread's stack. A glibc symbol, like __curbrk.
extern void *__libc_stack_end __attribute__((weak));

_Bool di_is_stack(uintptr_t address, size_t count) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), end = (here | 4095) + 1;
    if (&__libc_stack_end != NULL) {
        // On the main thread's stack: mmap(2) leaves a larger gap below it than this distance.
        uintptr_t top = (uintptr_t)__libc_stack_end;
        if (here < top && top - here < 1 << 20) { end = top; }
    }
    return address >= here && address < end && count <= end - address;
}

/// Determined on first use; 0 before. Relaxed: threads that determine it at the same time store the same value.
static _Atomic uintptr_t heap_start;

_Bool di_is_heap(uintptr_t address, size_t count) {
    if (&__curbrk == NULL) { return 0; }
    uintptr_t start = atomic_load_explicit(&heap_start, memory_order_relaxed);
    if (start == 0) {
        int kept = errno;
        // open(2) and read(2) are cancellation points, but the Linux AIO calls are not.
        int state;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        start = find_heap_start();
        pthread_setcancelstate(state, NULL);
        errno = kept;
        atomic_store_explicit(&heap_start, start, memory_order_relaxed);
    }
    uintptr_t end = (uintptr_t)__curbrk;
    return address >= start && address < end && count <= end - address;
}
