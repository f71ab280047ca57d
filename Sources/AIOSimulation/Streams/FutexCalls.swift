internal import AIOCore
internal import CKernel

/// What operations that wait for a word in memory are blocked on.
final class FutexDescription: OpenDescription {
    /// Wake-ups that no waiter has taken yet.
    fileprivate var wokenCount = 0

    override var name: String { "futex" }
}

/// The words that are waited for. Addresses are keys alone: nothing depends on their values, and they are not
/// iterated over.
struct FutexTable {
    private var words: [Int: FutexDescription] = [:]

    mutating func word(_ address: Int) -> FutexDescription {
        if let word = words[address] { return word }
        let word = FutexDescription(flags: 0)
        words[address] = word
        return word
    }

    func existing(_ address: Int) -> FutexDescription? { words[address] }
}

extension SimulatedKernel {
    func answerFutexCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_futex):
            switch Int32(truncatingIfNeeded: call.b) & ~CK_FUTEX_PRIVATE {
            case CK_FUTEX_WAKE: return wake(call.a, call.c)
            case CK_FUTEX_WAIT_BITSET:
                let deadline = UnsafePointer<ck_timespec>(bitPattern: call.d).map { Nanoseconds($0.pointee) }
                return waitForWord(call.a, while: UInt32(truncatingIfNeeded: call.c), until: deadline ?? .never)
            default: return -Int(ENOSYS)
            }
        case Int(CK_NR_futex_waitv): return waitForWords(call)
        default: return nil
        }
    }

    /// FUTEX_WAKE. Returns the number of waiters woken.
    private func wake(_ address: Int, _ count: Int) -> Int {
        guard let word = streams.futexes.existing(address) else { return 0 }
        let woken = min(word.waiterCount, max(count, 1))
        word.wokenCount += woken
        word.wake(woken)
        return woken
    }

    private func waitForWord(_ address: Int, while value: UInt32, until deadline: Nanoseconds) -> Int {
        guard address != 0, !Self.isNowhere(UInt(bitPattern: address)) else { return -Int(EFAULT) }
        guard address % 4 == 0 else { return -Int(EINVAL) }
        let word = streams.futexes.word(address)
        if word.wokenCount > 0 {
            word.wokenCount -= 1
            return 0
        }
        guard holds(address, value) else { return -Int(EAGAIN) }
        guard deadline > world.now else { return -Int(ETIMEDOUT) }
        // Everyone looks again then: whose deadline has not passed begins to wait anew.
        if deadline != .never { world.schedule(at: deadline) { [weak word] in word?.readinessChanged() } }
        blockedOn = [word]
        return Self.wouldBlock
    }

    /// futex_waitv(2): the index of the word that was woken. The words after the first are only compared.
    private func waitForWords(_ call: SystemCall) -> Int {
        guard let waiters = UnsafePointer<ck_futex_waiter>(bitPattern: call.a) else { return -Int(EFAULT) }
        guard (1...128).contains(call.b), call.c == 0 else { return -Int(EINVAL) }
        for index in 1..<call.b {
            let address = Int(truncatingIfNeeded: waiters[index].address)
            guard holds(address, UInt32(truncatingIfNeeded: waiters[index].value)) else { return -Int(EAGAIN) }
        }
        let address = Int(truncatingIfNeeded: waiters[0].address)
        return waitForWord(address, while: UInt32(truncatingIfNeeded: waiters[0].value), until: .never)
    }

    private func holds(_ address: Int, _ value: UInt32) -> Bool {
        !Self.isNowhere(UInt(bitPattern: address)) && UnsafePointer<UInt32>(bitPattern: address)?.pointee == value
    }
}

extension Nanoseconds {
    /// A time that a caller passed; negative ones count as 0.
    init(_ time: ck_timespec) {
        self = Nanoseconds(clamping: time.seconds) &* 1_000_000_000 &+ Nanoseconds(clamping: time.nanoseconds)
    }
}
