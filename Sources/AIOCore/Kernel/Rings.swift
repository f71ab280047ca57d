public import CKernel

/// io_uring and Linux AIO.
extension Kernel {
    /// io_uring_setup(2).
    static func ringSetup(_ entries: UInt32, _ parameters: UnsafeMutablePointer<ck_uring_parameters>) -> Int {
        call(CK_NR_io_uring_setup, Int(entries), address(parameters))
    }

    /// io_uring_enter(2) with an extended argument (5.11), which permits a timeout.
    static func ringEnter(
        _ ring: Int32, _ submissions: UInt32, _ completionsMin: UInt32, _ flags: UInt32,
        _ argument: UnsafePointer<ck_uring_wait_argument>?
    ) -> Int {
        call(
            CK_NR_io_uring_enter, Int(ring), Int(submissions), Int(completionsMin), Int(flags), address(argument),
            argument == nil ? 0 : MemoryLayout<ck_uring_wait_argument>.size)
    }

    /// io_uring_register(2).
    static func ringRegister(_ ring: Int32, _ opcode: UInt32, _ argument: UnsafeRawPointer?, _ count: Int) -> Int {
        call(CK_NR_io_uring_register, Int(ring), Int(opcode), address(argument), count)
    }

    /// io_setup(2) of the kernel, not libaio's.
    public static func linuxAIOSetup(_ depth: UInt32, _ context: UnsafeMutablePointer<UInt>) -> Int {
        call(CK_NR_io_setup, Int(depth), address(context))
    }

    /// io_destroy(2).
    @discardableResult
    public static func linuxAIODestroy(_ context: UInt) -> Int { call(CK_NR_io_destroy, Int(bitPattern: context)) }

    /// io_cancel(2). EINPROGRESS if cancellation was requested.
    static func linuxAIOCancel(
        _ context: UInt, _ block: UnsafeMutablePointer<ck_iocb>, _ event: UnsafeMutablePointer<ck_io_event>
    ) -> Int {
        call(CK_NR_io_cancel, Int(bitPattern: context), address(block), address(event))
    }

    /// io_submit(2).
    public static func linuxAIOSubmit(
        _ context: UInt, _ count: Int, _ blocks: UnsafeMutablePointer<UnsafeMutablePointer<ck_iocb>?>
    ) -> Int {
        call(CK_NR_io_submit, Int(bitPattern: context), count, address(blocks))
    }

    /// io_submit(2), with blocks at any address.
    public static func linuxAIOSubmit(_ context: UInt, _ count: Int, _ blocks: UInt) -> Int {
        call(CK_NR_io_submit, Int(bitPattern: context), count, Int(bitPattern: blocks))
    }

    /// io_cancel(2), with any addresses.
    public static func linuxAIOCancel(_ context: UInt, _ block: UInt, _ event: UInt) -> Int {
        call(CK_NR_io_cancel, Int(bitPattern: context), Int(bitPattern: block), Int(bitPattern: event))
    }

    /// io_getevents(2), or with the signal mask at the address `mask`, unless that is 0, io_pgetevents(2), until a
    /// deadline; 0 is now. `events` may be any address.
    public static func linuxAIOGetEvents(
        _ context: UInt, _ countMin: Int, _ countMax: Int, _ events: UInt, _ deadline: Nanoseconds, mask: UInt
    ) -> Int {
        var time = ck_timespec()
        if deadline != 0 {
            let now = now()
            time = ck_timespec(deadline > now ? deadline &- now : 0)
        }
        var signals = ck_aio_signal_mask(address: UInt64(mask), size: 8)
        return withUnsafeMutablePointer(to: &time) { time in
            call(
                mask == 0 ? CK_NR_io_getevents : CK_NR_io_pgetevents, Int(bitPattern: context), countMin, countMax,
                Int(bitPattern: events), deadline == .never ? 0 : address(time), mask == 0 ? 0 : address(&signals))
        }
    }

    /// io_getevents(2).
    public static func linuxAIOGetEvents(
        _ context: UInt, _ countMin: Int, _ countMax: Int, _ events: UnsafeMutablePointer<ck_io_event>,
        _ timeout: UnsafeMutablePointer<ck_timespec>?
    ) -> Int {
        call(
            CK_NR_io_getevents, Int(bitPattern: context), countMin, countMax, address(events), address(timeout))
    }
}

extension Kernel {
    /// The sysctls fs.aio-nr and fs.aio-max-nr: the number of operations reserved by all contexts of the system, and
    /// its limit.
    public static func linuxAIOLimit() -> (used: UInt64, max: UInt64) {
        (number(in: "/proc/sys/fs/aio-nr") ?? 0, number(in: "/proc/sys/fs/aio-max-nr") ?? 65_536)
    }

    /// Reads a file with one decimal number; nil without it.
    private static func number(in path: StaticString) -> UInt64? {
        var how = ck_open_how()
        how.flags = CK_O_CLOEXEC
        let file = UnsafeRawPointer(path.utf8Start).withMemoryRebound(to: CChar.self, capacity: 1) {
            openat2(CK_AT_FDCWD, $0, &how)
        }
        guard file >= 0 else { return nil }
        defer { close(Int32(file)) }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 24) { text in
            var value: UInt64 = 0
            guard let start = text.baseAddress else { return nil }
            for byte in text[..<max(read(Int32(file), start, text.count), 0)] {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { break }
                value = value &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
            }
            return value
        }
    }
}
