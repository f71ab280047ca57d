import Testing

@testable import AIOCommand

/// The notes on the machine's load below a table.
@Suite struct MachineLoadTests {
    @Test func notesTellWhoElseHadTheProcessors() {
        #expect(
            MachineLoad.notes(others: 0.5, stolen: 0.041) == [
                "just before the measurement, other programs used 50 % of the processors: expect uneven figures",
                "during the measurement, a hypervisor took 4.1 % of the processors' time: expect a high p99",
            ])
    }

    @Test func whatIsLittleOrUnknownIsNoNote() {
        #expect(MachineLoad.notes(others: 0.1, stolen: 0.01).isEmpty)
        #expect(MachineLoad.notes(others: nil, stolen: nil).isEmpty)
    }
}
