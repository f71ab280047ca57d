import AIO
import Glibc

/// Files of the paths, removed at the end: 64 blocks, a small one, and lines.
struct Files {
    let folder: String
    let blocks: Path
    let small: Path
    let lines: Path
    static let lineCount = 100

    init() {
        var template = Array("/var/tmp/path-costs.XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            perror("path-costs: a temporary directory in /var/tmp")
            exit(1)
        }
        folder = String(cString: made)
        blocks = Path("\(folder)/blocks")
        small = Path("\(folder)/small")
        lines = Path("\(folder)/lines")
        Self.write("\(folder)/blocks", [UInt8](repeating: 1, count: 64 * 4096))
        Self.write("\(folder)/small", [UInt8](repeating: 1, count: 4096))
        let line = Array(String(repeating: "A line of fifty-eight bytes, ", count: 2).utf8.dropLast()) + [10]
        Self.write("\(folder)/lines", Array((0..<Self.lineCount).map { _ in line }.joined()))
    }

    private static func write(_ path: String, _ bytes: [UInt8]) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        // On the disk: blocks that are yet to be allocated are not dropped from the cache.
        guard descriptor >= 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fdatasync(descriptor) == 0
        else {
            perror("path-costs: \(path)")
            exit(1)
        }
        close(descriptor)
    }

    func remove() {
        for name in ["blocks", "small", "lines"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }
}
