// Runs random programs over the system's library and over ours, and compares the transcripts. A program with a
// difference is run again, to tell a real difference from an undetermined result, and is then reduced.
//
//   differ_compare INTERPRETER LIBRARY SECONDS SEED FOLDER... [-- FILE]
//
// FILE contains programs that replace the random ones. The exit status is 1 if there is a difference.
#include "differ_allowed.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BROKEN(...) (fprintf(stderr, "differ_compare: " __VA_ARGS__), fprintf(stderr, "\n"), exit(2))

enum { BATCH = 40, MOST_LINES = 4096, MOST_SIGNATURES = 500, TRIES = 3, SHRINKING_SECONDS = 20 };

static const char *interpreter, *interpreter_name, *library, *engine, *folder;
static char scratch[4096];
static unsigned long programs, differences, once, undetermined, permitted, known_faults, runs;
static double end_time;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// Texts.

struct text {
    char *bytes;
    size_t length;
};

static void append(struct text *text, const char *bytes, size_t length) {
    text->bytes = realloc(text->bytes, text->length + length + 1);
    if (!text->bytes) { BROKEN("no memory"); }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

/// The lines of one program or transcript, including `program SEED` and `end`.
struct lines {
    int count;
    char *lines[MOST_LINES];
};

static void clear(struct lines *lines) {
    for (int index = 0; index < lines->count; index++) { free(lines->lines[index]); }
    lines->count = 0;
}

/// Reads the next one from a text; false at its end.
static bool next_lines(const char **position, struct lines *lines) {
    clear(lines);
    while (**position) {
        const char *end = strchrnul(*position, '\n');
        if (lines->count < MOST_LINES) { lines->lines[lines->count++] = strndup(*position, (size_t)(end - *position)); }
        bool is_last = end - *position == 3 && strncmp(*position, "end", 3) == 0;
        *position = *end ? end + 1 : end;
        if (is_last) { return true; }
    }
    return false;
}

static struct text joined(const struct lines *lines) {
    struct text text = {NULL, 0};
    for (int index = 0; index < lines->count; index++) {
        append(&text, lines->lines[index], strlen(lines->lines[index]));
        append(&text, "\n", 1);
    }
    return text;
}

// Runs of the interpreter.

enum side { SYSTEM, OURS };

struct run {
    pid_t process;
    int output;
    struct text text;
};

static void exec_interpreter(enum side side, const char *const *arguments) {
    unsetenv("LD_PRELOAD");
    if (side == OURS) {
        setenv("LD_PRELOAD", library, 1);
        setenv("AIO_ENGINE", engine, 1);
    }
    execv(interpreter, (char *const *)arguments);
    BROKEN("%s: %s", interpreter, strerror(errno));
}

static struct run start(enum side side, const char *const *arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) { BROKEN("no pipe: %s", strerror(errno)); }
    pid_t process = fork();
    if (process < 0) { BROKEN("no process: %s", strerror(errno)); }
    if (process == 0) {
        dup2(ends[1], 1);
        exec_interpreter(side, arguments);
    }
    close(ends[1]);
    runs++;
    return (struct run){process, ends[0], {NULL, 0}};
}

/// Reads the output of two runs as it arrives.
static void finish(struct run *list, int count) {
    static char bytes[65536];
    int open_count = count;
    while (open_count > 0) {
        struct pollfd states[2];
        for (int index = 0; index < count; index++) { states[index] = (struct pollfd){list[index].output, POLLIN, 0}; }
        if (poll(states, (nfds_t)count, -1) < 0 && errno != EINTR) { BROKEN("poll: %s", strerror(errno)); }
        for (int index = 0; index < count; index++) {
            if (list[index].output < 0 || !states[index].revents) { continue; }
            ssize_t length = read(list[index].output, bytes, sizeof bytes);
            if (length > 0) {
                append(&list[index].text, bytes, (size_t)length);
            } else {
                close(list[index].output);
                list[index].output = -1;
                open_count--;
            }
        }
    }
    for (int index = 0; index < count; index++) {
        int status = 0;
        while (waitpid(list[index].process, &status, 0) < 0 && errno == EINTR) {}
        if (status != 0) { BROKEN("%s ends with %#x", interpreter, status); }
        if (!list[index].text.bytes) { append(&list[index].text, "", 0); }
    }
}

static void write_text(const char *path, const char *bytes, size_t length) {
    FILE *file = fopen(path, "we");
    if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) {
        BROKEN("%s cannot be written", path);
    }
}

