// Processes whose main thread ends first, with Linux AIO in use.
#include "libaio_cases.h"
#include "thread_ends.h"

static int file, direct;
static io_context_t context;
static _Alignas(4096) uint8_t memory[64][16384];

static void read_cold(void) {
    context = new_context(8);
    make_cold(file);
    if (perform(context, block(IOCB_CMD_PREAD, file, memory[0], 4096, 0)) != 4096) { _exit(8); }
}

static void read_direct(void) {
    context = new_context(8);
    if (perform(context, block(IOCB_CMD_PREAD, direct, memory[0], 4096, 0)) != 4096) { _exit(8); }
}

static void read_with_another(void) {
    if (perform(context, block(IOCB_CMD_PREAD, file, memory[0], 4096, 0)) != 4096) { _exit(8); }
}

static void write_all(int target) {
    context = new_context(64);
    for (int index = 0; index < 64; index++) {
        fill_known(memory[index], sizeof memory[index], (uint64_t)index * sizeof memory[index], 7);
        struct iocb write = block(IOCB_CMD_PWRITE, target, memory[index], sizeof memory[index],
            (int64_t)(index * sizeof memory[index]));
        if (submit_one(context, &write) != 1) { _exit(8); }
    }
}

static void write_buffered(void) { write_all(file); }

static void write_direct(void) { write_all(direct); }

static void poll_for_ever(void) {
    static int ends[2];
    static struct iocb poll;
    if (pipe(ends) != 0) { broken("pipe"); }
    context = new_context(8);
    poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    if (submit_one(context, &poll) != 1) { _exit(8); }
}

static void open_files(void) {
    file = new_file(O_RDWR, 65536, 1);
    direct = new_file(O_RDWR | O_DIRECT, 65536, 1);
}

static void without_aio(void) { fact_ends("end", NULL, NULL); }

static void main_reads(void) {
    open_files();
    fact_ends("end after cold reads", read_cold, NULL);
    fact_ends("end after direct reads", read_direct, NULL);
}

static void others_read_after_main_ended(void) {
    open_files();
    fact_ends("end", NULL, read_cold);
    fact_ends("end of direct reads", NULL, read_direct);
    fact_ends("end after both", read_cold, read_with_another);
}

static void writes_are_carried_out(void) {
    open_files();
    fact_ends("end", write_buffered, NULL);
    fact_bool("content", has_content(file, sizeof memory, 7));
    fact_ends("end of direct writes", NULL, write_direct);
    fact_bool("content of direct writes", has_content(direct, sizeof memory, 7));
}

static void polls_keep_nobody(void) { fact_ends("end", poll_for_ever, NULL); }

static void child_of_another_thread(void) {
    open_files();
    read_cold();
    fact_ends("end", read_cold, read_with_another);
}

static void *run_child_of_another(void *unused) {
    (void)unused;
    child_of_another_thread();
    return NULL;
}

static void children_of_other_threads(void) { pthread_join(start_thread(run_child_of_another, NULL), NULL); }

static const struct test_case cases[] = {
    {"without-aio", without_aio},
    {"main-reads", main_reads},
    {"others-read-after-main-ended", others_read_after_main_ended},
    {"writes-are-carried-out", writes_are_carried_out},
    {"polls-keep-nobody", polls_keep_nobody},
    {"children-of-other-threads", children_of_other_threads},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
