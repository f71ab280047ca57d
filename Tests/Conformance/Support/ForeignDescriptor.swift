import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Kinds of descriptors for waiting, each of which becomes readable in its own way.
enum ForeignKind: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case epoll, signal, timer, changes

    var testDescription: String { rawValue }
}

/// A descriptor of one of these kinds.
struct ForeignDescriptor {
    let descriptor: Int32
    private let kind: ForeignKind
    private let ends: Ends
    private let folder: String

    static func with(_ kind: ForeignKind, _ body: (ForeignDescriptor) async throws -> Void) async throws {
        try await withScratch { scratch in
            try await Ends.with { ends in
                let foreign = try ForeignDescriptor(kind, ends, scratch.folder)
                defer { closeDescriptor(foreign.descriptor) }
                try await body(foreign)
            }
        }
    }

    private init(_ kind: ForeignKind, _ ends: Ends, _ folder: String) throws {
        self.kind = kind
        self.ends = ends
        self.folder = folder
        switch kind {
        case .epoll:
            descriptor = Int32(Kernel.epollCreate())
            #expect(Kernel.epollControl(descriptor, CK_EPOLL_CTL_ADD, ends.reading, CK_POLLIN, 0) == 0)
        case .signal:
            // A signal to this thread, which blocks it, so that no other thread gets it.
            var mask = sigset_t()
            sigemptyset(&mask)
            sigaddset(&mask, SIGUSR2)
            pthread_sigmask(SIG_BLOCK, &mask, nil)
            descriptor = try signalDescriptor(SIGUSR2)
        case .timer: descriptor = Int32(Kernel.timerDescriptor())
        case .changes:
            descriptor = Int32(Kernel.changeDescriptor())
            #expect(Kernel.addWatch(descriptor, folder, 0x100) >= 0)
        }
        try #require(descriptor >= 0)
    }

    func makeReadable() {
        switch kind {
        case .epoll: ends.put([1])
        case .signal: pthread_kill(pthread_self(), SIGUSR2)
        case .timer: Kernel.armTimer(descriptor, at: 1)
        case .changes: closeDescriptor(Glibc.open("\(folder)/file", O_CREAT | O_RDWR, 0o600))
        }
    }

    func reset() {
        var bytes = [UInt8](repeating: 0, count: 4096)
        switch kind {
        case .epoll: _ = ends.get(1)
        case .signal, .timer, .changes: #expect(Glibc.read(descriptor, &bytes, bytes.count) > 0)
        }
        if kind == .changes { unlink("\(folder)/file") }
    }
}
