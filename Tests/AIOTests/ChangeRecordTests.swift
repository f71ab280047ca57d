import CKernel
import Testing

@testable import AIO

@Suite struct ChangeRecordTests {
    private func record(_ mask: UInt32, watch: Int32 = 1, cookie: UInt32 = 0, _ name: [UInt8] = []) -> [UInt8] {
        let event = ck_inotify_event(watch: watch, mask: mask, cookie: cookie, length: UInt32(name.count))
        return withUnsafeBytes(of: event) { Array($0) } + name
    }

    private func parse(_ bytes: [UInt8]) -> [(event: ck_inotify_event, name: Path?)] {
        bytes.withUnsafeBytes { Array(ChangeRecords($0)) }
    }

    @Test func recordsFollowOneAnotherWithTheirPaddingDropped() {
        let bytes =
            record(CK_IN_CREATE, watch: 7, Array("one".utf8) + [UInt8](repeating: 0, count: 13))
            + record(CK_IN_IGNORED, watch: 8) + record(CK_IN_MOVED_TO, cookie: 5, [0xff, 0x0a, 0, 0])
        let records = parse(bytes)
        #expect(records.map(\.event.watch) == [7, 8, 1])
        #expect(records.map { $0.name?.bytes } == [Array("one".utf8), nil, [0xff, 0x0a]])
        #expect(records.map { Change.Kind($0.event) } == [.created, .ignored, .movedTo(cookie: 5)])
    }

    /// The kernel never truncates a record; but if it did, nothing beyond the buffer would be read.
    @Test func whatIsCutOffEndsWithTheMemory() {
        let whole = record(CK_IN_DELETE, Array("a-name".utf8))
        for count in 0..<whole.count {
            let records = parse(Array(whole[..<count]))
            #expect(records.count == (count < 16 ? 0 : 1))
            #expect((records.first?.name?.bytes.count ?? 0) == max(0, count - 16))
        }
    }

    @Test func everyEventOfTheKernelHasItsKind() {
        let bits: [UInt32] = (0...11).map { 1 << $0 } + [CK_IN_UNMOUNT, CK_IN_Q_OVERFLOW, CK_IN_IGNORED]
        let kinds = bits.compactMap { mask in
            Change.Kind(ck_inotify_event(watch: 1, mask: mask | CK_IN_ISDIR, cookie: 3, length: 0))
        }
        #expect(Set(kinds).count == bits.count)
        #expect(Change.Kind(ck_inotify_event(watch: 1, mask: 1 << 20, cookie: 0, length: 0)) == nil)
        #expect(ChangeEvents.all.rawValue == 0xfff)
    }
}
