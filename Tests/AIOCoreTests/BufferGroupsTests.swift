import CKernel
import Testing

@testable import AIOCore

@Suite struct BufferGroupsTests {
    private let memory = UnsafeMutableRawPointer(bitPattern: 1 << 20)

    private func register(_ groups: inout BufferGroups, size: UInt32 = 16, count: UInt16 = 3) throws -> Int32 {
        groups.perform(.register(base: try #require(memory), size: size, count: count))
    }

    @Test func eachBufferIsTakenOnceFromTheFirstOn() throws {
        var groups = BufferGroups()
        let group = try register(&groups)
        var taken: [UInt16] = []
        for _ in 0..<3 {
            guard case .buffer(let buffer, let address, let count) = groups.take(0) else { break }
            taken.append(buffer)
            #expect(address == memory.map { $0 + 16 * Int(buffer) })
            #expect(count == 16)
        }
        guard case .noneFree = groups.take(0) else { return _ = Issue.record("a fourth of three buffers") }
        #expect(group == 0)
        #expect(taken == [0, 1, 2])
    }

    @Test func aBufferThatIsProvidedIsTakenAgain() throws {
        var groups = BufferGroups()
        _ = try register(&groups)
        for _ in 0..<3 { _ = groups.take(0) }
        let provided = groups.perform(.provide(group: 0, buffer: 1))
        let twice = groups.perform(.provide(group: 0, buffer: 1))
        guard case .buffer(let buffer, _, _) = groups.take(0) else { return _ = Issue.record("it is not free") }
        #expect(provided == 0)
        #expect(twice == -EINVAL, "it is not out")
        #expect(buffer == 1)
    }

    @Test func whatIsNotThereIsRefused() throws {
        var groups = BufferGroups()
        let early = groups.perform(.provide(group: 0, buffer: 0))
        _ = try register(&groups)
        let answers = [
            groups.perform(.provide(group: 0, buffer: 3)), groups.perform(.provide(group: 1, buffer: 0)),
            groups.perform(.unregister(group: 1)), groups.perform(.unregister(group: 64)),
            try register(&groups, size: 0), try register(&groups, count: 0),
            try register(&groups, size: UInt32(Int32.max) + 1),
        ]
        #expect(early == -ENOENT)
        #expect(answers == [-EINVAL, -ENOENT, -ENOENT, -ENOENT, -EINVAL, -EINVAL, -EINVAL])
        guard case .noSuchGroup = groups.take(1) else { return _ = Issue.record("a buffer of no group") }
    }

    @Test func aGroupEndsWhenAllItsBuffersAreBack() throws {
        var groups = BufferGroups()
        _ = try register(&groups)
        _ = groups.take(0)
        let busy = groups.perform(.unregister(group: 0))
        _ = groups.perform(.provide(group: 0, buffer: 0))
        let ended = groups.perform(.unregister(group: 0))
        let again = groups.perform(.unregister(group: 0))
        #expect(busy == -EBUSY)
        #expect(ended == 0)
        #expect(again == -ENOENT)
    }

    @Test func thereAre64GroupsAtATime() throws {
        var groups = BufferGroups()
        for number in 0..<64 as Range<Int32> {
            let group = try register(&groups)
            #expect(group == number)
        }
        let beyond = try register(&groups)
        _ = groups.perform(.unregister(group: 7))
        let freed = try register(&groups)
        #expect(beyond == -ENOSPC)
        #expect(freed == 7)
    }
}
