internal import AIOCore
internal import CKernel

/// A path for system calls. A path of 4096 bytes or more is split into an open directory and the rest.
///
/// The kernel refuses such paths (PATH_MAX), and trees can be deeper. Opening the directory blocks, so this runs on
/// workers only. The value owns the directory.
struct LongPath: ~Copyable {
    /// AT_FDCWD, or a directory on the path.
    let directory: Int32
    let rest: UnsafePointer<CChar>
    /// 0, or a negative errno if the path does not exist.
    let result: Int

    /// PATH_MAX: the bytes that a path may have, with its NUL.
    private static var limit: Int { 4096 }

    /// The path's memory must outlive this value.
    init(_ path: UnsafePointer<CChar>, count: Int) {
        guard count >= Self.limit else {
            directory = CK_AT_FDCWD
            rest = path
            result = 0
            return
        }
        var (current, start, failure) = (CK_AT_FDCWD, 0, 0)
        while count - start >= Self.limit, failure == 0 {
            failure = Self.descend(path, &start, count, &current)
        }
        directory = current
        rest = path + start
        result = failure
    }

    deinit { if directory >= 0 { Kernel.close(directory) } }

    /// Opens the longest prefix that fits, and moves `start` behind it.
    private static func descend(
        _ path: UnsafePointer<CChar>, _ start: inout Int, _ count: Int, _ directory: inout Int32
    ) -> Int {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let window = (start + 1)..<min(start + limit - 1, count)
        guard let end = window.last(where: { path[$0] == slash }) else { return -Int(ENAMETOOLONG) }
        let opened = withUnsafeTemporaryAllocation(of: CChar.self, capacity: end - start + 1) { piece -> Int in
            for index in start..<end { piece[index - start] = path[index] }
            piece[end - start] = 0
            var how = ck_open_how(flags: CK_O_PATH | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0, resolve: 0)
            return Kernel.openat2(directory, piece.baseAddress!, &how)
        }
        guard opened >= 0 else { return opened }
        if directory >= 0 { Kernel.close(directory) }
        directory = Int32(opened)
        start = end
        while path[start] == slash { start += 1 }
        return 0
    }
}

extension Path {
    /// openat2(2) of a path of any length, on a worker's thread. Returns a descriptor or a negative errno.
    @_spi(AIOCommand) public func openOfAnyLength(_ flags: UInt64) -> Int {
        withCString { memory in
            let place = LongPath(memory, count: count)
            guard place.result == 0 else { return place.result }
            var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: 0, resolve: 0)
            return Kernel.openat2(place.directory, place.rest, &how)
        }
    }
}
