/// What an operation waits for.
enum Interest: UInt8, BitwiseCopyable {
    case reading, writing, polling
}
