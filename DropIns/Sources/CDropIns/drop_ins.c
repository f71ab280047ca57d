#define _GNU_SOURCE
#include "drop_ins.h"

#include <unistd.h>

long di_configured_processors(void) {
    long count = sysconf(_SC_NPROCESSORS_CONF);
    return count > 0 ? count : 1;
}

// glibc's own note of the end of the heap; other libraries have none, and then nothing is known to be heap.
extern char *__curbrk __attribute__((weak));

static uintptr_t heap_start;

__attribute__((constructor)) static void note_heap(void) {
    void *end = sbrk(0);
    if (end != (void *)-1) { heap_start = (uintptr_t)end; }
}

_Bool di_is_heap(uintptr_t address, size_t count) {
    if (&__curbrk == NULL || heap_start == 0) { return 0; }
    uintptr_t end = (uintptr_t)__curbrk;
    return address >= heap_start && address < end && count <= end - address;
}
