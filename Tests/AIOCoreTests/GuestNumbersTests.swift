import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// In child processes, whose registry is empty: it is the process's.
@Suite struct GuestNumbersTests {
    /// The bits of 64 numbers are in one word.
    @Test func theNextNumberIsFoundInAnyWord() async {
        await #expect(processExitsWith: .success) {
            let file = TemporaryFile([1])
            #expect(GuestNumbers.next(from: 0) == nil, "something is registered")
            let numbers: [Int32] = [575, 576, 600, 639, 640, 1000]
            for number in numbers {
                #expect(GuestNumbers.duplicate(file.descriptor, from: number) == Int(number), "\(number) is not free")
            }
            for first in Int32(0)...1001 {
                let expected = numbers.first { $0 >= first }
                #expect(GuestNumbers.next(from: first) == expected, "from \(first)")
                #expect(GuestNumbers.contains(first) == numbers.contains(first), "\(first)")
            }
            #expect(GuestNumbers.next(from: -5) == 575, "a negative number")
            #expect(GuestNumbers.next(from: .max) == nil, "beyond the registry")
            GuestNumbers.close(639)
            #expect(GuestNumbers.next(from: 601) == 640, "after a close")
            #expect(fcntl(639, F_GETFD) == -1 && errno == EBADF, "it is still open")
        }
    }

    @Test func numbersBelowTheLowestAreToldWithoutTheLock() async {
        await #expect(processExitsWith: .success) {
            let file = TemporaryFile([1])
            #expect(GuestNumbers.isBelow(.max), "nothing is registered")
            #expect(GuestNumbers.duplicate(file.descriptor, from: 700) == 700, "700 is not free")
            #expect(GuestNumbers.isBelow(699) && !GuestNumbers.isBelow(700) && !GuestNumbers.isBelow(701), "of 700")
            #expect(GuestNumbers.isBelow(-1), "a negative number")
            #expect(GuestNumbers.duplicate(file.descriptor, from: 500) == 500, "500 is not free")
            #expect(GuestNumbers.isBelow(499) && !GuestNumbers.isBelow(500), "of 500")
        }
    }

    /// The program has closed the number past the library, and another file has it.
    @Test func whatIsNotTheLibrarysIsForgottenAndNotClosed() async {
        await #expect(processExitsWith: .success) {
            let file = TemporaryFile([1])
            let events = Int32(Kernel.eventDescriptor())
            #expect(events >= 0, "no eventfd")
            for source in [events, file.descriptor] {
                #expect(GuestNumbers.duplicate(events, from: 800) == 800, "800 is not free")
                #expect(dup2(source, 800) == 800, "errno \(errno)")
                GuestNumbers.closeOwn(800)
                #expect(!GuestNumbers.contains(800), "it is still registered")
                let isOpen = fcntl(800, F_GETFD) >= 0
                #expect(isOpen == (source == file.descriptor), "a file is the program's, an eventfd the library's")
                close(800)
            }
            close(events)
        }
    }
}
