// libc, as far as the drop-in libraries need it: Embedded Swift has no module of it.

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

/// free(3), under a name that Swift's methods do not hide.
static inline void di_free(void *memory) { free(memory); }

/// Whether `count` bytes at `address` lie in the heap that brk(2) makes: memory that is
/// there for sure, readable and writable, so that the kernel need not be asked about it.
_Bool di_is_heap(uintptr_t address, size_t count);

/// An address within the library, that nobody else has.
const void *di_marker(void);
/// Whether they lie in the caller's stack, above it: in the page that it is in, or anywhere in the main thread's. Such
/// memory is there as well.
_Bool di_is_stack(uintptr_t address, size_t count);

/// Processors that the system may have, online or not.
long di_configured_processors(void);

#endif
