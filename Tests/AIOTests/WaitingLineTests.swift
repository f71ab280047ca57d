import Testing
import UnitSupport

@testable import AIO

/// Compares the line with an array that is searched.
@Suite struct WaitingLineTests {
    typealias Line = WaitingLine<Int>

    @Test func firstComeIsFirstServed() {
        var line = Line()
        for value in 0..<10 { line.append(Line.Place(value)) }
        var served: [Int] = []
        while let place = line.popFirst() { served.append(place.value) }
        #expect(served == Array(0..<10))
        let earliest = line.earliestDeadline
        #expect(earliest == .max)
    }

    @Test func whoIsNotInLineCannotLeaveIt() {
        var line = Line()
        let place = Line.Place(1, deadline: 5)
        let before = line.remove(place)
        line.append(place)
        let first = line.remove(place)
        let second = line.remove(place)
        #expect((before, first, second) == (false, true, false))
        let passed = line.popPassed(10)
        #expect(line.isEmpty && passed == nil)
    }

    @Test func itDoesWhatASearchedArrayDoes() {
        var generator = SeededGenerator("waiting line")
        for _ in 0..<200 {
            var line = Line()
            var model: [Line.Place] = []
            for value in 0..<Int.random(in: 1...120, using: &generator) {
                switch Int.random(in: 0..<6, using: &generator) {
                case 0, 1, 2:
                    let deadline = Bool.random(using: &generator) ? UInt64.random(in: 0..<40, using: &generator) : .max
                    let place = Line.Place(value, deadline: deadline)
                    line.append(place)
                    model.append(place)
                case 3:
                    let (popped, expected) = (line.popFirst(), model.first)
                    #expect(popped === expected)
                    model = Array(model.dropFirst())
                case 4:
                    guard let place = model.randomElement(using: &generator) else { continue }
                    let isRemoved = line.remove(place)
                    #expect(isRemoved)
                    model.removeAll { $0 === place }
                default:
                    let now = UInt64.random(in: 0..<40, using: &generator)
                    let earliest = model.map(\.deadline).min() ?? .max
                    let popped = line.popPassed(now)
                    #expect(popped?.deadline == (earliest <= now ? earliest : nil))
                    model.removeAll { $0 === popped }
                }
                let (count, first, earliest) = (line.count, line.first, line.earliestDeadline)
                #expect(count == model.count && first === model.first)
                #expect(earliest == model.map(\.deadline).min() ?? .max)
            }
            let even = line.remove { $0.isMultiple(of: 2) }.map(\.value)
            let odd = line.remove { _ in true }.map(\.value)
            #expect(even == model.map(\.value).filter { $0.isMultiple(of: 2) })
            #expect(odd == model.map(\.value).filter { !$0.isMultiple(of: 2) })
        }
    }
}
