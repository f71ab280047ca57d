internal import AIOCore
internal import CKernel

/// A file with a line for each call that reaches a plan, written before the call is executed:
///
///     NAME:NUMBER ARGUMENT... [= fault]
///
/// NUMBER counts the calls of the name, as a rule's does, and goes on in a forked child. The arguments are decimal.
struct CallLog {
    private let descriptor: Int32
    /// By the number of the system call.
    private var counts = [Int](repeating: 0, count: CallForm.numberEnd)

    /// nil if the file cannot be opened.
    init?(path: UnsafePointer<CChar>) {
        var how = ck_open_how(flags: CK_O_WRONLY | CK_O_CREAT | CK_O_APPEND | CK_O_CLOEXEC, mode: 0o666, resolve: 0)
        let file = Kernel.openat2(CK_AT_FDCWD, path, &how)
        guard file >= 0 else { return nil }
        // In a drop-in library: away from the numbers that the program expects for its own files.
        descriptor = GuestNumbers.moveUp(Int32(file))
    }

    mutating func note(_ call: SystemCall, _ form: CallForm, isFault: Bool) {
        counts[call.number] += 1
        var line = Array(bytes(of: form.name))
        line.append(UInt8(ascii: ":"))
        Self.append(counts[call.number], to: &line)
        for index in 0..<6 {
            line.append(UInt8(ascii: " "))
            Self.append(call[index], to: &line)
        }
        if isFault { line += bytes(of: " = fault") }
        line.append(UInt8(ascii: "\n"))
        // Past the door. One write per line, so that those of several processes do not mix.
        line.withUnsafeBytes { line in
            let write = SystemCall(CK_NR_write, Int(descriptor), Int(bitPattern: line.baseAddress), line.count)
            _ = write.executed()
        }
    }

    private static func append(_ number: Int, to line: inout [UInt8]) {
        if number < 0 { line.append(UInt8(ascii: "-")) }
        var rest = number.magnitude
        let start = line.count
        repeat {
            line.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        line[start...].reverse()
    }
}