/// Runs a text of programs on both sides at the same time, each in its own folder.
static void run_both(const char *programs_text, struct text results[2]) {
    char path[4200], folders[2][4200];
    snprintf(path, sizeof path, "%s/programs", scratch);
    write_text(path, programs_text, strlen(programs_text));
    struct run both[2];
    for (int side = SYSTEM; side <= OURS; side++) {
        snprintf(folders[side], sizeof folders[side], "%s/%s", folder, side == SYSTEM ? "system" : "ours");
        const char *arguments[] = {interpreter, "run", folders[side], path, NULL};
        both[side] = start((enum side)side, arguments);
    }
    finish(both, 2);
    results[SYSTEM] = both[SYSTEM].text;
    results[OURS] = both[OURS].text;
}

static struct text generated(uint64_t seed, int count) {
    char first[32], number[32];
    snprintf(first, sizeof first, "%lu", seed);
    snprintf(number, sizeof number, "%d", count);
    const char *arguments[] = {interpreter, "generate", first, number, NULL};
    struct run run = start(SYSTEM, arguments);
    finish(&run, 1);
    runs--;
    return run.text;
}

// Comparison.

struct difference {
    /// The line in both transcripts; -1 if there is no difference.
    int line;
    /// What differs, without numbers, so that each kind of difference is reported once.
    char signature[600];
};

static void split(const char *line, char *what, char *result, size_t size) {
    const char *colon = NULL;
    for (const char *next = strstr(line, ": "); next; next = strstr(next + 1, ": ")) { colon = next; }
    snprintf(what, size, "%.*s", (int)(colon ? colon - line : (long)strlen(line)), line);
    snprintf(result, size, "%s", colon ? colon + 2 : "");
}

static void replace_all(char *text, size_t size, const char *from, const char *to) {
    for (char *found = strstr(text, from); found; found = strstr(found + strlen(to), from)) {
        char rest[1024];
        snprintf(rest, sizeof rest, "%s", found + strlen(from));
        snprintf(found, size - (size_t)(found - text), "%s%s", to, rest);
    }
}

/// Removes what is specific to one example, so that two differences of the same kind have the same signature.
static void generalise(char *text, size_t size) {
    static const char *const synonyms[][2] = {{"file A", "file"}, {"file B", "file"}, {"file C", "file"}, {"file D",
        "file"},
        {", read only", ""}, {", write only", ""}, {", appending", ""}, {", synchronous", ""}, {", direct", ""},
        {"non-blocking ", ""}, {"FIFO", "pipe"}, {"packet socket", "socket"}, {"TCP connection", "socket"},
        {", one end", ""}, {", other end", ""}, {", one at a time", ""}, {"readv", "read"}, {"writev", "write"},
        {", odd memory", ""}, {", sector memory", ""}, {", memory before none", ""}, {", vectors", ""}, {", extra", ""},
        {"fdsync", "fsync"}, {"on another thread: ", ""}, {"position -", "position"}, {" at -", " at"}, {" of -",
            " of"}};
    char *to = text;
    for (const char *from = text; *from;) {
        size_t digits = strspn(from, "0123456789abcdef");
        bool is_sum = digits == 16, is_number = isdigit((unsigned char)*from);
        if (is_sum) {
            from += 16;
        } else if (is_number) {
            from++;
        } else {
            *to++ = *from++;
        }
    }
    *to = 0;
    for (size_t index = 0; index < sizeof synonyms / sizeof *synonyms; index++) {
        replace_all(text, size, synonyms[index][0], synonyms[index][1]);
    }
    replace_all(text, size, "  ", " ");
}

static void describe(struct difference *difference, const char *system, const char *ours) {
    char what[2][1024], result[2][1024];
    split(system, what[0], result[0], sizeof what[0]);
    split(ours, what[1], result[1], sizeof what[1]);
    bool is_same_line = strcmp(what[0], what[1]) == 0;
    snprintf(difference->signature, sizeof difference->signature, "%.150s: %.150s; ours: %.150s", what[0], result[0],
        is_same_line ? result[1] : ours);
    generalise(difference->signature, sizeof difference->signature);
}

/// The system's library itself did not finish, or crashed, so there is nothing to compare with.
static bool hangs(const struct lines *transcript) {
    for (int index = 0; index < transcript->count; index++) {
        if (strstr(transcript->lines[index], "has not ended") || strstr(transcript->lines[index], "does not end")
            || strstr(transcript->lines[index], "is killed by")) { return true; }
    }
    return false;
}

