#define _GNU_SOURCE
#include "file_tables.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

// CKernel belongs to the parent package. SwiftPM shows its headers to Swift targets only, hence the relative path.
#include "../../../Sources/CKernel/system_call.h"

typedef int unshare_function(int);

// The interposed function; NULL until this library's constructors have run.
static unshare_function *next_unshare;

__attribute__((constructor)) static void find_next(void) { next_unshare = (unshare_function *)dlsym(RTLD_NEXT, "unshare"); }

// Relaxed: a thread with a table of its own has set the flag itself, or was created by a thread that had.
static atomic_bool has_own_files;

_Bool drop_in_has_own_files(void) { return atomic_load_explicit(&has_own_files, memory_order_relaxed); }

void drop_in_note_own_files(void) { atomic_store_explicit(&has_own_files, 1, memory_order_relaxed); }

int drop_in_unshare(int flags) {
    int result;
    if (next_unshare) {
        result = next_unshare(flags);
    } else {
        long made = ck_system_call_6(SYS_unshare, flags, 0, 0, 0, 0, 0);
        if (made < 0) { errno = (int)-made; }
        result = made < 0 ? -1 : 0;
    }
    if (result == 0 && flags & CLONE_FILES) { drop_in_note_own_files(); }
    return result;
}
