internal import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// Where the summary goes, as AIO_STATS had it when the library was loaded.
private struct Destination {
    /// Absolute, since the program may change its folder; nil for standard error.
    var path: UnsafeMutablePointer<CChar>?
    /// What standard error was then; nil if it was closed.
    var standardError: FileIdentity?

    /// Writes all of it at once, so that blocks of several processes do not mix.
    func write(_ text: UnsafeBufferPointer<UInt8>) {
        guard let path else {
            // A program may have closed standard error, and have a file of its own under that number now. A log that it
            // has put there instead is open for appending.
            guard let now = FileIdentity(2) else { return }
            let isLog = Kernel.openFlags(2) & Int(CK_O_APPEND) != 0
            if isLog || standardError?.isSame(as: now) == true { writeOnce(2, text) }
            return
        }
        let file = Self.open(path)
        guard file >= 0 else { return report("aio: the file that AIO_STATS names cannot be opened for writing\n") }
        writeOnce(file, text)
        Kernel.close(file)
    }

    /// Of the path %p is the number of the process, and %% a per cent sign.
    private static func open(_ path: UnsafePointer<CChar>) -> Int32 {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { memory in
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
            // What finds no room is left out, the end among it.
            guard name.count < memory.count, let start = memory.baseAddress else { return -1 }
            return start.withMemoryRebound(to: CChar.self, capacity: name.count) { drop_in_open_for_appending($0) }
        }
    }

    private func writeOnce(_ file: Int32, _ text: UnsafeBufferPointer<UInt8>) {
        // A pipe without a reader, or a file at its limit, must not end a program that has done its work.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        sigaddset(&signals, SIGXFSZ)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        guard let start = text.baseAddress else { return }
        while Kernel.write(file, start, text.count) == -Int(EINTR) {}
    }
}

/// Which file a descriptor stands for.
private struct FileIdentity: BitwiseCopyable {
    private var device: UInt64
    private var inode: UInt64

    /// Nil if the descriptor is closed.
    init?(_ descriptor: Int32) {
        var state = ck_statx()
        guard Kernel.status(descriptor, CK_STATX_BASIC_STATS, &state) == 0 else { return nil }
        device = UInt64(state.device_major) << 32 | UInt64(state.device_minor)
        inode = state.inode
    }

    func isSame(as other: FileIdentity) -> Bool { device == other.device && inode == other.inode }
}

/// Where the destination is; 0 if no summary is asked for. Relaxed: it is set before the program's first instruction.
private let destinationAddress = Atomic<UInt>(0)

/// When the library is loaded: reads AIO_STATS, and starts recording if it asks for it.
@c(drop_in_was_loaded)
func wasLoaded() {
    let name: StaticString = "AIO_STATS"
    let off: StaticString = "0"
    let on: StaticString = "1"
    guard let value = drop_in_trusted_environment(name.cString), value.pointee != 0, strcmp(value, off.cString) != 0
    else { return }
    var path: UnsafeMutablePointer<CChar>?
    if strcmp(value, on.cString) != 0 {
        path = absolutePath(value)
        guard path != nil else { return report("aio: the name of the file in AIO_STATS is too long\n") }
    }
    let destination = UnsafeMutablePointer<Destination>.allocate(capacity: 1)
    destination.initialize(to: Destination(path: path, standardError: FileIdentity(2)))
    destinationAddress.store(UInt(bitPattern: destination), ordering: .relaxed)
    StatisticsCells.map()
}

/// Lives as long as the process. Nil if it is too long for one.
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
            // A folder's name is no pattern.
            if byte == UInt8(ascii: "%") { text.append(byte: byte) }
            place += 1
        }
        text.append("/")
    }
    for index in 0..<strlen(path) { text.append(byte: UInt8(bitPattern: path[Int(index)])) }
    text.append(byte: 0)
    // What finds no room is left out, the end among it.
    guard text.count < limit, let start = memory.baseAddress else { return nil }
    return UnsafeMutableRawPointer(start).assumingMemoryBound(to: CChar.self)
}

/// When the process ends by exit(3) or _exit(2): writes the summary, if it is asked for and the library was used. Takes
/// no lock and no memory, since the second may come from anywhere.
@c(drop_in_process_ends)
func processEnds() {
    let destination = UnsafeMutablePointer<Destination>(bitPattern: destinationAddress.load(ordering: .relaxed))
    guard let destination, let cells = StatisticsCells.current, cells.isUsed, cells.beginEnd() else { return }
    var text = TextBuffer(cells.text)
    text.appendSummary(cells)
    destination.pointee.write(UnsafeBufferPointer(rebasing: cells.text[..<text.count]))
}
