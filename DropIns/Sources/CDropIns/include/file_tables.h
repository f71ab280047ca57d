// Threads with a table of descriptors of their own: unshare(CLONE_FILES) and close_range(CLOSE_RANGE_UNSHARE). What such a
// thread opens has no number where the library's threads are.

#ifndef FILE_TABLES_H
#define FILE_TABLES_H

/// Whether there may be more tables than one.
_Bool drop_in_has_own_files(void);
void drop_in_note_own_files(void);

// libc's function of this name.
__attribute__((used)) int drop_in_unshare(int flags) __asm__("unshare@@");

#endif
