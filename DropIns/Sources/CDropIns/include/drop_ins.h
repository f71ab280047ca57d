// The parts of libc that the drop-in libraries need. Embedded Swift has no Glibc module.

#ifndef DROP_INS_H
#define DROP_INS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "last_thread.h"
#include "process_ends.h"
#include "sleeps.h"

/// free(3), under a name that methods in Swift do not shadow.
static inline void di_free(void *memory) { free(memory); }

/// Whether `count` bytes at `address` lie in the heap that brk(2) manages. Such memory is mapped, readable and
/// writable, so that the kernel need not be asked about it.
_Bool di_is_heap(uintptr_t address, size_t count);

/// An address within the library, which nothing else uses.
const void *di_marker(void);
/// Whether `count` bytes at `address` lie in the caller's stack, above the current frame: within the frame's page or,
/// on the main thread, up to the end of the stack. Such memory is mapped, readable and writable.
_Bool di_is_stack(uintptr_t address, size_t count);

/// The number of configured processors, online or not.
long di_configured_processors(void);

#endif
