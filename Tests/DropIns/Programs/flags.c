// The flags of single transfers (RWF_) on files of every kind: in an unused context, and in one that has read through
// the page cache.
#include "libaio_cases.h"

#include <sys/socket.h>
#include <sys/uio.h>

enum {
    HIPRI = 0x1, DSYNC = 0x2, SYNC = 0x4, NOWAIT = 0x8, APPEND = 0x10, NOAPPEND = 0x20, ATOMIC = 0x40, DONTCACHE = 0x80
};

static const struct { const char *name; uint32_t value; } flags[] = {
    {"nothing", 0}, {"HIPRI", HIPRI}, {"DSYNC", DSYNC}, {"SYNC", SYNC}, {"NOWAIT", NOWAIT}, {"APPEND", APPEND},
    {"NOAPPEND", NOAPPEND}, {"ATOMIC", ATOMIC}, {"DONTCACHE", DONTCACHE}, {"NOWAIT and DSYNC", NOWAIT | DSYNC},
    {"NOWAIT and APPEND", NOWAIT | APPEND}, {"NOWAIT and DONTCACHE", NOWAIT | DONTCACHE},
    {"APPEND and NOAPPEND", APPEND | NOAPPEND}, {"unknown", 1u << 20},
};

static const struct { const char *name; int opcode; bool isWrite, isVectored; } kinds[] = {
    {"read", IOCB_CMD_PREAD, false, false}, {"readv", IOCB_CMD_PREADV, false, true},
    {"write", IOCB_CMD_PWRITE, true, false}, {"writev", IOCB_CMD_PWRITEV, true, true},
};

static uint8_t bytes[4096];
static struct iovec vectors[2] = {{bytes, 1024}, {bytes + 1024, 3072}};

static io_context_t context_of(bool hasRead) {
    io_context_t context = new_context(8);
    if (hasRead) {
        int file = new_file(O_RDONLY, 4096, 9);
        perform(context, block(IOCB_CMD_PREAD, file, bytes, 4096, 0));
        close(file);
    }
    return context;
}

/// Runs all transfers: `descriptor` creates the file or stream for one, `state` describes its content afterwards.
static void every_transfer(int (*descriptor)(bool isWrite), void (*state)(char *text, size_t size)) {
    for (int hasRead = 0; hasRead < 2; hasRead++) {
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
            for (size_t flag = 0; flag < sizeof flags / sizeof *flags; flag++) {
                io_context_t context = context_of(hasRead);
                int file = descriptor(kinds[kind].isWrite);
                memset(bytes, 'b', sizeof bytes);
                struct iocb one = kinds[kind].isVectored
                    ? block(kinds[kind].opcode, file, vectors, 2, 0)
                    : block(kinds[kind].opcode, file, bytes, 4096, 0);
                one.rw_flags = flags[flag].value;
                long submitted = submit_one(context, &one);
                long result = submitted == 1 ? next_event(context).res : submitted;
                char text[128] = "", what[64];
                state(text, sizeof text);
                snprintf(what, sizeof what, "%s of a %s context, %s", kinds[kind].name, hasRead ? "used" : "new",
                    flags[flag].name);
                fact(what, "%s%s, memory %s%s", submitted == 1 ? "" : "refused with ", result_name(result),
                    is_filled(bytes, 4096, 'b') ? "untouched" : "read", text);
                io_destroy(context);
            }
        }
    }
}

static int subject = -1, other = -1;

static void done_with_them(void) {
    if (subject >= 0) { close(subject); }
    if (other >= 0) { close(other); }
    subject = other = -1;
}

static void file_state(char *text, size_t size) {
    uint8_t content[8192];
    ssize_t count = pread(subject, content, sizeof content, 0);
    snprintf(text, size, ", file of %zd begins with %s", count, count > 0 && content[0] == 'b' ? "what was written" : "its own");
}

static int new_subject(int open_flags) {
    done_with_them();
    subject = new_file(O_RDWR | open_flags, 4096, 4);
    // Brings the file into the page cache.
    uint8_t content[4096];
    if (pread(subject, content, 4096, 0) != 4096) { broken("pread"); }
    return subject;
}

