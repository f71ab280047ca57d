import AIOCore
import CKernel
import Glibc
import Testing

@Suite struct KernelFeaturesTests {
    @Test func theProbeSaysWhatTheCallsThemselvesSay() {
        let features = KernelFeatures.probe()
        // The kernel looks at the descriptor last.
        let waits = ck_system_call_6(Int(CK_NR_epoll_pwait2), -1, 0, 0, 0, 0, 8)
        #expect(features.hasEpollPwait2 == (waits != -Int(ENOSYS)))
        var range = (UInt64(0), UInt64(0))
        var counts = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        let cached = withUnsafeMutablePointer(to: &range) { range in
            withUnsafeMutablePointer(to: &counts) { counts in
                ck_system_call_6(
                    Int(CK_NR_cachestat), -1, Int(bitPattern: range), Int(bitPattern: counts), 0, 0, 0)
            }
        }
        #expect(features.hasCachestat == (cached == -Int(EBADF)))
        #expect(features.hasEpollPwait2 || features.hasCachestat || kernelIsOlder(than: 5, 11))
    }

    private func kernelIsOlder(than major: Int, _ minor: Int) -> Bool {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let numbers = release.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
        return numbers.count < 2 || (numbers[0], numbers[1]) < (major, minor)
    }
}
