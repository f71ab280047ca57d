import Glibc
import Testing

@testable import AIO
@testable import AIOCore

@Suite struct ErrnoTests {
    @Test func anErrnoIsASentenceAndItsName() {
        #expect(Errno(rawValue: ENOENT).description == "No such file or directory (ENOENT)")
        #expect(Errno(rawValue: EAGAIN).description == "Resource temporarily unavailable (EAGAIN)")
        #expect(Errno(rawValue: ECANCELED).description == "Operation canceled (ECANCELED)")
    }

    @Test func anUnknownErrnoIsToldByItsNumber() {
        #expect(Errno(rawValue: 4000).description.contains("4000"))
        #expect(Errno(rawValue: EADV).description.contains("\(EADV)"), "known to libc and not named here")
    }

    @Test func everyErrnoIsOneLine() {
        for number in -1...200 as ClosedRange<Int32> { #expect(isOneLine(Errno(rawValue: number).description)) }
    }
}

@Suite struct IOErrorTests {
    static let codes: [IOError.Code] = [
        .notFound, .permissionDenied, .alreadyExists, .isDirectory, .notDirectory, .readOnly, .invalidArgument,
        .badDescriptor, .fileClosed, .notSupported, .cancelled, .deadlineExceeded, .unexpectedEndOfFile, .limitReached,
        .wouldBlock, .noSpace, .fileTooLarge, .outOfMemory, .tooManyOpenFiles, .inputOutput, .runtimeShutDown, .forked,
        .engineUnavailable, .syncFailedBefore, .connectionRefused, .connectionReset, .connectionAborted, .brokenPipe,
        .timedOut, .hostUnreachable, .networkUnreachable, .addressInUse, .addressNotAvailable, .notConnected,
        .alreadyConnected, .messageTooLarge, .nameNotFound, .nameLookupFailed, .other,
    ]

    @Test(
        arguments: [
            (ENOENT, .notFound), (EACCES, .permissionDenied), (EPERM, .permissionDenied), (EEXIST, .alreadyExists),
            (EISDIR, .isDirectory), (ENOTDIR, .notDirectory), (EROFS, .readOnly), (EINVAL, .invalidArgument),
            (EBADF, .badDescriptor), (EOPNOTSUPP, .notSupported), (ENOSYS, .notSupported), (ECANCELED, .cancelled),
            (EAGAIN, .wouldBlock), (ENOSPC, .noSpace), (EDQUOT, .noSpace), (EFBIG, .fileTooLarge),
            (ENOMEM, .outOfMemory),
            (EMFILE, .tooManyOpenFiles), (ENFILE, .tooManyOpenFiles), (EIO, .inputOutput), (EXDEV, .other),
            (ECONNREFUSED, .connectionRefused), (ECONNRESET, .connectionReset), (ECONNABORTED, .connectionAborted),
            (EPIPE, .brokenPipe), (ETIMEDOUT, .timedOut), (EHOSTUNREACH, .hostUnreachable),
            (ENETUNREACH, .networkUnreachable), (EADDRINUSE, .addressInUse), (EADDRNOTAVAIL, .addressNotAvailable),
            (ENOTCONN, .notConnected), (EISCONN, .alreadyConnected), (EMSGSIZE, .messageTooLarge),
        ] as [(Int32, IOError.Code)])
    func anErrnoHasItsCode(_ number: Int32, _ code: IOError.Code) {
        let error = IOError(result: -number, "read", path: "file")
        #expect(error.code == code)
        #expect(error.errno == Errno(rawValue: number))
        #expect(error.operation == "read")
        #expect(error.path == "file")
    }

    @Test func theMessageSaysWhatFailedOnWhatWhyAndWhatToDo() {
        let error = IOError(.notFound, "open", errno: Errno(rawValue: ENOENT), path: "/a b", advice: "make it")
        #expect(error.description == "open \"/a b\": No such file or directory (ENOENT): make it")
        #expect(IOError(.fileClosed, "read", path: "f").description == "read f: the file is closed")
        #expect(IOError(.cancelled, "sleep").description == "sleep: cancelled")
        #expect(
            IOError(.nameNotFound, "resolve", address: "a b").description.hasPrefix(
                "resolve \"a b\": the host does not exist"))
    }

