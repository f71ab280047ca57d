import Foundation
import Testing
import UnitSupport

/// Programs give the same results with the system's libaio and with ours.
@Suite(.serialized, .timeLimit(.minutes(15))) struct LibAIOTests {
    static let programs = names.filter(Program.isWanted).map { Program($0, .libaio) }

    private static let names =
        [
            "contexts", "submit", "getevents", "operations", "holds", "polls", "queues", "rings", "threads", "forks",
            "streams", "unwinding", "thread_ends", "raw_calls", "data", "whole_writes", "closes", "scarcity", "tables",
        ] + (Way.isSecondRun ? [] : allFlags)

    /// All flags in all combinations, which takes twenty seconds: the answers are the kernel's.
    private static let allFlags = ["flags"]

    @Test(arguments: Way.all)
    func theLibraryThatServesIsOurs(_ way: Way) async throws {
        try way.requireEngine()
        let outcome = try await Program("which_library", .libaio).run(way)
        let ours = URL(filePath: try await Library.libaio.path()).resolvingSymlinksInPath().path
        #expect(outcome.output == "\(ours)\n", "\(outcome.errors)")
    }

    @Test(arguments: programs, Way.all)
    func resultsAreThoseOfTheSystemsLibrary(_ program: Program, _ way: Way) async throws {
        try await expectSame(program, way, better: Self.better)
    }

    /// The main thread's stack is known to be readable; for other memory the library makes one call per block. To take
    /// an event that is there needs none.
    @Test func memoryIsLookedAtOnceASubmissionAtMost() async throws {
        guard let tracer = Environment.path(ofTool: "strace") else {
            try Test.cancel("\(skipped("no strace is installed"))")
        }
        let program = Program("looks", .libaio)
        let path = try await Compiler.shared.executable(of: program)
        let preload = "LD_PRELOAD=\(try await Library.libaio.path())"
        try await Environment.withScratch { folder in
            let trace = "\(folder)/trace"
            let arguments = ["-o", trace, "-e", "trace=write,rt_sigprocmask,ppoll", "-E", preload, path, folder]
            let outcome = try await Command([tracer] + arguments).run()
            try #require(outcome.succeeded, "\(outcome.errors)")
            let text = try String(contentsOfFile: trace, encoding: .utf8)
            func looks(from start: String, to end: String) throws -> Int {
                let first = try #require(text.range(of: "\"\(start)\\n\""))
                let last = try #require(text.range(of: "\"\(end)\\n\""))
                return text[first.upperBound..<last.lowerBound].components(separatedBy: "rt_sigprocmask").count - 1
            }
            #expect(try looks(from: "mapped", to: "stack") <= 8)
            #expect(try looks(from: "stack", to: "end") == 0)
            // What delivers the signals that a mask lets through.
            #expect(!text.contains("ppoll("))
        }
    }

    /// Keys are `program: case/what`. If the system's result is right too, it is in the list as well.
    static let better: [String: Better] = [
        "contexts: sizes/of -2147483648": Better(
            "-EINVAL, context null", "-EAGAIN, context null",
            because: "the kernel's sum overflows; a size that cannot be is invalid like the others"),
        "contexts: events-after-end/without a time limit": Better(
            "-EINVAL", because: "the system's library reads the ring that is gone, and crashes"),
        "submit: block-that-cannot-be-written/submit": Better("1", "-EFAULT", because: keyIsThere),
        "submit: block-that-cannot-be-written/events": Better("1", "0", because: keyIsThere),
        "getevents: context-at-the-last-address/result": Better(
            "-EINVAL", because: "the system's library follows any pointer, and crashes"),
        "getevents: time-limit-at-the-last-address/result": Better("-EFAULT", because: crashesOnTimeLimits),
        "getevents: time-limit-at-a-kernel-address/result": Better("-EFAULT", because: crashesOnTimeLimits),
        "getevents: time-limit-at-the-last-address-with-a-mask/result": Better("-EFAULT", because: crashesOnTimeLimits),
        "polls: ready-later/mask": Better(
            "1", "65", because: "the kernel says more than was asked for if it is not so at once: poll(2) does not"),
        "streams: eventfds-as-files/write": Better("8", "refused with -EINVAL", because: hasNoVectoredCall),
        "streams: eventfds-as-files/poll": Better("5", "4", because: "what was written before makes it readable, too"),
        "rings: grown-or-copied-rings/end": Better(
            "-EINVAL", "0", because: "ours could be grown, and so is elsewhere: the old address names nothing"),
        "operations: folders-and-devices/read of /proc/self/comm": Better(
            "4", "refused with -EINVAL", because: hasNoVectoredCall),
        "operations: folders-and-devices/write of /dev/full": Better(
            "-ENOSPC", "refused with -EINVAL", because: hasNoVectoredCall),
        "operations: vectors/read into 2^32": Better("refused with -EINVAL", "0", because: countIsCut),
        "operations: vectors/read into 2^62": Better("refused with -EINVAL", "0", because: countIsCut),
        "operations: file-size-limit-signals/SIGXFSZ is pending": Better("no", "yes", because: signalsAreForCallers),
        "streams: broken-pipe/SIGPIPE is pending": Better("no", "yes", because: signalsAreForCallers),
        "operations: syncs/fsync of /proc": Better("-EINVAL", "refused with -EINVAL", because: isRefusedLater),
        "operations: syncs/fdsync of /proc": Better("-EINVAL", "refused with -EINVAL", because: isRefusedLater),
        "rings: grown-or-copied-rings/grow": Better(
            "yes", "no", because: "memory of our own can grow; nobody asks, and what there was stays where it is"),
        "rings: spoiled-number/submit": Better("1", "-EINVAL", because: numberIsNotUsed),
        "rings: spoiled-number/end": Better("0", "-EINVAL", because: numberIsNotUsed),
        "rings: spoiled-number/end once it is right again": Better("(nothing)", "0", because: numberIsNotUsed),
        "rings: without-its-magic/none, more than asked": Better(
            "0", "-EINVAL", because: "a library that knows its context without the magic goes the short way still"),
        "forks: child-is-refused-its-parents/events, no time": Better("-EINVAL", "0", because: childHasNoRing),
        "forks: grandchild/events, no time": Better("-EINVAL", "0", because: childHasNoRing),
    ]

    private static let keyIsThere =
        "the kernel writes a zero where there is one: to ask whether that can be done would cost each operation a call"
    private static let signalsAreForCallers =
        "the write is made by another thread than the caller's; its result says the same"
    private static let isRefusedLater = "whether a file knows fsync only its driver can say, when asked to"
    private static let numberIsNotUsed = "what a program writes over the number does not matter to us"
    private static let childHasNoRing = "the system's library sees an empty ring, which in a child is nobody's"
    private static let crashesOnTimeLimits = "the system's library looks at the time limit itself, and crashes"
    private static let hasNoVectoredCall =
        "Linux AIO refuses files whose driver has the plain calls alone; that they work is no harm"
    private static let countIsCut = "the kernel takes the count's lower 32 bits alone"
}
