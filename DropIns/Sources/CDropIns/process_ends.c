#define _GNU_SOURCE
#include "process_ends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

__attribute__((constructor)) static void was_loaded(void) { drop_in_was_loaded(); }

// After the program's own atexit functions, which may still use the library.
__attribute__((destructor)) static void process_ends(void) { drop_in_process_ends(); }

const char *drop_in_trusted_environment(const char *name) { return secure_getenv(name); }

const char *drop_in_program_name(void) { return program_invocation_short_name; }

int drop_in_open_for_appending(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
}
