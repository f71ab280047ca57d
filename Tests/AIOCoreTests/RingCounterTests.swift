import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// The counters of a ring wrap at 2^32, after about an hour at full load. Here a file replaces the kernel's ring and
/// the test replaces the kernel, so that the counters can start just before the wrap.
@Suite struct RingCounterTests {
    static let starts: [UInt32] = [0, .max, .max - 1, .max - 6, 0x7fff_fffe]

    @Test(arguments: starts)
    func submissionsGoOnAcrossTheWrap(_ start: UInt32) throws {
        let kernel = try KernelStandIn(entries: 4, start: start)
        let ring = kernel.ring
        var next: UInt64 = 0
        for _ in 0..<6 {
            while ring.stageNop(next) { next += 1 }
            #expect(ring.stagedCount == 4)
            // The file is not a ring, so the call fails; the staged entries are published before.
            #expect(ring.enter(atLeast: 0, until: 0) < 0)
            #expect(ring.stagedCount == 4, "what the kernel did not take stays")
            #expect(kernel.takeSubmissions(3) == [next - 4, next - 3, next - 2])
            #expect(ring.stagedCount == 1)
            #expect(kernel.takeSubmissions(1) == [next - 1])
            #expect(ring.stagedCount == 0)
        }
        #expect(next == 24)
    }

    @Test(arguments: starts)
    func completionsGoOnAcrossTheWrap(_ start: UInt32) throws {
        let kernel = try KernelStandIn(entries: 4, start: start)
        var next: UInt64 = 0
        for count in [1, 8, 3, 8, 5, 0, 8] as [UInt64] {
            kernel.complete(next..<next + count)
            #expect(kernel.ring.drained(max: 2) == Array((next..<next + count).prefix(2)))
            #expect(kernel.ring.drained() == Array((next..<next + count).dropFirst(2)))
            #expect(kernel.undrainedCount == 0, "the kernel was told that there is room")
            next += count
        }
    }
}

/// The kernel's side of a ring, in a file that the code under test maps like a ring.
private final class KernelStandIn {
    private typealias Words = UnsafeMutablePointer<UInt32>

    let ring: TestedRing
    private let words: Words
    private let submissions: UnsafeMutablePointer<ck_uring_submission>
    private let completions: UnsafeMutablePointer<ck_uring_completion>
    private let mask: (submission: UInt32, completion: UInt32)

    /// The layout, as the kernel would report it: the words first, the completions from the fourth page on.
    private enum Word: Int {
        case submissionHead, submissionTail, submissionMask, submissionFlags, completionHead, completionTail
        case completionMask
        var offset: UInt32 { UInt32(rawValue * 4) }
    }
    private static let completionsOffset = 3 * 4096

    init(entries: UInt32, start: UInt32) throws {
        // The ring closes its descriptor.
        let backing = TemporaryFile()
        let file = dup(backing.descriptor)
        try #require(file >= 0)
        let submissionsOffset = Int(CK_URING_OFFSET_SUBMISSIONS)
        try #require(ftruncate(file, submissionsOffset + 4096) == 0)
        words = try Self.map(file, 4 * 4096, 0).assumingMemoryBound(to: UInt32.self)
        submissions = try Self.map(file, 4096, submissionsOffset).assumingMemoryBound(to: ck_uring_submission.self)
        completions = (UnsafeMutableRawPointer(words) + Self.completionsOffset)
            .assumingMemoryBound(to: ck_uring_completion.self)
        mask = (entries - 1, entries * 2 - 1)
        for word in [Word.submissionHead, .submissionTail, .completionHead, .completionTail] {
            words[word.rawValue] = start
        }
        words[Word.submissionMask.rawValue] = mask.submission
        words[Word.completionMask.rawValue] = mask.completion
        ring = TestedRing(try Ring(OwnedDescriptor(Int(file), .ioUring, .ringSetup), Self.parameters(entries)))
    }

    deinit {
        munmap(words, 4 * 4096)
        munmap(submissions, 4096)
    }

    private static func map(_ file: Int32, _ size: Int, _ offset: Int) throws -> UnsafeMutableRawPointer {
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset)
        try #require(memory != MAP_FAILED)
        return try #require(memory)
    }

    private static func parameters(_ entries: UInt32) -> ck_uring_parameters {
        var parameters = ck_uring_parameters()
        parameters.submission_entries = entries
        parameters.completion_entries = entries * 2
        parameters.flags = CK_URING_SETUP_NO_SQARRAY
        parameters.submission.head = Word.submissionHead.offset
        parameters.submission.tail = Word.submissionTail.offset
        parameters.submission.ring_mask = Word.submissionMask.offset
        parameters.submission.flags = Word.submissionFlags.offset
        parameters.completion.head = Word.completionHead.offset
        parameters.completion.tail = Word.completionTail.offset
        parameters.completion.ring_mask = Word.completionMask.offset
        parameters.completion.entries = UInt32(completionsOffset)
        return parameters
    }

    /// Takes published entries, `count` at most, and returns their user data.
    func takeSubmissions(_ count: Int) -> [UInt64] {
        var taken: [UInt64] = []
        while taken.count < count, words[Word.submissionHead.rawValue] != words[Word.submissionTail.rawValue] {
            taken.append(submissions[Int(words[Word.submissionHead.rawValue] & mask.submission)].user_data)
            words[Word.submissionHead.rawValue] &+= 1
        }
        return taken
    }

    func complete(_ userData: Range<UInt64>) {
        for data in userData {
            let tail = words[Word.completionTail.rawValue]
            completions[Int(tail & mask.completion)] = ck_uring_completion(user_data: data, result: 0, flags: 0)
            words[Word.completionTail.rawValue] = tail &+ 1
        }
    }

    var undrainedCount: UInt32 { words[Word.completionTail.rawValue] &- words[Word.completionHead.rawValue] }
}
