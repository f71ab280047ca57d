// Holds on the files of operations in flight must not affect the program's own use of these files.
#include "libaio_cases.h"

#include <sys/file.h>
#include <sys/wait.h>

enum { size = 64 * 4096 };

static io_context_t context;
static uint8_t *memory;

static void begin(void) {
    context = new_context(64);
    memory = aligned_memory(size);
}

/// Reads and writes on the disk, through the page cache, and mixed.
static void use(const char *when, int file) {
    char what[64];
    make_cold(file);
    snprintf(what, sizeof what, "%s, cold read", when);
    fact_performed(what, context, block(IOCB_CMD_PREAD, file, memory, size, 0));
    snprintf(what, sizeof what, "%s, read", when);
    fact_performed(what, context, block(IOCB_CMD_PREAD, file, memory, 4096, 4096));
    snprintf(what, sizeof what, "%s, write", when);
    fact_performed(what, context, block(IOCB_CMD_PWRITE, file, memory, 4096, 4096));
    snprintf(what, sizeof what, "%s, sync", when);
    fact_performed(what, context, block(IOCB_CMD_FSYNC, file, NULL, 0, 0));
}

/// Whether another process finds the file locked.
static bool is_locked(int file) {
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK};
        _exit(fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) { broken("fork"); }
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void record_locks_stay(void) {
    begin();
    int file = new_file(O_RDWR, size, 1);
    struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 20};
    if (fcntl(file, F_SETLK, &lock) != 0) { broken("F_SETLK"); }
    fact_bool("locked before", is_locked(file));
    use("locked", file);
    fact_bool("locked after", is_locked(file));
    lock.l_type = F_UNLCK;
    fcntl(file, F_SETLK, &lock);
    use("unlocked", file);
    fact_bool("locked at last", is_locked(file));
}

/// Like a database: files that are locked permanently, each with more operations than any table has slots.
static void record_locks_stay_however_many(void) {
    enum { FILES = 8, ROUNDS = 100 };
    io_context_t context = new_context(8);
    int files[FILES], lost = 0, failed = 0;
    uint8_t memory[4096] = {1};
    for (int index = 0; index < FILES; index++) {
        files[index] = new_file(O_RDWR, 1 << 20, 3);
        struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(files[index], F_SETLK, &range) != 0) { broken("F_SETLK"); }
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int index = 0; index < FILES; index++) {
            failed += perform(context, block(IOCB_CMD_PWRITE, files[index], memory, 4096, round * 4096)) != 4096;
        }
    }
    for (int index = 0; index < FILES; index++) { lost += !is_locked(files[index]); }
    fact("failed", "%d", failed);
    fact("locks lost", "%d", lost);
    int descriptors = 0;
    for (int number = 0; number < 8192; number++) { descriptors += fcntl(number, F_GETFD) >= 0; }
    fact_bool("a few descriptors for each file at most", descriptors < 8 * FILES);
}

static void flock_goes_with_its_file(void) {
    begin();
    char path[4096];
    snprintf(path, sizeof path, "%s/locked-XXXXXX", scratch_folder);
    int file = mkstemp(path);
    if (file < 0 || ftruncate(file, size) != 0) { broken("mkstemp"); }
    if (flock(file, LOCK_EX) != 0) { broken("flock"); }
    use("open", file);
    make_cold(file);
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, size, 0);
    fact_result("submit", submit_one(context, &read));
    close(file);
    fact_result("read of the closed file", next_event(context).res);
    // When the event is there, the hold has ended.
    int again = open(path, O_RDWR | O_CLOEXEC);
    fact_result("lock through another", flock(again, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno);
    unlink(path);
}

static void readers_see_the_end(void) {
    begin();
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    fact_performed("write", context, block(IOCB_CMD_PWRITE, ends[1], memory, 3, 0));
    close(ends[1]);
    fact_result("read", read(ends[0], memory, 10));
    fact_result("at the end", read(ends[0], memory, 10));
}

static void lowest_numbers_are_the_programs(void) {
    begin();
    int file = new_file(O_RDWR, size, 1);
    int before = dup(file);
    close(before);
    use("open", file);
    fact_bool("the same number is the next", dup(file) == before);
}

static void many_files(void) {
    begin();
    long sum = 0;
    for (int round = 0; round < 400; round++) {
        int file = new_file(O_RDWR, 4096, (uint64_t)round);
        make_cold(file);
        struct iocb read = block(IOCB_CMD_PREAD, file, memory, 4096, 0);
        if (submit_one(context, &read) != 1) { broken("io_submit"); }
        close(file);
        if (next_event(context).res == 4096 && is_known(memory, 4096, 0, (uint64_t)round)) { sum++; }
    }
    fact_result("files read after their close", sum);
}

static const struct test_case cases[] = {
    {"record-locks-stay", record_locks_stay},
    {"record-locks-stay-however-many", record_locks_stay_however_many},
    {"flock-goes-with-its-file", flock_goes_with_its_file},
    {"readers-see-the-end", readers_see_the_end},
    {"lowest-numbers-are-the-programs", lowest_numbers_are_the_programs},
    {"many-files", many_files},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
