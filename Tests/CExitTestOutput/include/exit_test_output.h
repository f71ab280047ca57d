#ifndef EXIT_TEST_OUTPUT_H
#define EXIT_TEST_OUTPUT_H

// Starts the process that a sanitizer's runtime asks for the names of functions, which it would otherwise start, with
// pipes to it, at the first report or suppressed report. Without a sanitizer it does nothing.
void ct_start_symbolizer(void);

#endif
