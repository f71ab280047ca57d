import AIO
import AIOCore
import CKernel

/// One sample of each operation, for asking an engine whether it supports it. None is carried out.
enum OperationSample {
    /// The name, a sample, and how the engine `threads` carries it out.
    static let all: [(String, AIOCore.Operation, String)] = {
        let file = Descriptor(0, kind: .buffered)
        let transfer = Transfer(file, nil, count: 0, offset: 0)
        let path = UnsafePointer<CChar>(bitPattern: 8)
        let how = UnsafePointer<ck_open_how>(bitPattern: 8)
        let status = UnsafeMutablePointer<ck_statx>(bitPattern: 8)
        var samples: [(String, AIOCore.Operation, String)] = [
            ("read", .read(transfer), "cache, else worker; streams epoll"),
            ("write", .write(transfer), "worker; streams epoll"),
            ("readv", .readVectored(transfer), "cache, else worker; streams epoll"),
            ("writev", .writeVectored(transfer), "worker; streams epoll"),
            ("fsync, fdatasync", .sync(file, .full), "worker"),
            ("sync_file_range", .syncRange(file, offset: 0, count: 0, flags: 0), "worker"),
            ("close", .close(0), "worker"),
            ("fallocate", .allocate(file, mode: 0, offset: 0, count: 1), "worker"),
            ("ftruncate", .truncate(file, size: 0), "worker"),
            ("fadvise", .advise(file, offset: 0, count: 0, advice: 0), "worker"),
            ("poll", .poll(file, events: CK_POLLIN), "epoll"),
        ]
        if let path, let how, let status {
            samples += naming(path)
            samples.append(("openat2", .open(directory: -1, path: path, how: how), "worker"))
            samples.append(
                ("statx", .status(directory: -1, path: path, flags: 0, mask: 0, result: status), "worker"))
        }
        return samples
    }()

    private static func naming(_ path: UnsafePointer<CChar>) -> [(String, AIOCore.Operation, String)] {
        [
            ("renameat2", .rename(directory: -1, path: path, newDirectory: -1, newPath: path, flags: 0), "worker"),
            ("unlinkat", .unlink(directory: -1, path: path, flags: 0), "worker"),
            ("mkdirat", .makeDirectory(directory: -1, path: path, permissions: 0), "worker"),
            ("linkat", .link(directory: -1, path: path, newDirectory: -1, newPath: path, flags: 0), "worker"),
            ("symlinkat", .symbolicLink(target: path, directory: -1, path: path), "worker"),
            ("getxattr, setxattr", .call(.getAttribute(-1, name: path, value: nil, count: 0)), "worker"),
            ("chmod, locks, seek", .call(.setPermissions(-1, permissions: 0)), "worker"),
        ]
    }
}
