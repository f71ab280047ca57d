// Processes whose main thread ends first, with POSIX AIO in use.
#include "posix_cases.h"
#include "thread_ends.h"

static int file;
static uint8_t memory[64][16384];
static struct aiocb blocks[64];

static void read_cold(void) {
    make_cold(file);
    if (read_now(file, memory[0], 4096, 0) != 4096) { _exit(8); }
}

static void write_all(void) {
    for (int index = 0; index < 64; index++) {
        fill_known(memory[index], sizeof memory[index], (uint64_t)index * sizeof memory[index], 7);
        blocks[index] = block_of(file, memory[index], sizeof memory[index], (off_t)(index * sizeof memory[index]));
        if (aio_write(&blocks[index]) != 0) { _exit(8); }
    }
}

static void note_event(union sigval value) {
    while (!has_told) { sched_yield(); }
    // By time: nothing tells that the library would not end the process while this thread is the program's only one.
    usleep(300000);
    if (write(value.sival_int, "n", 1) != 1) { _exit(9); }
}

static void write_with_notice(void) {
    blocks[0] = block_of(file, memory[0], 16384, 0);
    blocks[0].aio_sigevent = (struct sigevent){
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = note_event, .sigev_value.sival_int = report_pipe[1]};
    if (aio_write(&blocks[0]) != 0) { _exit(8); }
}

static void main_reads(void) {
    file = new_file(O_RDWR, 65536, 1);
    fact_ends("end", read_cold, NULL);
}

static void others_read_after_main_ended(void) {
    file = new_file(O_RDWR, 65536, 1);
    fact_ends("end", NULL, read_cold);
    fact_ends("end after both", read_cold, read_cold);
}

static void writes_are_carried_out(void) {
    file = new_file(O_RDWR, 65536, 1);
    fact_ends("end", write_all, NULL);
    fact_bool("content", has_content(file, sizeof memory, 7));
    file = new_file(O_RDWR, 65536, 1);
    fact_ends("end of another thread's", NULL, write_all);
    fact_bool("content of another thread's", has_content(file, sizeof memory, 7));
}

static void notices_are_waited_for(void) {
    file = new_file(O_RDWR, 65536, 1);
    fact_ends("end", write_with_notice, NULL);
}

static const struct test_case cases[] = {
    {"main-reads", main_reads},
    {"others-read-after-main-ended", others_read_after_main_ended},
    {"writes-are-carried-out", writes_are_carried_out},
    {"notices-are-waited-for", notices_are_waited_for},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
