// Submits eight blocks in mapped memory and then eight on the stack, one per call. A tracer counts the calls that check
// memory between the lines on standard output.
#include "libaio_cases.h"

enum { COUNT = 8 };

static uint8_t memory[512];

static void say(const char *line) {
    if (write(1, line, strlen(line)) < 0) { broken("write"); }
}

static void perform_all(io_context_t context, struct iocb *read) {
    for (int index = 0; index < COUNT; index++) {
        struct io_event event;
        if (submit_one(context, read) != 1 || io_getevents(context, 1, 1, &event, NULL) != 1) { broken("read"); }
    }
}

int main(int count, char **arguments) {
    scratch_folder = count > 1 ? arguments[1] : ".";
    int file = new_file(O_RDONLY, sizeof memory, 1);
    io_context_t context = new_context(8);
    struct iocb *mapped = aligned_memory(4096), local = block(IOCB_CMD_PREAD, file, memory, sizeof memory, 0);
    *mapped = local;
    perform_all(context, mapped);
    say("mapped\n");
    perform_all(context, mapped);
    say("stack\n");
    perform_all(context, &local);
    say("end\n");
    return io_destroy(context);
}