static struct difference compare(const struct lines *system, const struct lines *ours) {
    struct difference difference = {-1, ""};
    for (int index = 0; index < system->count || index < ours->count; index++) {
        const char *one = index < system->count ? system->lines[index] : "(nothing)";
        const char *other = index < ours->count ? ours->lines[index] : "(nothing)";
        if (strcmp(one, other) == 0) { continue; }
        char what[2][1024], result[2][1024];
        split(one, what[0], result[0], sizeof what[0]);
        split(other, what[1], result[1], sizeof what[1]);
        bool is_same_line = strcmp(what[0], what[1]) == 0;
        const struct allowed *reason
            = is_same_line ? find_allowed(interpreter_name, what[0], result[0], result[1]) : NULL;
        const struct allowed *fault = is_same_line ? find_left(interpreter_name, what[0], result[0], result[1]) : NULL;
        if (reason || fault) {
            permitted += reason != NULL;
            known_faults += reason == NULL;
            if (!reason) { reason = fault; }
            if (reason->ends) { return difference; }
            continue;
        }
        difference.line = index;
        describe(&difference, one, other);
        return difference;
    }
    return difference;
}

/// The first transcript in each of two texts.
static void first_transcripts(const struct text texts[2], struct lines *system, struct lines *ours) {
    const char *position[2] = {texts[0].bytes, texts[1].bytes};
    next_lines(&position[0], system);
    next_lines(&position[1], ours);
}

enum verdict { SAME, DIFFERENT, UNDETERMINED };

/// Runs a program `tries` times and compares. The verdict is UNDETERMINED if the system's library itself gives varying
/// results.
static enum verdict judge(const struct lines *program, int tries, struct lines *system, struct lines *ours,
    struct difference *difference) {
    struct text text = joined(program), first = {NULL, 0};
    enum verdict verdict = SAME;
    for (int attempt = 0; attempt < tries && verdict != UNDETERMINED; attempt++) {
        struct text results[2];
        static struct lines one, other;
        run_both(text.bytes, results);
        first_transcripts(results, &one, &other);
        if (!first.bytes) {
            append(&first, results[SYSTEM].bytes, results[SYSTEM].length);
        } else if (strcmp(first.bytes, results[SYSTEM].bytes) != 0) {
            verdict = UNDETERMINED;
        }
        struct difference found = compare(&one, &other);
        if (found.line >= 0 && verdict == SAME) {
            verdict = DIFFERENT;
            *difference = found;
            first_transcripts(results, system, ours);
        }
        free(results[0].bytes);
        free(results[1].bytes);
    }
    free(text.bytes);
    free(first.bytes);
    return verdict;
}

// Reduction.

static void copy_without(const struct lines *from, int first, int count, struct lines *to) {
    clear(to);
    for (int index = 0; index < from->count; index++) {
        if (index < first || index >= first + count) { to->lines[to->count++] = strdup(from->lines[index]); }
    }
}

/// Removes steps, many at a time first, as long as the program still has the same difference.
static void make_small(struct lines *program, struct lines *system, struct lines *ours, struct difference *difference) {
    static struct lines smaller, one, other;
    double limit = seconds_now() + SHRINKING_SECONDS;
    for (int part = (program->count - 2) / 2; part >= 1; part = part > 1 ? part / 2 : 0) {
        for (int first = program->count - 1 - part; first >= 1; first -= part) {
            if (first + part > program->count - 1) { continue; }
            if (seconds_now() > limit) { return; }
            struct difference found;
            copy_without(program, first, part, &smaller);
            if (judge(&smaller, 2, &one, &other, &found) != DIFFERENT) { continue; }
            if (strcmp(found.signature, difference->signature) != 0) { continue; }
            copy_without(&smaller, 0, 0, program);
            copy_without(&one, 0, 0, system);
            copy_without(&other, 0, 0, ours);
            *difference = found;
        }
    }
}

static char *signatures[MOST_SIGNATURES];
static unsigned long signature_counts[MOST_SIGNATURES];
static int signature_count;

static bool is_known(const char *signature) {
    for (int index = 0; index < signature_count; index++) {
        if (strcmp(signatures[index], signature) == 0) {
            signature_counts[index]++;
            return true;
        }
    }
    if (signature_count < MOST_SIGNATURES) {
        signature_counts[signature_count] = 1;
        signatures[signature_count++] = strdup(signature);
    }
    return false;
}

static void report(const struct lines *program, const struct lines *system, const struct lines *ours,
    const struct difference *difference) {
    const char *ours_line = difference->line < ours->count ? ours->lines[difference->line] : "(nothing)";
    const char *system_line = difference->line < system->count ? system->lines[difference->line] : "(nothing)";
    printf("\nDIFFERENCE in %s, %s\n", folder, engine);
    for (int index = 0; index < program->count; index++) { printf("  %s\n", program->lines[index]); }
    printf("system: %s\nours:   %s\n", system_line, ours_line);
    fflush(stdout);
}

