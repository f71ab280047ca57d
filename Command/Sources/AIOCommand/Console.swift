import AIOCore
import Glibc

/// Standard output and standard error, unbuffered.
enum Console {
    /// Writes to standard output.
    static func write(_ text: String) throws(Failure) {
        let result = put(text, to: 1)
        if result < 0 { throw Failure("write to standard output", result: result) }
    }

    /// Writes to standard output.
    static func write(_ bytes: [UInt8]) throws(Failure) {
        let result = bytes.withUnsafeBytes { put($0, to: 1) }
        if result < 0 { throw Failure("write to standard output", result: result) }
    }

    /// Writes one line to standard error. An error is ignored: there is nowhere left to report it.
    static func complain(_ line: String) { _ = put("aio: \(line)\n", to: 2) }

    /// Writes to standard error without a prefix or a newline.
    static func draw(_ text: String) { _ = put(text, to: 2) }

    static var standardErrorIsTerminal: Bool { isatty(2) == 1 }

    private static func put(_ text: String, to descriptor: Int32) -> Int {
        var text = text
        return text.withUTF8 { put(UnsafeRawBufferPointer($0), to: descriptor) }
    }

    private static func put(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let result = Kernel.write(descriptor, base + done, bytes.count - done)
            if result == -Int(EINTR) { continue }
            if result <= 0 { return result }
            done += result
        }
        return done
    }
}
