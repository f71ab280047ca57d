import FaultInjection
import Testing

/// The text of a plan, as in AIO_FAULTS.
@Suite struct FaultTextTests {
    @Test(arguments: [
        "", "fsync=EIO", "*=hang", "write:2=short:100", "read@/srv/data:3=slow:5ms", "openat2@/=EMFILE",
        "recvfrom@socket:1/20=half", "read=flip", "openat2@/a:1=EIO,fsync:1=EIO",
    ])
    func aPlanIsRead(_ text: String) throws {
        _ = try FaultPlan(parsing: text)
    }

    @Test(arguments: [
        ("fsync", "it has no action"), ("opne=EIO", "there is no such call"), ("fsync:0=EIO", "after the colon"),
        ("fsync:1/0=EIO", "after the colon"), ("fsync=ENOTHING", "the action is"), ("write=short:0", "after short:"),
        ("write=slow:5", "after slow:"), ("read@srv=EIO", "after @ comes"), ("read@sockets=EIO", "after @ comes"),
    ])
    func aMistakeIsToldWithItsPart(_ text: String, _ reason: String) {
        let error = #expect(throws: MalformedFaults.self) { try FaultPlan(parsing: text) }
        #expect(error?.description.hasPrefix("AIO_FAULTS: \(text): \(reason)") == true, "\(error?.description ?? "")")
    }
}
