#define _GNU_SOURCE
#include "process_ends.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef void exit_function(int);

// The interposed functions; NULL until this library's constructors have run.
static exit_function *next_exit, *next_Exit;

__attribute__((constructor)) static void was_loaded(void) {
    next_exit = (exit_function *)dlsym(RTLD_NEXT, "_exit");
    next_Exit = (exit_function *)dlsym(RTLD_NEXT, "_Exit");
    drop_in_was_loaded();
}

// Destructors run after the program's own atexit(3) functions, which may still use the library.
__attribute__((destructor)) static void process_ends(void) { drop_in_process_ends(); }

// A forked child often ends by _exit(2), which runs no destructors: fio's jobs do. So these interpose on libc's
// functions. exit(3) runs the destructor, and bypasses these, since it calls _exit within libc. Their symbols have the
// base version: see CRawCalls.
__attribute__((noreturn)) static void end(int status, exit_function *next) {
    drop_in_process_ends();
    if (next) next(status);
    while (1) syscall(SYS_exit_group, status);
}

__attribute__((used, noreturn)) void drop_in_exit(int status) __asm__("_exit@@");
void drop_in_exit(int status) { end(status, next_exit); }

__attribute__((used, noreturn)) void drop_in_Exit(int status) __asm__("_Exit@@");
void drop_in_Exit(int status) { end(status, next_Exit); }

const char *drop_in_trusted_environment(const char *name) { return secure_getenv(name); }

const char *drop_in_program_name(void) { return program_invocation_short_name; }

const char *drop_in_error_text(int error) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    return strerrordesc_np(error);
#else
    (void)error;
    return NULL;
#endif
}

_Bool drop_in_is_on_valgrind(void) {
    // valgrind's client request RUNNING_ON_VALGRIND (valgrind.h): instructions without effect on a processor, on which
    // valgrind puts its answer into a register.
    volatile uint64_t arguments[6] = {0x1001, 0, 0, 0, 0, 0};
#if defined(__x86_64__)
    uint64_t answer = 0;
    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(arguments)
                     : "cc", "memory");
#elif defined(__aarch64__)
    register uint64_t answer __asm__("x3") = 0;
    register volatile uint64_t *request __asm__("x4") = arguments;
    __asm__ volatile("ror x12, x12, #3; ror x12, x12, #13; ror x12, x12, #51; ror x12, x12, #61; orr x10, x10, x10"
                     : "+r"(answer)
                     : "r"(request)
                     : "cc", "memory");
#endif
    return answer != 0;
}

int drop_in_open_for_appending(const char *path) {
    // A pending cancellation must not end the thread that is ending the process.
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    pthread_setcancelstate(state, NULL);
    return file;
}
