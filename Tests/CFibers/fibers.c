#include "fibers.h"

#include <malloc.h>

void fiber_keep_memory(void) {
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 1 << 20);
}

// A context is a stack pointer, behind which are the registers that a call preserves. swapcontext(3) would save the
// signal mask too, by a system call for each switch.
#if defined(__x86_64__)

__asm__(
    ".text\n"
    ".globl fiber_switch\n"
    ".type fiber_switch, @function\n"
    "fiber_switch:\n"
    "  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp\n"
    "  ret\n"
    ".size fiber_switch, . - fiber_switch\n"
    ".type fiber_begin, @function\n"
    "fiber_begin:\n"
    "  movq %r12, %rdi\n"
    "  callq *%r13\n"
    "  ud2\n"
    ".size fiber_begin, . - fiber_begin\n"
    ".section .note.GNU-stack,\"\",@progbits\n"
    ".text\n");

void fiber_begin(void);

void *fiber_make(void *top, void (*body)(void *), void *argument) {
    void **stack = top;
    *--stack = 0; // ends backtraces
    *--stack = 0; // and keeps the stack aligned for the call
    *--stack = (void *)fiber_begin;
    *--stack = 0; // rbp
    *--stack = 0; // rbx
    *--stack = argument; // r12
    *--stack = (void *)body; // r13
    *--stack = 0; // r14
    *--stack = 0; // r15
    return stack;
}

#elif defined(__aarch64__)

__asm__(
    ".text\n"
    ".globl fiber_switch\n"
    ".type fiber_switch, %function\n"
    "fiber_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]; stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n"
    "  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]; ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n"
    ".size fiber_switch, . - fiber_switch\n"
    ".type fiber_begin, %function\n"
    "fiber_begin:\n"
    "  mov x0, x19\n"
    "  blr x20\n"
    "  brk #1\n"
    ".size fiber_begin, . - fiber_begin\n"
    ".section .note.GNU-stack,\"\",%progbits\n"
    ".text\n");

void fiber_begin(void);

void *fiber_make(void *top, void (*body)(void *), void *argument) {
    void **stack = (void **)((char *)top - 160);
    for (int index = 0; index < 20; index++) stack[index] = 0;
    stack[0] = argument; // x19
    stack[1] = (void *)body; // x20
    stack[11] = (void *)fiber_begin; // x30
    return stack;
}

#else
#error "fibers need the assembly of this architecture"
#endif
