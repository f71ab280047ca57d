internal import CKernel
internal import Synchronization

/// The mapped memory of a ring, and the addresses of its parts.
struct RingMapping: ~Copyable {
    let submissionHead: UnsafeMutablePointer<Atomic<UInt32>>
    let submissionTail: UnsafeMutablePointer<Atomic<UInt32>>
    let submissionFlags: UnsafeMutablePointer<Atomic<UInt32>>
    let submissionMask: UInt32
    let submissionEntries: UInt32
    let submissions: UnsafeMutablePointer<ck_uring_submission>
    let completionHead: UnsafeMutablePointer<Atomic<UInt32>>
    let completionTail: UnsafeMutablePointer<Atomic<UInt32>>
    let completionMask: UInt32
    let completions: UnsafePointer<ck_uring_completion>

    private let rings: MappedMemory
    private let entries: MappedMemory

    init(_ descriptor: Int32, _ parameters: ck_uring_parameters) throws(EngineFailure) {
        let submission = parameters.submission
        let completion = parameters.completion
        let ringsSize = max(
            Int(submission.array) + Int(parameters.submission_entries) * 4,
            Int(completion.entries) + Int(parameters.completion_entries) * MemoryLayout<ck_uring_completion>.size)
        let entriesSize = Int(parameters.submission_entries) * MemoryLayout<ck_uring_submission>.size
        let ringsMemory = try MappedMemory(ring: descriptor, size: ringsSize, offset: CK_URING_OFFSET_RINGS)
        let entriesMemory = try MappedMemory(
            ring: descriptor, size: entriesSize, offset: CK_URING_OFFSET_SUBMISSIONS)
        let rings = ringsMemory.start
        self.rings = ringsMemory
        self.entries = entriesMemory
        submissions = entries.start.assumingMemoryBound(to: ck_uring_submission.self)
        submissionHead = Self.word(rings, submission.head)
        submissionTail = Self.word(rings, submission.tail)
        submissionFlags = Self.word(rings, submission.flags)
        submissionMask = rings.load(fromByteOffset: Int(submission.ring_mask), as: UInt32.self)
        submissionEntries = parameters.submission_entries
        completionHead = Self.word(rings, completion.head)
        completionTail = Self.word(rings, completion.tail)
        completionMask = rings.load(fromByteOffset: Int(completion.ring_mask), as: UInt32.self)
        completions = UnsafePointer(
            (rings + Int(completion.entries)).assumingMemoryBound(to: ck_uring_completion.self))

        if parameters.flags & CK_URING_SETUP_NO_SQARRAY == 0 {
            // Entries are used in ring order, so the indirection is the identity permanently.
            let array = (rings + Int(submission.array)).assumingMemoryBound(to: UInt32.self)
            for index in 0..<submissionEntries { array[Int(index)] = index }
        }
    }

    /// An atomic over a word shared with the kernel: Atomic<UInt32> has the layout of UInt32.
    private static func word(_ base: UnsafeMutableRawPointer, _ offset: UInt32) -> UnsafeMutablePointer<Atomic<UInt32>>
    {
        (base + Int(offset)).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
}
