// Forks, exiting threads, and descriptors that are closed while requests are in progress.
#include "posix_cases.h"

#include <sys/syscall.h>

static char buffer[1 << 16];

static bool child_succeeds(pid_t child) {
    // Over the system's library a child may hang.
    struct pollfd watch = {(int)syscall(SYS_pidfd_open, child, 0), POLLIN, 0};
    bool has_ended = poll(&watch, 1, 3000) == 1;
    close(watch.fd);
    if (!has_ended) { kill(child, SIGKILL); }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return has_ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_child_begins_afresh(void) {
    int file = new_file(O_RDWR, 65536, 1), ends[2], own[2];
    new_pipe(ends);
    new_pipe(own);
    struct aiocb waiting = block_of(ends[0], buffer, 1, 0);
    aio_read(&waiting);
    write_now(file, buffer, 100, 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        struct aiocb reading = block_of(own[0], &byte, 1, 0);
        bool isRight = write_now(file, "hello", 5, 0) == 5 && read_now(file, buffer, 5, 0) == 5;
        make_cold(file);
        isRight &= read_now(file, buffer, 5, 0) == 5 && memcmp(buffer, "hello", 5) == 0;
        aio_read(&reading);
        isRight &= write(own[1], "x", 1) == 1 && finish(&reading) == 1;
        // The parent's requests in progress do not exist in the child.
        const struct aiocb *list[] = {&waiting};
        isRight &= aio_suspend(list, 1, &(struct timespec){1, 0}) == 0;
        _exit(isRight ? 0 : 1);
    }
    fact_bool("the child succeeds", child_succeeds(child));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_result("the parent's read", finish(&waiting));
    fact_result("the parent's next", write_now(file, buffer, 10, 0));
}

static void generations(void) {
    int file = new_file(O_RDWR, 65536, 1);
    write_now(file, buffer, 100, 0);
    pid_t child = fork();
    if (child == 0) {
        write_now(file, buffer, 100, 0);
        pid_t grandchild = fork();
        if (grandchild == 0) { _exit(write_now(file, buffer, 100, 0) == 100 ? 0 : 1); }
        _exit(child_succeeds(grandchild) ? 0 : 1);
    }
    fact_bool("the grandchild succeeds", child_succeeds(child));
}

static struct aiocb handed_over[50];
static char handed_memory[50][512];

static void *hand_over(void *file) {
    for (int index = 0; index < 50; index++) {
        handed_over[index] = block_of(*(int *)file, handed_memory[index], 512, index * 16384);
        aio_read(&handed_over[index]);
    }
    return NULL;
}

static void threads_that_exit(void) {
    int file = new_file(O_RDONLY, 1 << 20, 1), wrong = 0;
    make_cold(file);
    pthread_join(start_thread(hand_over, &file), NULL);
    for (int index = 0; index < 50; index++) {
        wrong += finish(&handed_over[index]) != 512 || !is_known(handed_memory[index], 512, (uint64_t)index * 16384, 1);
    }
    fact_result("wrong", wrong);
}

static void a_close_with_a_read_in_progress(void) {
    int old[2], new[2];
    new_pipe(old);
    new_pipe(new);
    struct aiocb first = block_of(old[0], buffer, 1, 0), second = block_of(old[0], buffer + 1, 1, 0);
    begin(&first);
    aio_read(&second);
    // From here on the number refers to another pipe, with data that no request asked for. The old pipe keeps a reader,
    // whichever request has started by now.
    int kept = dup(old[0]);
    dup2(new[0], old[0]);
    if (write(new[1], "bad", 3) != 3 || write(old[1], "ok", 2) != 2) { broken("write"); }
    fact_result("first", finish(&first));
    fact_result("second", finish(&second));
    fact_bool("read from what was meant", memcmp(buffer, "ok", 2) == 0);
    fcntl(new[0], F_SETFL, O_NONBLOCK);
    fact_result("left in the other", read(new[0], buffer, 10));
    close(kept);
}

static void a_close_with_writes_in_progress(void) {
    enum { COUNT = 200 };
    int wrong = 0, spoiled = 0;
    static struct aiocb blocks[COUNT];
    fill_known(buffer, sizeof buffer, 0, 9);
    for (int round = 0; round < 20; round++) {
        int meant = new_file(O_RDWR, 0, 0), kept = dup(meant), other = new_file(O_RDWR, 0, 0);
        for (int index = 0; index < COUNT; index++) {
            blocks[index] = block_of(meant, buffer, 4096, index * 4096);
            aio_write(&blocks[index]);
        }
        dup2(other, meant);
        for (int index = 0; index < COUNT; index++) { wrong += finish(&blocks[index]) != 4096; }
        wrong += lseek(kept, 0, SEEK_END) != COUNT * 4096;
        spoiled += lseek(other, 0, SEEK_END) != 0;
        close(meant), close(kept), close(other);
    }
    fact_result("wrong", wrong);
    fact_result("files that nobody meant", spoiled);
}

static void a_number_used_again_waits_for_nobody(void) {
    int old[2], new[2];
    new_pipe(old);
    new_pipe(new);
    struct aiocb waiting = block_of(old[0], buffer, 1, 0), next = block_of(old[0], buffer, 1, 0);
    begin(&waiting);
    int kept = dup(old[0]);
    dup2(new[0], old[0]);
    if (write(new[1], "x", 1) != 1) { broken("write"); }
    aio_read(&next);
    fact_bool("a read of the new file ends", ends_within(&next, 500));
    // Both end, whichever pipe they read from.
    if (write(old[1], "yy", 2) != 2 || write(new[1], "yy", 2) != 2) { broken("write"); }
    finish(&waiting);
    finish(&next);
    close(kept);
}

static void a_close_before_a_sync(void) {
    int file = new_file(O_RDWR, 0, 0);
    struct aiocb writing = block_of(file, buffer, 4096, 0), sync = block_of(file, NULL, 0, 0);
    aio_write(&writing);
    aio_fsync(O_SYNC, &sync);
    close(file);
    fact_result("write", finish(&writing));
    fact_result("sync", finish(&sync));
}

int main(int count, char **arguments) {
    const struct test_case cases[] = {
        {"a-child-begins-afresh", a_child_begins_afresh}, {"generations", generations},
        {"threads-that-exit", threads_that_exit},
        {"a-close-with-a-read-in-progress", a_close_with_a_read_in_progress},
        {"a-close-with-writes-in-progress", a_close_with_writes_in_progress},
        {"a-number-used-again-waits-for-nobody", a_number_used_again_waits_for_nobody},
        {"a-close-before-a-sync", a_close_before_a_sync},
    };
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
