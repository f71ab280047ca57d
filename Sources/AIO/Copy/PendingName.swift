internal import AIOCore
internal import CKernel

/// The temporary name under which a file is created, in its final directory.
///
/// A file that has not been given its final name is removed when this object is released. On a worker's thread.
final class PendingName: @unchecked Sendable {
    // @unchecked: one worker at a time uses it; it is passed on with the work.
    let place: CopyPlace
    let directory: OpenDirectory
    private(set) var pending = Path.temporaryName(".aio-copy-")
    private var isMade = false

    init(for place: CopyPlace) throws(IOError) {
        self.place = place
        directory = try place.openDirectory()
    }

    deinit { remove() }

    /// Creates the file with `body`, which fails with EEXIST if the name is taken; then another name is tried.
    func make(_ body: (Path) -> Int) throws(IOError) -> Int {
        for _ in 0..<64 {
            let result = body(pending)
            if result == -Int(EEXIST) {
                pending = .temporaryName(".aio-copy-")
                continue
            }
            guard result >= 0 else { return try check(result, "create", place.path) }
            isMade = true
            return result
        }
        return try check(-Int(EEXIST), "create", place.path)
    }

    /// Gives the file its final name, unless the file of that name is the source itself, or was created by this copy.
    func publish(_ source: CopyOrigin, _ made: MadeNames?, replaces: Bool) throws(IOError) {
        guard let made else { return try publish(source, isMade: { _ in false }, replaces) }
        try made.change { names throws(IOError) in
            try publish(source, isMade: { names.contain($0) }, replaces)
            guard names.wantsEach else { return }
            var status = ck_statx()
            if CopyCalls.status(of: place.name, in: directory, &status) == 0 { names.add(FileIdentity(status)) }
        }
    }

    private func publish(
        _ source: CopyOrigin, isMade: (FileIdentity) -> Bool, _ replaces: Bool
    ) throws(IOError) {
        var result = CopyCalls.rename(pending, to: place.name, in: directory, CK_RENAME_NOREPLACE)
        if result == -Int(EINVAL) {
            // Some file systems do not support RENAME_NOREPLACE. link(2) does not replace either, if hard links are
            // supported.
            result = CopyCalls.link(pending, in: directory, to: place.name, in: directory)
            if result == 0 { result = CopyCalls.unlink(pending, in: directory) }
        }
        if result < 0, replaces, result == -Int(EEXIST) || hasNoLinks(result) {
            try source.refuse(place, in: directory, isMade)
            result = CopyCalls.rename(pending, to: place.name, in: directory, 0)
            // rename(2) does nothing if both names are links to one file.
            if result == 0 { _ = CopyCalls.unlink(pending, in: directory) }
        }
        _ = try check(result, "rename", place.path)
        self.isMade = false
    }

    private func hasNoLinks(_ result: Int) -> Bool {
        [-Int(EPERM), -Int(EOPNOTSUPP), -Int(ENOSYS), -Int(EMLINK)].contains(result)
    }

    /// Removes the file unless it has its final name.
    func remove() {
        if isMade { _ = CopyCalls.unlink(pending, in: directory) }
        isMade = false
    }
}

/// The identity of the source, for comparison with a file that its copy would replace.
struct CopyOrigin {
    let place: CopyPlace
    let directory: OpenDirectory
    /// The status of the source itself, even if it is a symbolic link.
    let status: ck_statx

    /// Throws if the existing target is the source, also if one of them is a symbolic link to the other, since
    /// replacing it would destroy the only copy. Throws also if this copy created it from a source of an equal name: in
    /// a case-insensitive directory, two names of the source may be one.
    func refuse(
        _ target: CopyPlace, in targetDirectory: OpenDirectory, _ isMade: (FileIdentity) -> Bool
    ) throws(IOError) {
        var found = ck_statx()
        let result = CopyCalls.status(of: target.name, in: targetDirectory, &found)
        guard result != -Int(ENOENT) else { return }
        _ = try check(result, "stat", target.path)
        var (led, own) = (ck_statx(), ck_statx())
        let isTargetThere = CopyCalls.status(of: target.name, in: targetDirectory, followLinks: true, &led) == 0
        let isSourceThere = CopyCalls.status(of: place.name, in: directory, followLinks: true, &own) == 0
        let same = CopyIdentity.isSame(status, isSourceThere ? own : nil, found, isTargetThere ? led : nil)
        guard !same else { throw CopyIdentity.sameFile(place.path, target.path) }
        guard !isMade(FileIdentity(found)) else {
            throw IOError(
                .alreadyExists, "copy", errno: Errno(rawValue: EEXIST), path: place.path,
                advice: "will not overwrite \(target.path), which this copy has just created")
        }
    }
}

/// Decides whether two names refer to one file.
enum CopyIdentity {
    /// `source` and `target` describe the names themselves, the others what they lead to, if that exists. Two symbolic
    /// links to one file are different files.
    static func isSame(_ source: ck_statx, _ ledSource: ck_statx?, _ target: ck_statx, _ ledTarget: ck_statx?) -> Bool {
        if FileIdentity(source) == FileIdentity(target) { return true }
        let areLinks = [source, target].allSatisfy { FileType(mode: $0.mode) == .symbolicLink }
        guard !areLinks, let ledSource, let ledTarget else { return false }
        return FileIdentity(ledSource) == FileIdentity(ledTarget)
    }

    static func sameFile(_ source: Path, _ target: Path) -> IOError {
        IOError(.invalidArgument, "copy", path: source, advice: "\(target) is the same file")
    }
}
