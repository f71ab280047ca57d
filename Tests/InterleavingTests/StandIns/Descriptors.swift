/// Takes the place of the process's descriptors, so far as holds of files use them.
final class DescriptorTable: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    nonisolated(unsafe) static var current = DescriptorTable()
    private var open: Set<Int32> = []
    private var next: Int32 = 1000

    var openCount: Int { open.count }
    func isOpen(_ number: Int32) -> Bool { open.contains(number) }

    func duplicate() -> Int {
        next += 1
        open.insert(next)
        return Int(next)
    }

    func close(_ number: Int32) {
        if open.remove(number) == nil { Execution.current?.fail("descriptor \(number) is closed twice") }
    }
}

enum GuestNumbers {
    static func duplicate(_ number: Int32, from least: Int32) -> Int {
        Execution.current?.point()
        let made = DescriptorTable.current.duplicate()
        Execution.current?.observe(UInt64(made))
        return made
    }
    static func close(_ number: Int32) {
        Execution.current?.point()
        DescriptorTable.current.close(number)
    }
    static func moveUp(_ number: Int32) -> Int32 { number }
    static func isBelow(_ number: Int32) -> Bool { false }
}

/// Which file it is does not matter here.
extension FileIdentity {
    init(ofDescriptor number: Int32) { self.init() }
}

extension Kernel {
    static func guestNumbers() -> Int32 { 1000 }
    static func eventDescriptor() -> Int { 7 }
    static func close(_ number: Int32) {}
    static func knowsNoAppend(_ number: Int32) -> Bool { true }
    static func hasRecordLocks(_ number: Int32) -> Bool { false }
    static func isSameOpenFile(_ one: Int32, _ other: Int32) -> Bool {
        if one == other { return true }
        Execution.current?.check(DescriptorTable.current.isOpen(other), "a closed duplicate is compared")
        return true
    }
}

/// Zeroed memory in the library: here each word is an atomic that holds 0.
func mappedMemory<Element: ~Copyable>(of: Element.Type, _ count: Int) -> UnsafeMutablePointer<Element>? {
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: count)
    let size = MemoryLayout<Element>.stride * count / MemoryLayout<Atomic<UInt32>>.stride
    let words = UnsafeMutableRawPointer(memory).bindMemory(to: Atomic<UInt32>.self, capacity: size)
    for index in 0..<size { (words + index).initialize(to: Atomic(0)) }
    return memory
}
