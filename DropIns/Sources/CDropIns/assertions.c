#ifdef DEBUG

#include <errno.h>
#include <unistd.h>

/// Embedded Swift writes the message of a failed assertion with putchar(3) and then traps, so that libc would lose what
/// it has buffered. The libraries' own version writes to standard error at once; the programs keep libc's.
__attribute__((visibility("hidden"))) int putchar(int character) {
    unsigned char byte = (unsigned char)character;
    while (write(2, &byte, 1) < 0 && errno == EINTR) {}
    return byte;
}

#else

// ISO C wants a declaration in each file.
typedef int drop_ins_have_no_assertions;

#endif
