/// The names of file systems, from the magic numbers of linux/magic.h that statfs(2) returns.
enum FileSystemName {
    static func of(_ magic: Int64) -> String {
        switch magic {
        case 0xEF53: "ext4"
        case 0x5846_5342: "xfs"
        case 0x9123_683E: "btrfs"
        case 0x0102_1994: "tmpfs"
        case 0x794C_7630: "overlayfs"
        case 0x6969: "nfs"
        case 0xFF53_4D42, 0xFE53_4D42: "cifs"
        case 0x2FC1_2FC1: "zfs"
        case 0xF2F5_2010: "f2fs"
        case 0x6573_5546: "fuse"
        case 0x0102_1997: "9p"
        case 0xCA45_1A4E: "bcachefs"
        case 0x9FA0: "procfs"
        case 0x6265_6572: "sysfs"
        default: "file system 0x" + String(magic, radix: 16)
        }
    }
}
