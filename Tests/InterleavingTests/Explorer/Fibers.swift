internal import CFibers

/// Carries the threads of executions as fibers of one thread: a switch takes nanoseconds, and no other load of the
/// machine delays it.
///
/// Not for scenarios with async functions: Swift's runtime keeps the current task by thread.
final class Fibers: Carriers {
    private var fibers: [Fiber] = []
    private var explorer: UnsafeMutableRawPointer?

    private final class Fiber {
        static let stackSize = 256 << 10
        let stack = UnsafeMutableRawPointer.allocate(byteCount: stackSize, alignment: 16)
        var context: UnsafeMutableRawPointer?
        var job: (() -> Int?)?
        /// Unowned: the fibers own this one.
        unowned(unsafe) let fibers: Fibers

        init(_ fibers: Fibers) { self.fibers = fibers }
        deinit { stack.deallocate() }

        /// Carries the job out and releases it: the last switch does not return.
        func runJob() -> Int? {
            let job = job.take()
            return job?()
        }

        /// Where the job's end leads to.
        func context(of receiver: Int?) -> UnsafeMutableRawPointer? {
            receiver.map { fibers.fibers[$0].context } ?? fibers.explorer
        }
    }

    func carry(_ index: Int, _ job: @escaping () -> Int?) {
        while fibers.count <= index { fibers.append(Fiber(self)) }
        let fiber = fibers[index]
        fiber.job = job
        fiber.context = fiber_make(
            fiber.stack + Fiber.stackSize,
            { argument in
                guard let argument else { return }
                let fiber = Unmanaged<Fiber>.fromOpaque(argument)
                let next = fiber._withUnsafeGuaranteedRef { $0.context(of: $0.runJob()) }
                var last: UnsafeMutableRawPointer?
                fiber_switch(&last, next)
            }, Unmanaged.passUnretained(fiber).toOpaque())
    }

    func pass(from sender: Int, to receiver: Int) { fiber_switch(&fibers[sender].context, fibers[receiver].context) }
    func abandon(_ sender: Int) { fiber_switch(&fibers[sender].context, explorer) }
    func run(_ first: Int) { fiber_switch(&explorer, fibers[first].context) }
    func stop() { fibers = [] }
}
