#ifndef EXIT_TEST_OUTPUT_H
#define EXIT_TEST_OUTPUT_H

// Nothing to call: linking this target is enough. See exit_test_output.c.

#endif