static int plain(bool isWrite) { (void)isWrite; return new_subject(0); }
static int appending(bool isWrite) { (void)isWrite; return new_subject(O_APPEND); }
static void files(void) { every_transfer(plain, file_state); }
static void files_open_for_appending(void) { every_transfer(appending, file_state); }

static int in_memory(bool isWrite) {
    (void)isWrite;
    done_with_them();
    subject = memfd_create("test", MFD_CLOEXEC);
    uint8_t content[4096];
    fill_known(content, 4096, 0, 4);
    if (pwrite(subject, content, 4096, 0) != 4096) { broken("pwrite"); }
    return subject;
}
static void files_in_memory(void) { every_transfer(in_memory, file_state); }

static void no_state(char *text, size_t size) { (void)text; (void)size; }

static int pipe_end(bool isWrite) {
    done_with_them();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) { broken("pipe2"); }
    subject = ends[isWrite];
    other = ends[!isWrite];
    uint8_t content[4096] = {1};
    if (!isWrite && write(other, content, 4096) != 4096) { broken("write"); }
    return subject;
}
static void pipes(void) { every_transfer(pipe_end, no_state); }

static int socket_end(bool isWrite) {
    done_with_them();
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) { broken("socketpair"); }
    subject = ends[0];
    other = ends[1];
    uint8_t content[4096] = {1};
    if (!isWrite && write(other, content, 4096) != 4096) { broken("write"); }
    return subject;
}
static void sockets(void) { every_transfer(socket_end, no_state); }

/// Reads without data, and writes without room.
static void no_waiting_on_streams(void) {
    for (int hasRead = 0; hasRead < 2; hasRead++) {
        io_context_t context = context_of(hasRead);
        int ends[2], sockets[2];
        if (pipe2(ends, O_CLOEXEC) != 0) { broken("pipe2"); }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) { broken("socketpair"); }
        struct { const char *name; int opcode, descriptor; } tries[] = {
            {"empty pipe", IOCB_CMD_PREAD, ends[0]}, {"empty socket", IOCB_CMD_PREAD, sockets[0]},
            {"full pipe", IOCB_CMD_PWRITE, ends[1]}, {"full socket", IOCB_CMD_PWRITE, sockets[1]},
        };
        for (int index = 0; index < 4; index++) {
            if (tries[index].opcode == IOCB_CMD_PWRITE) {
                int number = tries[index].descriptor;
                fcntl(number, F_SETFL, O_NONBLOCK);
                while (write(number, bytes, 4096) > 0) {}
                while (write(number, bytes, 1) > 0) {}
                fcntl(number, F_SETFL, 0);
            }
            struct iocb one = block(tries[index].opcode, tries[index].descriptor, bytes, 100, 0);
            one.rw_flags = NOWAIT;
            char what[64];
            snprintf(what, sizeof what, "%s, %s context", tries[index].name, hasRead ? "used" : "new");
            fact_performed(what, context, one);
        }
        io_destroy(context);
    }
}

// The file's own flags are evaluated once, at submission.

enum { ROUNDS = 40, PIECES = 8, PIECE = 1 << 16 };

static void appending_is_set_afterwards(void) {
    io_context_t context = context_of(true);
    uint8_t *memory = aligned_memory(PIECE);
    memset(memory, 'n', PIECE);
    int grown = 0, moved = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int file = new_file(O_RDWR, PIECES * PIECE, 1);
        struct iocb blocks[PIECES], *list[PIECES];
        for (int index = 0; index < PIECES; index++) {
            blocks[index] = block(IOCB_CMD_PWRITE, file, memory, PIECE, (int64_t)index * PIECE);
            list[index] = &blocks[index];
        }
        if (io_submit(context, PIECES, list) != PIECES) { broken("io_submit"); }
        fcntl(file, F_SETFL, O_RDWR | O_APPEND);
        for (int index = 0; index < PIECES; index++) { next_event(context); }
        uint8_t byte = 0;
        grown += lseek(file, 0, SEEK_END) != PIECES * PIECE;
        for (int index = 0; index < PIECES; index++) {
            if (pread(file, &byte, 1, (int64_t)index * PIECE) == 1) { moved += byte != 'n'; }
        }
        close(file);
    }
    fact("files that grew", "%d", grown);
    fact("pieces elsewhere", "%d", moved);
}

