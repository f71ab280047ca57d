// What the interpreters of the differential test share: programs as text, one step per line, and the transcript of a
// run.
//
// A program is generated from a seed, and is a list of steps with numbers as arguments. Every list of steps is a
// program that ends and has one correct outcome: by rules that depend on the program alone, an interpreter omits what
// would wait for ever or race with operations in flight. So a program can be reduced by removing steps. The transcript
// consists of lines `what: result`, which differ_compare.c compares.
#pragma once

#include "random.h"
#include "thread_states.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BROKEN(...) (fprintf(stderr, "differ: " __VA_ARGS__), fprintf(stderr, "\n"), _exit(2))

enum { MOST_ARGUMENTS = 10, MOST_STEPS = 400, TRANSCRIPT_SIZE = 1 << 18, PROGRAM_SECONDS = 10, JOBS = 8 };

struct step_kind {
    const char *name;
    int count;
    void (*run)(const long *arguments);
};

struct step {
    const struct step_kind *kind;
    long arguments[MOST_ARGUMENTS];
};

struct program {
    uint64_t seed;
    int count;
    struct step steps[MOST_STEPS];
};

/// The interpreter's steps, terminated by one without a name.
extern const struct step_kind step_kinds[];
/// Appends the steps of a random program.
static void generate(struct fuzz_random *random, struct program *program);
/// Runs a program in this process.
static void run_program(const struct program *program);

// The transcript is in memory that children share, so that it survives a crash.

struct transcript {
    size_t length;
    char text[TRANSCRIPT_SIZE];
};

static struct transcript *transcript;
/// The prefix of each line: the step and the process.
static const char *speaker = "";

__attribute__((format(printf, 1, 2))) static inline void tell(const char *format, ...) {
    char line[1024];
    int length = snprintf(line, sizeof line, "%s", speaker);
    va_list list;
    va_start(list, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, list);
    va_end(list);
    if (length > (int)sizeof line - 2) { length = sizeof line - 2; }
    line[length++] = '\n';
    size_t at = __atomic_fetch_add(&transcript->length, (size_t)length, __ATOMIC_SEQ_CST);
    if (at + (size_t)length <= TRANSCRIPT_SIZE) { memcpy(transcript->text + at, line, (size_t)length); }
}

static inline const char *error_name(long error) {
    const char *name = strerrorname_np((int)error);
    return error == 0 ? "0" : name ? name : "an unknown error";
}

/// A result as the kernel returns it: a count or a negative errno. One line can hold several.
static inline const char *result_text(long result) {
    static _Thread_local char texts[4][32];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 4];
    if (result < 0 && result > -4096) {
        snprintf(text, sizeof texts[0], "-%s", error_name(-result));
    } else {
        snprintf(text, sizeof texts[0], "%ld", result);
    }
    return text;
}

static inline uint64_t checksum(const void *memory, size_t size) {
    const uint8_t *bytes = memory;
    uint64_t sum = size * 0x9e3779b97f4a7c15u + 1;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        sum = (sum ^ word) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
    }
    for (; size > 0; size--) { sum = (sum ^ *bytes++) * 0x100000001b3u; }
    return sum;
}

// Steps as text.

static inline void add_step(struct program *program, const char *name, ...) {
    if (program->count == MOST_STEPS) { return; }
    struct step *step = &program->steps[program->count++];
    for (step->kind = step_kinds; step->kind->name && strcmp(step->kind->name, name) != 0; step->kind++) {}
    if (!step->kind->name) { BROKEN("no step is called %s", name); }
    va_list list;
    va_start(list, name);
    for (int index = 0; index < step->kind->count; index++) { step->arguments[index] = va_arg(list, long); }
    va_end(list);
}

static inline void print_step(FILE *file, const struct step *step) {
    fprintf(file, "%s", step->kind->name);
    for (int index = 0; index < step->kind->count; index++) { fprintf(file, " %ld", step->arguments[index]); }
    fprintf(file, "\n");
}

static inline bool read_step(struct step *step, const char *line) {
    char name[64];
    int used = 0;
    if (sscanf(line, "%63s%n", name, &used) != 1) { return false; }
    for (step->kind = step_kinds; step->kind->name && strcmp(step->kind->name, name) != 0; step->kind++) {}
    if (!step->kind->name) { BROKEN("no step is called %s", name); }
    memset(step->arguments, 0, sizeof step->arguments);
    char *rest = (char *)line + used;
    for (int index = 0; index < step->kind->count; index++) { step->arguments[index] = strtol(rest, &rest, 0); }
    return true;
}

