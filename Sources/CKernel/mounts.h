// Loop devices and mounts without a mount point: ABI of <linux/loop.h> and <linux/mount.h>.

#ifndef CK_MOUNTS_H
#define CK_MOUNTS_H

#include <stdint.h>

struct ck_loop_info {
    uint64_t device, inode, special_device, offset, size_limit;
    uint32_t number, encryption_type, encryption_key_size, flags;
    uint8_t file_name[64], crypt_name[64], encryption_key[32];
    uint64_t initial[2];
};

struct ck_loop_config {
    uint32_t descriptor;
    uint32_t block_size;
    struct ck_loop_info info;
    uint64_t reserved[8];
};
_Static_assert(sizeof(struct ck_loop_config) == 304, "struct loop_config is 304 bytes in the kernel's ABI");

static const uint64_t CK_LOOP_CONFIGURE = 0x4C0A;  // 5.8
static const uint64_t CK_LOOP_CTL_GET_FREE = 0x4C82;
static const uint32_t CK_LO_FLAGS_AUTOCLEAR = 4;

// fsopen(2), fsconfig(2), fsmount(2): 5.2
static const uint32_t CK_FSOPEN_CLOEXEC = 1;
static const uint32_t CK_FSMOUNT_CLOEXEC = 1;
static const uint32_t CK_FSCONFIG_SET_STRING = 1;
static const uint32_t CK_FSCONFIG_CMD_CREATE = 6;
static const uint32_t CK_MOUNT_ATTR_NOSUID = 0x2;
static const uint32_t CK_MOUNT_ATTR_NODEV = 0x4;
static const uint32_t CK_MOUNT_ATTR_NOEXEC = 0x8;
static const uint32_t CK_MOUNT_ATTR_NOATIME = 0x10;

#endif