static void appending_is_given_up_afterwards(void) {
    io_context_t context = context_of(true);
    int short_files = 0, disordered = 0;
    uint8_t *memory = aligned_memory(PIECES * 4096);
    for (int index = 0; index < PIECES; index++) { memset(memory + index * 4096, 'A' + index, 4096); }
    for (int round = 0; round < ROUNDS; round++) {
        int file = new_file(O_RDWR | O_APPEND, 4096, 1);
        struct iocb blocks[PIECES], *list[PIECES];
        for (int index = 0; index < PIECES; index++) {
            blocks[index] = block(IOCB_CMD_PWRITE, file, memory + index * 4096, 4096, 0);
            list[index] = &blocks[index];
        }
        if (io_submit(context, PIECES, list) != PIECES) { broken("io_submit"); }
        fcntl(file, F_SETFL, O_RDWR);
        for (int index = 0; index < PIECES; index++) { next_event(context); }
        short_files += lseek(file, 0, SEEK_END) != (PIECES + 1) * 4096;
        for (int index = 0; index < PIECES; index++) {
            uint8_t byte = 0;
            disordered += pread(file, &byte, 1, (index + 1) * 4096) != 1 || byte != 'A' + index;
        }
        close(file);
    }
    fact("short files", "%d", short_files);
    fact("pieces that are not in the order of their submission", "%d", disordered);
}

/// Submits TOGETHER transfers per call: a worker with several first tries each without waiting.
static void direct_is_set_afterwards(bool isWrite, int together) {
    io_context_t context = context_of(true);
    int file = new_file(O_RDWR, 1 << 22, 5), failed = 0, wrong = 0;
    uint8_t *memory = aligned_memory(8 * 4096);
    struct iocb blocks[8], *list[8];
    for (int round = 0; round < 60; round++) {
        int64_t offset = (int64_t)round * 65536 + 100;
        fcntl(file, F_SETFL, O_RDWR);
        if (!isWrite) { make_cold(file); }
        for (int index = 0; index < together; index++) {
            uint8_t *piece = memory + index * 4096;
            if (isWrite) { fill_known(piece, 1000, (uint64_t)offset + index * 4096, 6); }
            blocks[index] = block(isWrite ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, file, piece, 1000, offset + index * 4096);
            list[index] = &blocks[index];
        }
        if (io_submit(context, together, list) != together) { broken("io_submit"); }
        fcntl(file, F_SETFL, O_RDWR | O_DIRECT);
        for (int index = 0; index < together; index++) { failed += next_event(context).res != 1000; }
        fcntl(file, F_SETFL, O_RDWR);
        for (int index = 0; index < together; index++) {
            int64_t place = offset + index * 4096;
            uint8_t *piece = memory + index * 4096;
            if (isWrite && pread(file, piece, 1000, place) != 1000) { broken("pread"); }
            wrong += !is_known(piece, 1000, (uint64_t)place, isWrite ? 6 : 5);
        }
    }
    fact("failed", "%d", failed);
    fact("wrong", "%d", wrong);
}

static void direct_is_set_after_a_read(void) { direct_is_set_afterwards(false, 1); }
static void direct_is_set_after_a_write(void) { direct_is_set_afterwards(true, 1); }
static void direct_is_set_after_reads(void) { direct_is_set_afterwards(false, 8); }
static void direct_is_set_after_writes(void) { direct_is_set_afterwards(true, 8); }

static const struct test_case cases[] = {
    {"files", files},
    {"files-open-for-appending", files_open_for_appending},
    {"files-in-memory", files_in_memory},
    {"pipes", pipes},
    {"sockets", sockets},
    {"no-waiting-on-streams", no_waiting_on_streams},
    {"appending-is-set-afterwards", appending_is_set_afterwards},
    {"appending-is-given-up-afterwards", appending_is_given_up_afterwards},
    {"direct-is-set-after-a-read", direct_is_set_after_a_read},
    {"direct-is-set-after-a-write", direct_is_set_after_a_write},
    {"direct-is-set-after-reads", direct_is_set_after_reads},
    {"direct-is-set-after-writes", direct_is_set_after_writes},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