/// Reports a difference that did not recur. It is not a failure, since a busy machine may be the only reason.
static void report_once(const struct lines *program, const struct lines *system, const struct lines *ours, int line) {
    printf("\nSEEN ONCE in %s, %s: %s\nsystem: %s\nours:   %s\n", folder, engine, program->lines[0],
        line < system->count ? system->lines[line] : "(nothing)", line < ours->count ? ours->lines[line] : "(nothing)");
    fflush(stdout);
}

static void examine(struct lines *program, const struct lines *seen_system, const struct lines *seen_ours,
    const struct difference *seen) {
    static struct lines system, ours;
    struct difference difference;
    enum verdict verdict = judge(program, TRIES, &system, &ours, &difference);
    if (verdict == UNDETERMINED) {
        undetermined++;
        return;
    }
    if (verdict == SAME) {
        once++;
        report_once(program, seen_system, seen_ours, seen->line);
        return;
    }
    differences++;
    if (is_known(difference.signature)) { return; }
    make_small(program, &system, &ours, &difference);
    report(program, &system, &ours, &difference);
}

static void compare_batch(const char *text) {
    struct text results[2];
    static struct lines program, system, ours;
    run_both(text, results);
    const char *position = text, *positions[2] = {results[0].bytes, results[1].bytes};
    while (next_lines(&position, &program)) {
        if (!next_lines(&positions[SYSTEM], &system) || !next_lines(&positions[OURS], &ours)) {
            BROKEN("a transcript is missing, of %s", program.lines[0]);
        }
        programs++;
        if (hangs(&system)) {
            undetermined++;
            continue;
        }
        struct difference difference = compare(&system, &ours);
        if (difference.line >= 0) { examine(&program, &system, &ours, &difference); }
    }
    free(results[0].bytes);
    free(results[1].bytes);
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) { BROKEN("%s: %s", path, strerror(errno)); }
    struct text text = {NULL, 0};
    static char bytes[65536];
    size_t length;
    while ((length = fread(bytes, 1, sizeof bytes, file)) > 0) { append(&text, bytes, length); }
    fclose(file);
    compare_batch(text.bytes);
    free(text.bytes);
}

static void prepare_folder(const char *path) {
    char side[4200];
    folder = path;
    for (int index = SYSTEM; index <= OURS; index++) {
        snprintf(side, sizeof side, "%s/%s", path, index == SYSTEM ? "system" : "ours");
        if (mkdir(side, 0700) != 0 && errno != EEXIST) { BROKEN("%s: %s", side, strerror(errno)); }
    }
}

int main(int count, char **arguments) {
    if (count < 6) { BROKEN("usage: %s INTERPRETER LIBRARY SECONDS SEED FOLDER... [-- FILE]", arguments[0]); }
    interpreter = arguments[1];
    interpreter_name = strrchr(interpreter, '/') ? strrchr(interpreter, '/') + 1 : interpreter;
    library = arguments[2];
    end_time = seconds_now() + strtod(arguments[3], NULL);
    uint64_t seed = strtoull(arguments[4], NULL, 10);
    const char *file = NULL;
    int last = count;
    if (count > 7 && strcmp(arguments[count - 2], "--") == 0) { file = arguments[count - 1], last = count - 2; }
    snprintf(scratch, sizeof scratch, "/tmp/differ-XXXXXX");
    if (!mkdtemp(scratch)) { BROKEN("no folder: %s", strerror(errno)); }
    static const char *const engines[] = {"io_uring", "threads"};
    for (unsigned long round = 0; file ? round < 2 * (unsigned long)(last - 5) : seconds_now() < end_time; round++) {
        engine = engines[round % 2];
        prepare_folder(arguments[5 + (round / 2) % (unsigned long)(last - 5)]);
        if (file) {
            run_file(file);
            continue;
        }
        struct text text = generated(seed, BATCH);
        compare_batch(text.bytes);
        free(text.bytes);
        seed += BATCH;
    }
    printf("\n%lu programs: %lu with a difference, of %d kinds; %lu differed once and not again; "
           "%lu are not determined\n",
        programs, differences, signature_count, once, undetermined);
    printf("%lu lines differ as allowed, %lu by faults that are left\n", permitted, known_faults);
    for (int index = 0; index < signature_count; index++) {
        printf("%6lu %s\n", signature_counts[index], signatures[index]);
    }
    char path[4200];
    snprintf(path, sizeof path, "%s/programs", scratch);
    unlink(path);
    rmdir(scratch);
    return differences > 0;
}
