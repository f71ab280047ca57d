// The two ends of a library's life in a process, and what of libc Swift cannot import that is wanted there.

#ifndef PROCESS_ENDS_H
#define PROCESS_ENDS_H

// Swift's, called from process_ends.c: when the library is loaded, and when the process ends by exit(3) or _exit(2),
// the second at any point of the program, also in a signal handler.
void drop_in_was_loaded(void);
void drop_in_process_ends(void);

/// Swift's: the file name of the library, as in the summary.
const char *drop_in_library_name(void);

/// getenv(3), but nothing in a process that has more rights than its user: a summary must not be written with them.
const char *drop_in_trusted_environment(const char *name);

/// The program's file name, without its folder.
const char *drop_in_program_name(void);

/// Whether the program runs on valgrind.
_Bool drop_in_is_on_valgrind(void);

/// open(2) for appending; made if missing. Negative: failed, see errno.
int drop_in_open_for_appending(const char *path);

#endif
