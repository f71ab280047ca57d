internal import AIOCore
internal import CKernel

/// A name in the folder of a file that is being made, under which it lies until it is complete.
///
/// A file under it that has not been given its final name is removed when this goes. On a worker's thread.
final class PendingName: @unchecked Sendable {
    // @unchecked: one worker at a time has it, handed over with the work.
    let final: Path
    private(set) var pending: Path
    private var isMade = false

    init(for path: Path) {
        final = path
        pending = Self.name(beside: path)
    }

    deinit { if isMade { _ = CopyCalls.unlink(pending) } }

    /// Makes the file by `body`, which fails with EEXIST if the name is taken; then another name is tried.
    func make(_ body: (Path) -> Int) throws(IOError) -> Int {
        for _ in 0..<64 {
            let result = body(pending)
            if result == -Int(EEXIST) {
                pending = Self.name(beside: final)
                continue
            }
            guard result >= 0 else { return try check(result, "create", final) }
            isMade = true
            return result
        }
        return try check(-Int(EEXIST), "create", pending)
    }

    /// Gives the file its final name.
    func publish(replaces: Bool) throws(IOError) {
        var result = CopyCalls.rename(pending, to: final, replaces: replaces)
        if result == -Int(EINVAL), !replaces {
            // Not every file system knows RENAME_NOREPLACE; a link does not replace either.
            result = CopyCalls.link(pending, to: final)
            if result == 0 { result = CopyCalls.unlink(pending) }
        }
        _ = try check(result, "rename", final)
        isMade = false
    }

    /// Removes the file, if it has not got its name.
    func remove() {
        if isMade { _ = CopyCalls.unlink(pending) }
        isMade = false
    }

    private static func name(beside path: Path) -> Path {
        (PlacedName(path)?.folder ?? ".").appending(.temporaryName(".aio-copy-"))
    }
}