    @Test(arguments: codes)
    func everyMessageIsOneLineAndSaysSomething(_ code: IOError.Code) {
        for path in ["file", "two\nlines", "\u{2028}"] as [Path] {
            let description = IOError(code, "read", path: path, advice: "advice").description
            #expect(isOneLine(description))
            #expect(description.hasPrefix("read "))
            #expect(description.hasSuffix(": advice"))
        }
        #expect(IOError(code, "read").description.count > "read: ".count + 5)
    }

    @Test func aCancelOnBehalfOfTheDeadlineIsTheDeadlines() {
        let token = Token(rawValue: 0)
        let passed = IOError(Completion(token, result: -ECANCELED, flags: .deadlinePassed), "read", path: nil)
        #expect(passed.code == .deadlineExceeded)
        #expect(passed.errno == nil)
        #expect(passed.description == "read: the deadline passed")
        let cancelled = IOError(Completion(token, result: -ECANCELED), "read", path: nil)
        #expect(cancelled.code == .cancelled)
        #expect(cancelled.errno == nil)
        let failed = IOError(Completion(token, result: -EIO), "read", path: nil)
        #expect(failed.code == .inputOutput)
        #expect(failed.errno == Errno(rawValue: EIO))
    }
}

@Suite struct EngineFailureTests {
    static let steps: [EngineFailure.Step] = [
        .configuration, .ringSetup, .ringMapping, .ringFeatures, .descriptors, .thread, .firstOperation,
    ]
    static let errnos: [Int32] = [0, EPERM, ENOSYS, ENOMEM, EMFILE, ENFILE, EAGAIN, EINVAL, EIO]

    @Test(arguments: steps, errnos)
    func everyFailureIsOneLine(_ step: EngineFailure.Step, _ number: Int32) {
        for engine in EngineKind.allCases {
            let error = IOError(EngineFailure(engine: engine, step: step, errno: number))
            #expect(isOneLine(error.description))
            #expect(error.errno?.rawValue ?? 0 == number)
        }
    }

    @Test(
        arguments: [
            (.configuration, EINVAL, .invalidArgument, "queueDepth"),
            (.ringSetup, EPERM, .engineUnavailable, "kernel.io_uring_disabled"),
            (.ringSetup, EPERM, .engineUnavailable, "seccomp"),
            (.ringSetup, ENOSYS, .engineUnavailable, "seccomp"),
            (.ringSetup, ENOMEM, .outOfMemory, "RLIMIT_MEMLOCK"),
            (.ringSetup, EMFILE, .tooManyOpenFiles, "RLIMIT_NOFILE"),
            (.ringSetup, ENFILE, .tooManyOpenFiles, "fs.file-max"),
            (.ringMapping, ENOMEM, .outOfMemory, "RLIMIT_MEMLOCK"),
            (.ringFeatures, 0, .engineUnavailable, "5.15"),
            (.descriptors, EMFILE, .tooManyOpenFiles, "RLIMIT_NOFILE"),
            (.descriptors, ENFILE, .tooManyOpenFiles, "fs.file-max"),
            (.thread, EAGAIN, .wouldBlock, "RLIMIT_NPROC"),
            (.firstOperation, EPERM, .engineUnavailable, "first operation"),
        ] as [(EngineFailure.Step, Int32, IOError.Code, String)])
    func aFailureSaysWhatToDo(_ step: EngineFailure.Step, _ number: Int32, _ code: IOError.Code, _ advice: String) {
        let error = IOError(EngineFailure(engine: .ioUring, step: step, errno: number))
        #expect(error.description.contains(advice))
        #expect(error.code == code)
    }
}
