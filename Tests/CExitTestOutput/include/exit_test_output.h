#ifndef EXIT_TEST_OUTPUT_H
#define EXIT_TEST_OUTPUT_H

// Whether the process has a sanitizer's runtime. At its first report, or suppressed report, that starts a process which
// it asks for the names of functions, with pipes to it.
int ct_is_sanitized(void);

#endif
