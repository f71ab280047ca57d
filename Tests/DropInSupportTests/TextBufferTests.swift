import Testing

@Suite struct TextBufferTests {
    @Test func numbersHaveACommaAfterEachThreeDigits() {
        #expect(text { $0.append(grouped: 0) } == "0")
        #expect(text { $0.append(grouped: 999) } == "999")
        #expect(text { $0.append(grouped: 1000) } == "1,000")
        #expect(text { $0.append(grouped: 1_234_567) } == "1,234,567")
        #expect(text { $0.append(grouped: .max) } == "18,446,744,073,709,551,615")
        #expect(text { $0.append(1_234_567) } == "1234567")
    }

    @Test func hundredthsKeepBothPlaces() {
        #expect(text { $0.append(hundredths: 0) } == "0.00")
        #expect(text { $0.append(hundredths: 5) } == "0.05")
        #expect(text { $0.append(hundredths: 123_450) } == "1,234.50")
    }

    @Test func columnsAreThoseOfTheLine() {
        let lines = text { line in
            for name in ["a", "long"] as [StaticString] {
                line.append(name)
                line.append(endingAt: 9) { $0.append(grouped: 1000) }
                line.append("\n")
            }
        }
        #expect(lines == "a   1,000\nlong1,000\n")
    }

    @Test func aTextWiderThanItsColumnPushesItOut() {
        #expect(text { $0.append(endingAt: 3) { $0.append(123_456) } } == "123456")
    }

    @Test func whatATerminalWouldActUponBecomesAQuestionMark() {
        #expect(text { $0.append(cString: "a\u{1B}[31m\nb\u{7F}") } == "a?[31m?b?")
    }

    @Test func aCStringIsCutAtItsLimit() {
        #expect(text { $0.append(cString: "0123456789", limit: 4) } == "0123")
    }

    @Test func whatFindsNoRoomIsLeftOut() {
        for room in 0..<30 {
            let cut = text(room: room) { buffer in
                buffer.append("name")
                buffer.pad(to: 8)
                buffer.append(endingAt: 20) { $0.append(grouped: 123_456) }
                buffer.append("\n")
            }
            #expect(cut.utf8.count == min(room, 21))
        }
    }

    private func text(room: Int = 100, _ body: (inout TextBuffer) -> Void) -> String {
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: room)
        defer { memory.deallocate() }
        var buffer = TextBuffer(memory)
        body(&buffer)
        return String(decoding: memory[..<buffer.count], as: UTF8.self)
    }
}
