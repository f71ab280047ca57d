// libaio with system calls of the library's that hang or fail on plan (AIO_FAULTS): see PlannedFaultTests.swift.
#include "libaio_cases.h"

/// More than the library tries to write in the call.
enum { SIZE = 1 << 18 };

static uint8_t memory[2][SIZE];

/// A context with two writes of a file in flight.
static io_context_t with_two_writes(void) {
    int file = new_file(O_RDWR, 2 * SIZE, 3);
    io_context_t context = new_context(4);
    static struct iocb writes[2];
    struct iocb *list[] = {&writes[0], &writes[1]};
    for (int index = 0; index < 2; index++) {
        writes[index] = block(IOCB_CMD_PWRITE, file, memory[index], SIZE, index * SIZE);
    }
    if (io_submit(context, 2, list) != 2) { broken("io_submit"); }
    return context;
}

static void writes_run_side_by_side(void) {
    io_context_t context = with_two_writes();
    fact_result("the one that does not hang", next_event(context).res);
    fact("ended", "%ld", 1 + event_count_now(context));
}

/// At least none, of two: the first event ends the call, also while another operation is in flight.
static void at_least_none_while_one_hangs(void) {
    io_context_t context = with_two_writes();
    struct io_event events[2];
    struct timespec limit = {600, 0};
    fact("events", "%d", io_getevents(context, 0, 2, events, &limit));
}

static void the_number_is_closed_meanwhile(void) {
    int file = new_file(O_RDWR, SIZE, 3);
    fact_performed("write", new_context(4), block(IOCB_CMD_PWRITE, file, memory[0], SIZE, 0));
}

static const struct test_case cases[] = {
    {"writes-run-side-by-side", writes_run_side_by_side},
    {"at-least-none-while-one-hangs", at_least_none_while_one_hangs},
    {"the-number-is-closed-meanwhile", the_number_is_closed_meanwhile},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
