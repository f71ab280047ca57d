internal import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// The destination of the summary: the value of AIO_STATS when the library was loaded.
private struct Destination {
    /// Absolute, since the program may change its working directory; nil for standard error.
    var path: UnsafeMutablePointer<CChar>?
    /// The file that standard error was then; nil if it was closed.
    var standardError: FileIdentity?

    /// Writes the text with one write(2), so that the summaries of several processes do not interleave. `memory` is for
    /// the name of the file.
    func write(_ text: UnsafeBufferPointer<UInt8>, _ memory: UnsafeMutableBufferPointer<UInt8>) {
        guard let path else {
            // The program may have closed standard error and opened a file of its own under that number. Another file
            // is written to only if it is open with O_APPEND, as a log is.
            guard let now = FileIdentity(2) else { return }
            let isLog = Kernel.openFlags(2) & Int(CK_O_APPEND) != 0
            if isLog || standardError?.isSame(as: now) == true { writeOnce(2, text) }
            return
        }
        let file = Self.open(path, memory)
        guard file >= 0 else { return report("aio: AIO_STATS: the file cannot be opened for writing\n") }
        writeOnce(file, text)
        Kernel.close(file)
    }

    /// Opens the file. In the path, %p stands for the process ID and %% for a per cent sign.
    private static func open(_ path: UnsafePointer<CChar>, _ memory: UnsafeMutableBufferPointer<UInt8>) -> Int32 {
        var name = TextBuffer(memory)
        var index = 0
        while path[index] != 0 {
            let byte = UInt8(bitPattern: path[index])
            switch (byte, UInt8(bitPattern: path[index + 1])) {
            case (UInt8(ascii: "%"), UInt8(ascii: "p")):
                name.append(UInt64(Kernel.processID()))
                index += 2
            case (UInt8(ascii: "%"), UInt8(ascii: "%")):
                name.append(byte: byte)
                index += 2
            default:
                name.append(byte: byte)
                index += 1
            }
        }
        name.append(byte: 0)
        // The buffer drops whatever exceeds it, the terminating zero included.
        guard name.count < memory.count, let start = memory.baseAddress else { return -1 }
        return start.withMemoryRebound(to: CChar.self, capacity: name.count) { drop_in_open_for_appending($0) }
    }

    private func writeOnce(_ file: Int32, _ text: UnsafeBufferPointer<UInt8>) {
        // SIGPIPE (a pipe without a reader) and SIGXFSZ (a file at its limit) must not end a program that has done its
        // work.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        sigaddset(&signals, SIGXFSZ)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        guard let start = text.baseAddress else { return }
        while Kernel.write(file, start, text.count) == -Int(EINTR) {}
    }
}

/// Identifies the file that a descriptor refers to.
private struct FileIdentity: BitwiseCopyable {
    private var device: UInt64
    private var inode: UInt64

    /// nil if the descriptor is closed.
    init?(_ descriptor: Int32) {
        var state = ck_statx()
        guard Kernel.status(descriptor, CK_STATX_BASIC_STATS, &state) == 0 else { return nil }
        device = UInt64(state.device_major) << 32 | UInt64(state.device_minor)
        inode = state.inode
    }

    func isSame(as other: FileIdentity) -> Bool { device == other.device && inode == other.inode }
}

/// The address of the destination; 0 if no summary is requested. Relaxed: it is set before the program's first
/// instruction.
private let destinationAddress = Atomic<UInt>(0)

/// Called when the library is loaded.
@c(drop_in_was_loaded)
func wasLoaded() {
    #if TAKES_FAULTS
        installFaults()
    #endif
    startRecording()
}

/// Reads AIO_STATS and starts recording if it requests a summary.
private func startRecording() {
    let name: StaticString = "AIO_STATS"
    let off: StaticString = "0"
    let on: StaticString = "1"
    guard let value = drop_in_trusted_environment(name.cString), value.pointee != 0, strcmp(value, off.cString) != 0
    else { return }
    var path: UnsafeMutablePointer<CChar>?
    if strcmp(value, on.cString) != 0 {
        path = absolutePath(value)
        guard path != nil else { return report("aio: AIO_STATS: the file name is too long\n") }
    }
    let destination = UnsafeMutablePointer<Destination>.allocate(capacity: 1)
    destination.initialize(to: Destination(path: path, standardError: FileIdentity(2)))
    destinationAddress.store(UInt(bitPattern: destination), ordering: .relaxed)
    StatisticsCells.map()
}

/// The path made absolute, in memory that lives as long as the process. nil if it is too long.
private func absolutePath(_ path: UnsafePointer<CChar>) -> UnsafeMutablePointer<CChar>? {
    let limit = 4096
    let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: limit)
    var text = TextBuffer(memory)
    if UInt8(bitPattern: path.pointee) != UInt8(ascii: "/") {
        let folder = UnsafeMutablePointer<CChar>.allocate(capacity: limit)
        defer { folder.deallocate() }
        guard getcwd(folder, limit) != nil else { return nil }
        var place = folder
        while place.pointee != 0 {
            let byte = UInt8(bitPattern: place.pointee)
            text.append(byte: byte)
            // The name of the working directory is not a pattern: escape its per cent signs.
            if byte == UInt8(ascii: "%") { text.append(byte: byte) }
            place += 1
        }
        text.append("/")
    }
    for index in 0..<strlen(path) { text.append(byte: UInt8(bitPattern: path[Int(index)])) }
    text.append(byte: 0)
    // The buffer drops whatever exceeds it, the terminating zero included.
    guard text.count < limit, let start = memory.baseAddress else { return nil }
    return UnsafeMutableRawPointer(start).assumingMemoryBound(to: CChar.self)
}

/// Called when the process ends by exit(3) or _exit(2). Writes the summary if one is requested and the library was
/// used. It takes no lock, allocates nothing and calls what is async-signal-safe alone: _exit(2) may be called
/// anywhere, also in a signal handler.
@c(drop_in_process_ends)
func processEnds() {
    let destination = UnsafeMutablePointer<Destination>(bitPattern: destinationAddress.load(ordering: .relaxed))
    guard let destination, let cells = StatisticsCells.current, cells.isUsed, cells.beginEnd() else { return }
    var text = TextBuffer(cells.text)
    text.appendSummary(cells)
    destination.pointee.write(UnsafeBufferPointer(rebasing: cells.text[..<text.count]), cells.path)
}
