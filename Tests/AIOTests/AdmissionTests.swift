import Testing
import UnitSupport

@testable import AIO
@testable import AIOCore

@Suite struct AdmissionTests {
    /// A task that waits for admission and returns the answer.
    private func wait(_ admission: Admission, _ context: UInt64, deadline: Nanoseconds = .never) -> Task<
        Admission.Answer, Never
    > {
        Task { await admission.wait(.timeout(deadline: context), deadline, wake: {}) }
    }

    private func untilWaiting(_ admission: Admission, _ count: Int) async {
        await #expect(eventuallyAsync { admission.waiterCount == count })
    }

    /// Admits up to `places` callers; the token is the number in the operation.
    private func admit(_ admission: Admission, places: Int) -> Bool {
        var places = places
        return admission.admit { operation, _ in
            guard places > 0, case .timeout(let number) = operation else { return nil }
            places -= 1
            return Token(rawValue: number)
        }
    }

    @Test func nobodyIsAdmittedWhereNobodyWaits() {
        let admission = Admission()
        #expect(admission.isEmpty)
        #expect(!admission.admit { _, _ in Token(rawValue: 0) })
        #expect(admission.nextDeadline == .never)
    }

    @Test func thoseWhoWaitAreAdmittedInOrderAsFarAsThereArePlaces() async {
        let admission = Admission()
        var tasks: [Task<Admission.Answer, Never>] = []
        for number in 1...3 as ClosedRange<UInt64> {
            tasks.append(wait(admission, number))
            await untilWaiting(admission, Int(number))
        }
        #expect(!admission.isEmpty)
        #expect(admit(admission, places: 2))
        #expect(await tasks[0].value == .admitted(Token(rawValue: 1)))
        #expect(await tasks[1].value == .admitted(Token(rawValue: 2)))
        #expect(!admission.isEmpty)
        #expect(!admit(admission, places: 0))
        #expect(admit(admission, places: 1))
        #expect(await tasks[2].value == .admitted(Token(rawValue: 3)))
        #expect(admission.isEmpty)
    }

    @Test func whoeverBeginsToWaitWakesTheLoop() async {
        let admission = Admission()
        let order = Order()
        let task = Task { await admission.wait(.nop, .never, wake: { order.note("woken") }) }
        await #expect(eventuallyAsync { order.notes == ["woken"] })
        #expect(!admission.isEmpty, "the loop finds it when it looks")
        admission.close()
        _ = await task.value
    }

    @Test func aCancelledCallerLeavesItsPlace() async {
        let admission = Admission()
        let first = wait(admission, 1)
        await untilWaiting(admission, 1)
        let second = wait(admission, 2)
        await untilWaiting(admission, 2)
        first.cancel()
        #expect(await first.value == .failed(.cancelled))
        #expect(admit(admission, places: 5))
        #expect(await second.value == .admitted(Token(rawValue: 2)))
    }

    @Test func aCallerCancelledBeforehandDoesNotWait() async {
        let admission = Admission()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await admission.wait(.nop, .never, wake: {})
        }
        #expect(await task.value == .failed(.cancelled))
        #expect(admission.isEmpty)
    }

    @Test func aCallerWaitsUntilItsDeadline() async {
        let admission = Admission()
        let late = wait(admission, 1, deadline: 300)
        await untilWaiting(admission, 1)
        let early = wait(admission, 2, deadline: 200)
        await untilWaiting(admission, 2)
        #expect(admission.nextDeadline == 200)
        admission.expire(199)
        #expect(admission.waiterCount == 2)
        admission.expire(200)
        #expect(await early.value == .failed(.deadlineExceeded))
        #expect(admission.nextDeadline == 300)
        admission.expire(1000)
        #expect(await late.value == .failed(.deadlineExceeded))
        #expect(admission.nextDeadline == .never)
    }

    @Test func whenTheLoopEndsNobodyWaitsAnyMore() async {
        let admission = Admission()
        let before = wait(admission, 1)
        await untilWaiting(admission, 1)
        admission.close()
        #expect(await before.value == .failed(.runtimeShutDown))
        #expect(await wait(admission, 2).value == .failed(.runtimeShutDown))
    }

    /// Whether admission, cancellation or expiry comes first, each caller gets exactly one answer.
    @Test func everybodyGetsOneAnswer() async {
        let admission = Admission()
        await withTaskGroup(of: Void.self) { group in
            let tasks = (1...200).map { wait(admission, UInt64($0), deadline: UInt64($0)) }
            group.addTask { for task in tasks { task.cancel() } }
            group.addTask { for now in 1...200 as ClosedRange<UInt64> { admission.expire(now) } }
            group.addTask {
                for _ in 0..<200 {
                    _ = admit(admission, places: 1)
                    await Task.yield()
                }
                admission.close()
            }
            for task in tasks { _ = await task.value }
        }
        #expect(admission.isEmpty)
    }
}

extension Admission.Answer: Equatable {
    public static func == (left: Admission.Answer, right: Admission.Answer) -> Bool {
        switch (left, right) {
        case (.admitted(let left), .admitted(let right)): left == right
        case (.failed(let left), .failed(let right)): left == right
        case (.admitted, .failed), (.failed, .admitted): false
        }
    }
}
