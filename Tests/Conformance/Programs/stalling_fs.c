// A FUSE file system that stalls on chosen files. Each file has 1 GiB of bytes that follow from their offset.
//
//   fast          replies at once
//   hang          reads get no reply until "release" is opened
//   hang-direct   the same without the page cache; an interrupted read ends with EINTR
//   release       its open ends all stalls, for later reads as well
//
// The argument is the mount point: /dev/fd/N for a descriptor of /dev/fuse that is already mounted.
#define FUSE_USE_VERSION 31
#include <fuse_lowlevel.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOT = FUSE_ROOT_ID, FAST, HANG, HANG_DIRECT, RELEASE, END };
static const char *const names[END] = {[FAST] = "fast", [HANG] = "hang", [HANG_DIRECT] = "hang-direct",
                                       [RELEASE] = "release"};
static const off_t file_size = 1 << 30;

struct held {
    fuse_req_t request;
    size_t size;
    off_t offset;
    struct held *next;
};
static struct held *held_reads;
static bool is_released;

static struct stat status_of(fuse_ino_t node) {
    struct stat status = {.st_ino = node, .st_nlink = 1, .st_mode = S_IFREG | 0444, .st_size = file_size};
    if (node == ROOT) { status.st_mode = S_IFDIR | 0555; }
    return status;
}

static void reply_data(fuse_req_t request, size_t size, off_t offset) {
    if (offset >= file_size) {
        fuse_reply_buf(request, NULL, 0);
        return;
    }
    if ((off_t)size > file_size - offset) { size = file_size - offset; }
    unsigned char *data = malloc(size);
    for (size_t index = 0; index < size; index++) { data[index] = (unsigned char)((offset + index) * 131 >> 3); }
    fuse_reply_buf(request, (char *)data, size);
    free(data);
}

static void fs_init(void *user, struct fuse_conn_info *connection) {
    (void)user;
    // Otherwise the kernel's limits on background requests would delay reads behind a few that hang.
    connection->max_background = 4096;
    connection->congestion_threshold = 4096;
    // Otherwise the kernel would issue direct reads asynchronously, and they could not be interrupted.
    connection->want &= ~FUSE_CAP_ASYNC_DIO;
}

static void fs_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    for (int node = FAST; parent == ROOT && node < END; node++) {
        if (strcmp(name, names[node]) != 0) { continue; }
        struct fuse_entry_param entry = {.ino = node, .attr = status_of(node), .attr_timeout = 1, .entry_timeout = 1};
        fuse_reply_entry(request, &entry);
        return;
    }
    fuse_reply_err(request, ENOENT);
}

static void fs_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    (void)info;
    struct stat status = status_of(node);
    fuse_reply_attr(request, &status, 1);
}

static void release_all(void) {
    is_released = true;
    struct held *read = held_reads;
    held_reads = NULL;
    while (read) {
        struct held *next = read->next;
        fuse_req_interrupt_func(read->request, NULL, NULL);
        reply_data(read->request, read->size, read->offset);
        free(read);
        read = next;
    }
}

static void fs_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    if (node == RELEASE) { release_all(); }
    info->direct_io = node == HANG_DIRECT;
    fuse_reply_open(request, info);
}

static void interrupted(fuse_req_t request, void *data) {
    struct held *read = data;
    struct held **place = &held_reads;
    while (*place && *place != read) { place = &(*place)->next; }
    bool is_held = *place == read;
    if (is_held) { *place = read->next; }
    if (is_held) {
        fuse_reply_err(request, EINTR);
        free(read);
    }
}

static void fs_read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    bool hangs = (node == HANG || node == HANG_DIRECT) && !is_released;
    struct held *read = NULL;
    if (hangs) {
        read = malloc(sizeof *read);
        *read = (struct held){request, size, offset, held_reads};
        held_reads = read;
    }
    if (!hangs) {
        reply_data(request, size, offset);
    } else if (node == HANG_DIRECT) {
        // Calls `interrupted` immediately if the request was interrupted before.
        fuse_req_interrupt_func(request, interrupted, read);
    }
}

int main(int count, char **arguments) {
    if (count != 2) { return 2; }
    const struct fuse_lowlevel_ops operations = {
        .init = fs_init, .lookup = fs_lookup, .getattr = fs_getattr, .open = fs_open, .read = fs_read};
    struct fuse_args none = FUSE_ARGS_INIT(1, arguments);
    struct fuse_session *session = fuse_session_new(&none, &operations, sizeof operations, NULL);
    if (!session || fuse_session_mount(session, arguments[1]) != 0) { return 1; }
    // One thread suffices, since no handler blocks.
    int result = fuse_session_loop(session);
    fuse_session_destroy(session);
    return result != 0;
}
