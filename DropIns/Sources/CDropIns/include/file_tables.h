// Threads with a descriptor table of their own, after unshare(CLONE_FILES) or close_range(2) with CLOSE_RANGE_UNSHARE.
// A descriptor that such a thread opens is not in the table of the library's threads.

#ifndef FILE_TABLES_H
#define FILE_TABLES_H

/// Whether there may be more than one descriptor table in the process.
_Bool drop_in_has_own_files(void);
void drop_in_note_own_files(void);

// The replacement of the libc function with this name.
__attribute__((used)) int drop_in_unshare(int flags) __asm__("unshare@@");

#endif
