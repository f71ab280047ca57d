public import CKernel

/// io_uring and Linux AIO.
extension Kernel {
    /// io_uring_setup(2).
    static func ringSetup(_ entries: UInt32, _ parameters: UnsafeMutablePointer<ck_uring_parameters>) -> Int {
        call(CK_NR_io_uring_setup, Int(entries), address(parameters))
    }

    /// io_uring_enter(2) with an extended argument (5.11), so that a wait can have a timeout.
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

    /// io_setup(2), the kernel's own, without libaio.
    public static func linuxAIOSetup(_ depth: UInt32, _ context: UnsafeMutablePointer<UInt>) -> Int {
        call(CK_NR_io_setup, Int(depth), address(context))
    }

    /// io_destroy(2).
    @discardableResult
    public static func linuxAIODestroy(_ context: UInt) -> Int { call(CK_NR_io_destroy, Int(bitPattern: context)) }

    /// io_submit(2).
    public static func linuxAIOSubmit(
        _ context: UInt, _ count: Int, _ blocks: UnsafeMutablePointer<UnsafeMutablePointer<ck_iocb>?>
    ) -> Int {
        call(CK_NR_io_submit, Int(bitPattern: context), count, address(blocks))
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
