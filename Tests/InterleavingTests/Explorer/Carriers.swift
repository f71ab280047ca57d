import Glibc

/// What the threads of executions run on, one execution after another.
protocol Carriers: AnyObject {
    /// Prepares a job, which begins when it is passed to first. It returns the index of the job that goes on; nil ends
    /// the execution.
    func carry(_ index: Int, _ job: @escaping () -> Int?)
    /// Starts the first job, and returns when one ends the execution.
    func run(_ first: Int)
    /// Continues the receiver. Returns when the sender is continued.
    func pass(from sender: Int, to receiver: Int)
    /// Ends the execution in the midst of the sender's job, which is never continued: its frames leak what they own.
    func abandon(_ sender: Int)
    /// Frees everything, including jobs that have not ended.
    func stop()
}

/// Real threads, of which one runs at a time.
final class ThreadCarriers: Carriers, @unchecked Sendable {
    // @unchecked: the semaphores hand everything over.
    private var carriers: [Carrier] = []
    private let end = Semaphore()
    private var isStopping = false

    private final class Carrier: @unchecked Sendable {
        // @unchecked: `job` is written before the semaphore is posted after which it is read.
        let baton = Semaphore()
        var thread = pthread_t()
        var job: (() -> Int?)?
        /// Whether the thread has exited after a failure.
        var hasExited = false
        /// Unowned: `stop` waits for the thread.
        unowned(unsafe) let owner: ThreadCarriers

        init(_ owner: ThreadCarriers) { self.owner = owner }

        /// The main function of the thread.
        func run() {
            while true {
                baton.wait()
                guard let job = job.take() else { return }
                owner.goOn(job())
            }
        }
    }

    private func carrier(_ index: Int) -> Carrier {
        while carriers.count <= index { carriers.append(Carrier(self)) }
        return carriers[index]
    }

    func carry(_ index: Int, _ job: @escaping () -> Int?) {
        let carrier = carrier(index)
        let isNew = carrier.thread == 0
        carrier.job = job
        guard isNew else { return }
        let argument = Unmanaged.passRetained(carrier).toOpaque()
        let refused = pthread_create(
            &carrier.thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Carrier>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument)
        precondition(refused == 0, "no thread for the explorer")
    }

    func run(_ first: Int) {
        carriers[first].baton.post()
        end.wait()
    }

    func pass(from sender: Int, to receiver: Int) {
        // Looked up first: the receiver may add carriers.
        let baton = carriers[sender].baton
        carriers[receiver].baton.post()
        baton.wait()
        if isStopping { exit(sender) }
    }

    func abandon(_ sender: Int) {
        end.post()
        exit(sender)
    }

    private func goOn(_ receiver: Int?) {
        if let receiver { carriers[receiver].baton.post() } else { end.post() }
    }

    /// Ends the calling thread in the midst of its job. What its frames own is not released.
    private func exit(_ index: Int) -> Never {
        carriers[index].hasExited = true
        pthread_exit(nil)
    }

    /// Ends all threads: those that wait for a job, and after a failure those in the midst of one.
    func stop() {
        isStopping = true
        for carrier in carriers where carrier.thread != 0 {
            // A carrier whose job has not begun must not begin it.
            carrier.job = nil
            if !carrier.hasExited { carrier.baton.post() }
            pthread_join(carrier.thread, nil)
        }
        carriers = []
        isStopping = false
    }
}

final class Semaphore: @unchecked Sendable {
    // @unchecked: the pointer never changes, and sem_post(3) and sem_wait(3) are made for threads.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func post() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }
}
