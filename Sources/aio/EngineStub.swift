// Until AIOCore has it.
enum EngineKind: CaseIterable, Sendable {
    case ioUring, threads
    var name: StaticString { self == .ioUring ? "io_uring" : "threads" }
}
