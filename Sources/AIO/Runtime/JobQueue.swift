/// Jobs that wait to run, first in, first out: a ring buffer that grows as needed and never shrinks.
struct JobQueue: ~Copyable {
    private var jobs: UnsafeMutablePointer<UnownedJob>
    private var capacity: Int
    private var head = 0
    private(set) var count = 0

    init() {
        capacity = 64
        jobs = .allocate(capacity: capacity)
    }

    deinit { jobs.deallocate() }

    @inline(__always)
    mutating func append(_ job: UnownedJob) {
        if count == capacity { grow() }
        (jobs + ((head + count) & (capacity - 1))).initialize(to: job)
        count += 1
    }

    @inline(__always)
    mutating func popFirst() -> UnownedJob? {
        guard count > 0 else { return nil }
        let job = jobs[head]
        head = (head + 1) & (capacity - 1)
        count -= 1
        return job
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<UnownedJob>.allocate(capacity: capacity * 2)
        for index in 0..<count { (larger + index).initialize(to: jobs[(head + index) & (capacity - 1)]) }
        jobs.deallocate()
        jobs = larger
        capacity *= 2
        head = 0
    }
}
