// POSIX AIO with system calls of the library's that hang or fail on plan (AIO_FAULTS): see PlannedFaultTests.swift.
#include "posix_cases.h"

enum { SIZE = 1 << 18 };

static uint8_t memory[2][SIZE];

static void writes_run_side_by_side(void) {
    int file = new_file(O_RDWR, 2 * SIZE, 3), ended = 0;
    struct aiocb writes[2];
    const struct aiocb *list[] = {&writes[0], &writes[1]};
    for (int index = 0; index < 2; index++) {
        writes[index] = block_of(file, memory[index], SIZE, index * SIZE);
        if (aio_write(&writes[index]) != 0) { broken("aio_write"); }
    }
    if (aio_suspend(list, 2, NULL) != 0) { broken("aio_suspend"); }
    for (int index = 0; index < 2; index++) {
        if (aio_error(&writes[index]) == EINPROGRESS) { continue; }
        ended++;
        fact_result("the one that does not hang", finish(&writes[index]));
    }
    fact("ended", "%d", ended);
}

static void the_number_is_closed_meanwhile(void) {
    int file = new_file(O_RDWR, SIZE, 3);
    fact_result("write", write_now(file, memory[0], SIZE, 0));
}

static const struct test_case cases[] = {
    {"writes-run-side-by-side", writes_run_side_by_side},
    {"the-number-is-closed-meanwhile", the_number_is_closed_meanwhile},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