/// Reads `program SEED`, its steps, and `end`.
static inline bool read_program(FILE *file, struct program *program) {
    char line[512];
    program->count = 0;
    bool isInside = false;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n') { continue; }
        if (sscanf(line, "program %lu", &program->seed) == 1) {
            isInside = true;
        } else if (strcmp(line, "end\n") == 0) {
            return isInside;
        } else if (isInside && program->count < MOST_STEPS && read_step(&program->steps[program->count], line)) {
            program->count++;
        }
    }
    return false;
}

// Execution.

static const struct program *current;
static int current_step;

/// Runs some steps of the current program, each of whose lines begins with the step's name.
static inline void run_steps(int first, int end) {
    const char *before = speaker;
    char name[256];
    for (current_step = first; current_step < end; current_step++) {
        const struct step *step = &current->steps[current_step];
        snprintf(name, sizeof name, "%s%s: ", before, step->kind->name);
        speaker = name;
        step->kind->run(step->arguments);
        speaker = before;
    }
}

/// A program that runs in a separate process, so that it starts with unused libraries, and a crash or hang ends no
/// other program. Several run at the same time, since most of their time passes while the kernel destroys contexts.
struct job {
    uint64_t seed;
    pid_t process;
    double deadline;
    struct transcript *transcript;
};

static inline double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void start_job(struct job *job, const struct program *program) {
    job->seed = program->seed;
    job->deadline = seconds_now() + PROGRAM_SECONDS;
    job->transcript->length = 0;
    job->process = fork();
    if (job->process < 0) { BROKEN("no process: %s", strerror(errno)); }
    if (job->process == 0) {
        setpgid(0, 0);
        transcript = job->transcript;
        run_program(program);
        _exit(0);
    }
    setpgid(job->process, job->process);
}

static inline void finish_job(struct job *job) {
    int watch = (int)syscall(SYS_pidfd_open, job->process, 0), status = 0;
    struct pollfd state = {watch, POLLIN, 0};
    double left = job->deadline - seconds_now();
    bool isOver = poll(&state, 1, left > 0 ? (int)(left * 1000) : 0) == 1;
    kill(-job->process, SIGKILL);
    close(watch);
    while (waitpid(job->process, &status, 0) < 0 && errno == EINTR) {}
    size_t length = job->transcript->length < TRANSCRIPT_SIZE ? job->transcript->length : TRANSCRIPT_SIZE;
    printf("program %lu\n%.*s", job->seed, (int)length, job->transcript->text);
    if (!isOver) {
        printf("the process: does not end\n");
    } else if (WIFSIGNALED(status)) {
        printf("the process: is killed by %s\n", strsignal(WTERMSIG(status)));
    } else {
        printf("the process: ends with %d\n", WEXITSTATUS(status));
    }
    printf("end\n");
    fflush(stdout);
    job->process = 0;
}

/// Runs all programs, and prints their transcripts in order.
static inline void run_all(FILE *file) {
    static struct program program;
    static struct job jobs[JOBS];
    for (int index = 0; index < JOBS; index++) {
        jobs[index].transcript
            = mmap(NULL, sizeof(struct transcript), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (jobs[index].transcript == MAP_FAILED) { BROKEN("no memory"); }
    }
    unsigned next = 0;
    for (; read_program(file, &program); next++) {
        struct job *job = &jobs[next % JOBS];
        if (job->process) { finish_job(job); }
        start_job(job, &program);
    }
    for (unsigned index = 0; index < JOBS; index++, next++) {
        if (jobs[next % JOBS].process) { finish_job(&jobs[next % JOBS]); }
    }
}

static const char *folder;

static void prepare_processes(void);

static int differ_main(int count, char **arguments) {
    static struct program program;
    if (count == 4 && strcmp(arguments[1], "generate") == 0) {
        uint64_t seed = strtoull(arguments[2], NULL, 10);
        for (long index = 0; index < atol(arguments[3]); index++) {
            program = (struct program){.seed = seed + (uint64_t)index};
            struct fuzz_random random = {program.seed * 0x2545f4914f6cdd1du};
            generate(&random, &program);
            printf("program %lu\n", program.seed);
            for (int step = 0; step < program.count; step++) { print_step(stdout, &program.steps[step]); }
            printf("end\n");
        }
        return 0;
    }
    if (count != 4 || strcmp(arguments[1], "run") != 0) {
        BROKEN("usage: %s generate SEED COUNT, or %s run FOLDER FILE", arguments[0], arguments[0]);
    }
    folder = arguments[2];
    FILE *file = fopen(arguments[3], "re");
    if (!file) { BROKEN("%s: %s", arguments[3], strerror(errno)); }
    prepare_processes();
    run_all(file);
    fclose(file);
    return 0;
}
