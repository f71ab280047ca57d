// A FUSE file system that records what reaches a disk. Its files:
//
//   image     the disk's content, for a loop device
//   marks/    the creation of a name in it is a mark: the moment at which a program promised something
//
// Usage: recording_fs DESCRIPTOR IMAGE LOG, with a descriptor of /dev/fuse that is mounted. The log has one record for
// each write, hole, sync and mark, in the order in which they were completed: one thread answers one request after the
// other. A record is a letter (W, Z, F, M), seven bytes of padding, an offset and a length in the machine's order, and
// then the data of a write or the name of a mark.
#define FUSE_USE_VERSION 31
#include <fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// The nodes of marks follow MARKS.
enum { ROOT = FUSE_ROOT_ID, IMAGE, MARKS };
static const size_t write_max = 1 << 20;

static unsigned char *image;
static off_t image_size;
static FILE *log_file;
static fuse_ino_t last_node = MARKS;

struct record {
    char kind;
    char padding[7];
    uint64_t offset, length;
};

static void append_record(char kind, off_t offset, size_t length, const void *data) {
    struct record record = {.kind = kind, .offset = (uint64_t)offset, .length = length};
    size_t written = fwrite(&record, sizeof record, 1, log_file);
    if (written == 1 && data) { written = length == 0 || fwrite(data, length, 1, log_file) == 1; }
    if (written != 1) {
        perror("recording_fs: the log");
        // Without a complete log there is nothing to replay: the mount fails.
        exit(1);
    }
}

static struct stat status_of(fuse_ino_t node) {
    struct stat status = {.st_ino = node, .st_nlink = 1, .st_mode = S_IFREG | 0666};
    if (node == ROOT || node == MARKS) { status.st_mode = S_IFDIR | 0777; }
    if (node == IMAGE) { status.st_size = image_size; }
    return status;
}

static struct fuse_entry_param entry_of(fuse_ino_t node) {
    return (struct fuse_entry_param){.ino = node, .attr = status_of(node)};
}

static void fs_init(void *user, struct fuse_conn_info *connection) {
    (void)user;
    connection->max_write = write_max;
}

static void fs_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    fuse_ino_t node = 0;
    if (parent == ROOT && strcmp(name, "image") == 0) { node = IMAGE; }
    if (parent == ROOT && strcmp(name, "marks") == 0) { node = MARKS; }
    struct fuse_entry_param entry = entry_of(node);
    if (node) { fuse_reply_entry(request, &entry); } else { fuse_reply_err(request, ENOENT); }
}

static void fs_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
    (void)info;
    struct stat status = status_of(node);
    fuse_reply_attr(request, &status, 0);
}

static void fs_setattr(fuse_req_t request, fuse_ino_t node, struct stat *status, int what,
                       struct fuse_file_info *info) {
    (void)status;
    (void)what;
    fs_getattr(request, node, info);
}

static void fs_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info) {
    (void)mode;
    if (parent != MARKS) {
        fuse_reply_err(request, EPERM);
        return;
    }
    append_record('M', 0, strlen(name), name);
    struct fuse_entry_param entry = entry_of(++last_node);
    fuse_reply_create(request, &entry, info);
}

static void fs_read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    if (node != IMAGE || offset >= image_size) {
        fuse_reply_buf(request, NULL, 0);
        return;
    }
    if ((off_t)size > image_size - offset) { size = image_size - offset; }
    fuse_reply_buf(request, (char *)image + offset, size);
}

static void fs_write(fuse_req_t request, fuse_ino_t node, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *info) {
    (void)info;
    if (node == IMAGE) {
        if (offset > image_size || (off_t)size > image_size - offset) {
            fuse_reply_err(request, ENOSPC);
            return;
        }
        memcpy(image + offset, data, size);
        append_record('W', offset, size, data);
    }
    fuse_reply_write(request, size);
}

static void fs_fsync(fuse_req_t request, fuse_ino_t node, int only_data, struct fuse_file_info *info) {
    (void)only_data;
    (void)info;
    if (node == IMAGE) { append_record('F', 0, 0, NULL); }
    fuse_reply_err(request, 0);
}

// A discarded range reads as zeros here.
static void fs_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length,
                         struct fuse_file_info *info) {
    (void)info;
    if (node != IMAGE || !(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
        fuse_reply_err(request, EOPNOTSUPP);
        return;
    }
    if (offset > image_size || length > image_size - offset) {
        fuse_reply_err(request, EINVAL);
        return;
    }
    memset(image + offset, 0, length);
    append_record('Z', offset, length, NULL);
    fuse_reply_err(request, 0);
}

static int open_files(const char *image_path, const char *log_path) {
    int descriptor = open(image_path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) { return -1; }
    image_size = status.st_size;
    image = mmap(NULL, image_size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    log_file = fopen(log_path, "we");
    return image == MAP_FAILED || !log_file ? -1 : 0;
}

int main(int count, char **arguments) {
    if (count != 4) { return 2; }
    char mount_point[64];
    snprintf(mount_point, sizeof mount_point, "/dev/fd/%s", arguments[1]);
    if (open_files(arguments[2], arguments[3]) != 0) {
        perror("recording_fs");
        return 1;
    }
    const struct fuse_lowlevel_ops operations = {
        .init = fs_init, .lookup = fs_lookup, .getattr = fs_getattr, .setattr = fs_setattr, .create = fs_create,
        .read = fs_read, .write = fs_write, .fsync = fs_fsync, .fallocate = fs_fallocate};
    struct fuse_args none = FUSE_ARGS_INIT(1, arguments);
    struct fuse_session *session = fuse_session_new(&none, &operations, sizeof operations, NULL);
    if (!session || fuse_session_mount(session, mount_point) != 0) { return 1; }
    int result = fuse_session_loop(session);
    fuse_session_destroy(session);
    return fclose(log_file) != 0 || result != 0;
}
