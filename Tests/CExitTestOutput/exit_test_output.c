// Keeps what the child process of an exit test writes to standard error.
//
// Swift Testing sends it to /dev/null, so that a trap in a child is reported as the signal alone. If AIO_TEST_CHILD_OUTPUT
// names a file, standard error of every such child is appended there instead, under the same descriptor number.

#include "exit_test_output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_null(int descriptor) {
    struct stat null, status;
    return stat("/dev/null", &null) == 0 && fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == null.st_rdev;
}

__attribute__((constructor)) static void keep_output_of_exit_test(void) {
    const char *path = getenv("AIO_TEST_CHILD_OUTPUT");
    const char *test = getenv("SWT_EXIT_TEST_ID");
    if (!path || !test || !is_null(STDERR_FILENO)) return;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return;
    dup2(file, STDERR_FILENO);
    close(file);
}
