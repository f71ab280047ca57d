import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIO
import AIOCore

/// Each case has a separate process, since a fork copies the state of the other tests' threads.
@Suite struct ForkTests {
    @Test func aForkedChildIsToldThatItIsOne() async {
        await #expect(processExitsWith: .success) {
            let here = ProcessGuard()
            let before = here.isForked
            let inChild = exitStatusOfChild { here.isForked ? 1 : 0 }
            let after = here.isForked
            #expect(!before)
            #expect(inChild == 1)
            #expect(!after, "the parent is none")
        }
    }

    /// In the child every call fails, and the queue may be dropped; the parent's operations are not disturbed.
    @Test func aQueueIsOfNoUseInAForkedChildAndUnharmedInTheParent() async {
        await #expect(processExitsWith: .success) {
            for engine in [AIO.EngineChoice.automatic, .forced(.threads)] {
                let pipe = DescriptorPair.pipe()
                var configuration = IOQueue.Configuration()
                configuration.engine = engine
                var queue: IOQueue? = try IOQueue(configuration)
                let memory = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
                defer { memory.deallocate() }
                try queue?.prepare(.read(Transfer(Descriptor(pipe.first), memory, count: 1, offset: 0)), context: 3)
                try queue?.submit()
                let refusals = exitStatusOfChild {
                    var refusals: Int32 = 0
                    if isForked({ try queue?.prepare(.nop) }) { refusals |= 1 }
                    if isForked({ try queue?.submit() }) { refusals |= 2 }
                    if isForked({ try queue?.wait() }) { refusals |= 4 }
                    if isForked({ _ = try queue?.pollableDescriptor }) { refusals |= 8 }
                    if queue?.drain({ _, _ in }) == 0 { refusals |= 16 }
                    queue = nil
                    return refusals
                }
                #expect(refusals == 31)
                pipe.send([7])
                let parents = try #require(queue)
                let ready = try parents.wait()
                #expect(ready == 1)
                parents.drain { completion, context in
                    #expect(completion.result == 1)
                    #expect(context == 3)
                }
            }
        }
    }
}

private func isForked(_ body: () throws -> Void) -> Bool {
    do {
        try body()
        return false
    } catch {
        return (error as? IOError)?.code == .forked
    }
}
