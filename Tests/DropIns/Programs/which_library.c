// Prints the file that provides libaio: a test over the wrong library would prove nothing.
#include "libaio_cases.h"

#include <dlfcn.h>

int main(void) {
    Dl_info info;
    if (dladdr((void *)io_submit, &info) == 0) { return 1; }
    char *path = realpath(info.dli_fname, NULL);
    printf("%s\n", path ? path : info.dli_fname);
    free(path);
    return 0;
}
