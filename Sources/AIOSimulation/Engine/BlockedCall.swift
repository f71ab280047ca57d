internal import AIOCore

/// A call that the kernel has just refused to finish: it is made again after a change of what it waits for.
final class BlockedCall {
    private var waiters: [(description: OpenDescription, number: UInt64)] = []
    private let changed: () -> Void
    /// What has to happen if the call is not made again; nil for nothing.
    private let giveUp: (() -> Void)?
    /// Whether what the call waits for has changed.
    private(set) var isOver = false
    /// What it waits for if it hangs (`SimulatedFault.Effect.hang`); nil for a call that waits for an event.
    let hung: HungCall?

    /// Directly after the call. `changed` is called once.
    init(_ kernel: SimulatedKernel, changed: @escaping () -> Void = {}) {
        self.changed = changed
        giveUp = kernel.giveUp
        hung = kernel.blockedOn.first as? HungCall
        for description in kernel.blockedOn {
            let number = description.addWaiter { [weak self] in self?.end(changed: true) }
            waiters.append((description, number))
        }
    }

    /// The names of what it waits for.
    var names: [String] { waiters.map(\.description.name) }

    /// Waits no longer, and the call is not made again.
    func abandon() {
        end()
        giveUp?()
    }

    /// Waits no longer.
    func end() {
        for waiter in waiters { waiter.description.removeWaiter(waiter.number) }
        waiters = []
    }

    private func end(changed isChanged: Bool) {
        guard !isOver else { return }
        isOver = true
        end()
        changed()
    }
}
