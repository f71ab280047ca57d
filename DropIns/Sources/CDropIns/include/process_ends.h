// What happens when the library is loaded and when the process ends, and the libc functions for it that Swift cannot
// import.

#ifndef PROCESS_ENDS_H
#define PROCESS_ENDS_H

// Implemented in Swift and called from process_ends.c: when the library is loaded, and when the process ends by exit(3)
// or _exit(2). A program may call _exit(2) at any point, also in a signal handler.
void drop_in_was_loaded(void);
void drop_in_process_ends(void);

/// Implemented in Swift: the file name of the library for the summary.
const char *drop_in_library_name(void);

/// secure_getenv(3): nothing in a set-user-ID program, whose privileges must not be used to write the summary.
const char *drop_in_trusted_environment(const char *name);

/// The file name of the program, without its directory.
const char *drop_in_program_name(void);

/// The text of an error, untranslated; NULL for an unknown one. Async-signal-safe, unlike strerror(3), which takes the
/// locks of the locale.
const char *drop_in_error_text(int error);

/// Whether the program runs under valgrind.
_Bool drop_in_is_on_valgrind(void);

/// open(2) for appending; creates the file if it is missing. Negative on failure, with errno set.
int drop_in_open_for_appending(const char *path);

#endif
