// The door to the kernel: one inline shim a number of arguments.
//
// The result is the kernel's own: a value, or a negative errno. libc's errno is neither read nor
// written, nothing here is a cancellation point, and all of it may run in a signal handler.

#ifndef CK_SYSTEM_CALL_H
#define CK_SYSTEM_CALL_H

#include <errno.h>
#include <stdint.h>

#if !defined(__LP64__)
#error "swift-aio supports 64-bit Linux only"
#endif

#if defined(__x86_64__)

static inline long ck_system_call_6(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

static inline long ck_system_call_6(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}

#else
#error "swift-aio knows the system call instruction of x86_64 and aarch64 only"
#endif

#endif
