internal import CKernel
internal import Synchronization

/// A system call as it reaches the door: its number and its arguments.
package struct SystemCall: BitwiseCopyable, Sendable {
    package let number: Int
    package let a, b, c, d, e, f: Int

    package init(
        _ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
    ) {
        self.number = number
        (self.a, self.b, self.c, self.d, self.e, self.f) = (a, b, c, d, e, f)
    }

    /// Has the kernel execute the call.
    package func executed() -> Int { ck_system_call_6(number, a, b, c, d, e, f) }
}

/// Answers system calls in the kernel's place: a simulated world, or a plan in which the n-th call of a kind fails.
///
/// While none is installed, the door costs one predicted branch. The drop-in libraries have the branch in debug builds
/// only.
package final class KernelStandIn: @unchecked Sendable {
    // @unchecked: `next` is written by `Kernel.install` alone, before other threads can see the object.

    /// The result of the call; nil if the next stand-in, and in the end the kernel, shall execute it. Called on any
    /// thread.
    let answer: @Sendable (SystemCall) -> Int?
    /// The monotonic clock; nil for the next stand-in's, and in the end the kernel's.
    let now: @Sendable () -> Nanoseconds?
    /// Whether an operation shall reach the door as system calls. Without that a ring, or Linux AIO, executes it within
    /// the kernel, where no stand-in is asked.
    let takes: @Sendable (Operation) -> Bool
    fileprivate var next: Unmanaged<KernelStandIn>?

    /// The result of a call that would block its thread, which a simulation cannot let happen: ERESTARTSYS, which no
    /// real call returns. The operation is executed again later (`WorkByHand`).
    package static var wouldBlock: Int { -512 }

    package init(
        answer: @escaping @Sendable (SystemCall) -> Int?, now: @escaping @Sendable () -> Nanoseconds? = { nil },
        takes: @escaping @Sendable (Operation) -> Bool
    ) {
        self.answer = answer
        self.now = now
        self.takes = takes
    }

    /// The result of the next stand-in, or in the end the kernel's.
    package func passOn(_ call: SystemCall) -> Int {
        var next = next
        while let standIn = next?.takeUnretainedValue() {
            if let result = standIn.answer(call) { return result }
            next = standIn.next
        }
        return call.executed()
    }
}

extension Kernel {
    #if hasFeature(Embedded) && !DEBUG
        @inline(__always)
        static var hasStandIn: Bool { false }
    #else
        /// Whether a stand-in is installed. Relaxed: a call that begins while one is installed may take either way.
        @inline(__always)
        static var hasStandIn: Bool { firstStandIn.load(ordering: .relaxed) != 0 }
    #endif

    /// The address of the stand-in that is asked first; 0 for none.
    private static let firstStandIn = Atomic<UInt>(0)

    /// Has all calls of the process go to `standIn` first. It stays installed: a thread may be inside it at any time,
    /// so it is never freed. One that has nothing to say any more answers nil.
    package static func install(_ standIn: KernelStandIn) {
        let new = Unmanaged.passRetained(standIn)
        let address = UInt(bitPattern: new.toOpaque())
        var first = firstStandIn.load(ordering: .acquiring)
        while true {
            standIn.next = UnsafeRawPointer(bitPattern: first).map(Unmanaged.fromOpaque)
            // Release: pairs with the acquire in `result(asking:)`, for the object's fields.
            let (exchanged, original) = firstStandIn.compareExchange(
                expected: first, desired: address, ordering: .acquiringAndReleasing)
            if exchanged { return }
            first = original
        }
    }

    /// The first result that a stand-in has.
    @inline(__always)
    private static func result<Result>(asking ask: (KernelStandIn) -> Result?) -> Result? {
        // Acquire: pairs with the release in `install`.
        var address = UnsafeRawPointer(bitPattern: firstStandIn.load(ordering: .acquiring))
        while let current = address {
            let standIn = Unmanaged<KernelStandIn>.fromOpaque(current).takeUnretainedValue()
            if let result = ask(standIn) { return result }
            address = standIn.next.map { UnsafeRawPointer($0.toOpaque()) }
        }
        return nil
    }

    @inline(never)
    static func answered(_ call: SystemCall) -> Int { result { $0.answer(call) } ?? call.executed() }

    /// The result that a stand-in has for a call that libc makes.
    @inline(never)
    static func answer(inPlaceOf number: Int) -> Int? {
        guard hasStandIn else { return nil }
        return result { $0.answer(SystemCall(number)) }
    }

    /// Whether an engine has to carry the operation out by system calls on its own threads.
    @inline(never)
    static func takesOperation(_ operation: Operation) -> Bool {
        result { $0.takes(operation) ? true : nil } ?? false
    }

    @inline(never)
    static func answeredNow() -> Nanoseconds? { result { $0.now() } }
}
