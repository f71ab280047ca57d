#define _GNU_SOURCE
#include "raw_calls.h"

#include "closes.h"
#include "file_tables.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>

// Hidden symbols for the assembly below, which accesses them without going through the global offset table.
#define ASSEMBLY __attribute__((used, visibility("hidden")))

/// The interposed function; NULL until this library's constructors have run.
ASSEMBLY void *raw_calls_next;

__attribute__((constructor)) static void find_next(void) { raw_calls_next = dlsym(RTLD_NEXT, "syscall"); }

static long returned(long result) {
    // Linux never returns an errno above 4095.
    if ((unsigned long)result < -4095UL) return result;
    errno = (int)-result;
    return -1;
}

ASSEMBLY long raw_calls_failed(long result) { return returned(result); }

/// The six calls of Linux AIO. The arguments are those of syscall(2): the assembly jumps here with the registers
/// unchanged.
ASSEMBLY long raw_calls_linux_aio(long number, long a, long b, long c, long d, long e, long f) {
    int before = errno;
    long result;
    switch ((int)number) {
    case SYS_io_setup: result = aio_raw_setup(a, b); break;
    case SYS_io_destroy: result = aio_raw_destroy(a); break;
    case SYS_io_submit: result = aio_raw_submit(a, b, c); break;
    case SYS_io_cancel: result = aio_raw_cancel(a, b, c); break;
    case SYS_io_getevents: result = aio_raw_getevents(a, b, c, d, e); break;
    // Only this case reads the last argument: callers of the other calls may not have passed it.
    default: result = aio_raw_pgetevents(a, b, c, d, e, f);
    }
    errno = before;
    return returned(result);
}

/// The calls that close descriptors, which spare the library's own, and unshare(2), which may create another descriptor
/// table. The functions called here set errno.
ASSEMBLY long raw_calls_closing(long number, long a, long b, long c) {
    switch ((int)number) {
    case SYS_close: return drop_in_close((int)a);
    case SYS_unshare: return drop_in_unshare((int)a);
    case SYS_close_range: return drop_in_close_range((unsigned)a, (unsigned)b, (int)c);
#ifdef SYS_dup2
    case SYS_dup2: return drop_in_dup2((int)a, (int)b);
#endif
    default: return drop_in_dup3((int)a, (int)b, (int)c);
    }
}

// The symbol has the base (empty) version, unlike the library's other symbols. The dynamic linker accepts the base
// version for any version that a reference names, so the symbol interposes on every version of libc's `syscall`, and a
// program that is linked with this library records no version that the real libaio lacks. The name ends in `@@` because
// the version script makes symbols without any version local.
#define SYSCALL "\"syscall@@\""

// In assembly for two reasons. After some system calls (vfork, clone) a function must not return the way that compiled
// C does. And C cannot forward an unknown number of arguments. The code changes no registers but those that a call may
// clobber, and leaves the stack alone.
#if defined(__x86_64__)
_Static_assert(SYS_io_setup == 206 && SYS_io_cancel == 210 && SYS_io_pgetevents == 333, "as in the assembly");
_Static_assert(SYS_close == 3 && SYS_dup2 == 33 && SYS_dup3 == 292 && SYS_close_range == 436 && SYS_unshare == 272,
    "as in the assembly");
__asm__(
    ".pushsection .text.raw_calls,\"ax\",@progbits\n"
    ".p2align 4\n"
    ".globl " SYSCALL "\n"
    ".type " SYSCALL ", @function\n"
    SYSCALL ":\n"
    ".cfi_startproc\n"
    "    endbr64\n"
    // The kernel too uses only 32 bits of the number.
    "    leal -206(%rdi), %eax\n"
    "    cmpl $4, %eax\n"
    "    jbe raw_calls_linux_aio\n"
    "    cmpl $333, %edi\n"
    "    je raw_calls_linux_aio\n"
    "    cmpl $3, %edi\n"
    "    je raw_calls_closing\n"
    "    cmpl $436, %edi\n"
    "    je raw_calls_closing\n"
    "    cmpl $272, %edi\n"
    "    je raw_calls_closing\n"
    "    cmpl $33, %edi\n"
    "    je raw_calls_closing\n"
    "    cmpl $292, %edi\n"
    "    je raw_calls_closing\n"
    "    movq raw_calls_next(%rip), %rax\n"
    "    testq %rax, %rax\n"
    "    je 1f\n"
    "    jmpq *%rax\n"
    "1:  movq %rdi, %rax\n"
    "    movq %rsi, %rdi\n"
    "    movq %rdx, %rsi\n"
    "    movq %rcx, %rdx\n"
    "    movq %r8, %r10\n"
    "    movq %r9, %r8\n"
    "    movq 8(%rsp), %r9\n"
    "    syscall\n"
    "    cmpq $-4095, %rax\n"
    "    jae 2f\n"
    "    ret\n"
    "2:  movq %rax, %rdi\n"
    "    jmp raw_calls_failed\n"
    ".cfi_endproc\n"
    ".size " SYSCALL ", .-" SYSCALL "\n"
    ".popsection\n");
#elif defined(__aarch64__)
_Static_assert(SYS_io_setup == 0 && SYS_io_getevents == 4 && SYS_io_pgetevents == 292, "as in the assembly");
_Static_assert(SYS_close == 57 && SYS_dup3 == 24 && SYS_close_range == 436 && SYS_unshare == 97, "as in the assembly");
__asm__(
    ".pushsection .text.raw_calls,\"ax\",@progbits\n"
    ".p2align 4\n"
    ".globl " SYSCALL "\n"
    ".type " SYSCALL ", %function\n"
    SYSCALL ":\n"
    ".cfi_startproc\n"
    "    hint #34\n"  // bti c
    // The kernel too uses only 32 bits of the number.
    "    cmp w0, #4\n"
    "    b.ls 3f\n"
    "    cmp w0, #292\n"
    "    b.eq 3f\n"
    "    cmp w0, #57\n"
    "    b.eq 4f\n"
    "    cmp w0, #436\n"
    "    b.eq 4f\n"
    "    cmp w0, #97\n"
    "    b.eq 4f\n"
    "    cmp w0, #24\n"
    "    b.eq 4f\n"
    "    adrp x16, raw_calls_next\n"
    "    ldr x16, [x16, #:lo12:raw_calls_next]\n"
    "    cbz x16, 1f\n"
    "    br x16\n"
    "1:  uxtw x8, w0\n"
    "    mov x0, x1\n"
    "    mov x1, x2\n"
    "    mov x2, x3\n"
    "    mov x3, x4\n"
    "    mov x4, x5\n"
    "    mov x5, x6\n"
    "    svc #0\n"
    "    cmn x0, #4095\n"
    "    b.hs 2f\n"
    "    ret\n"
    "2:  b raw_calls_failed\n"
    "3:  b raw_calls_linux_aio\n"
    "4:  b raw_calls_closing\n"
    ".cfi_endproc\n"
    ".size " SYSCALL ", .-" SYSCALL "\n"
    ".popsection\n");
#else
#error "syscall is not written for this architecture"
#endif
