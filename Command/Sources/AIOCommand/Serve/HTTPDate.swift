/// HTTP dates, in whole seconds since 1970-01-01T00:00:00Z. RFC 9110, section 5.6.7.
enum HTTPDate {
    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let longDays = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    /// The first second of year 1 and the last of year 9999, the range of the format.
    private static let range: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    // MARK: Writing

    /// Such as "Sun, 06 Nov 1994 08:49:37 GMT". Times outside the years 1 to 9999 are clamped.
    static func text(_ seconds: Int64) -> String {
        let seconds = min(max(seconds, range.lowerBound), range.upperBound)
        let date = Civil(seconds)
        return "\(days[date.weekday]), \(two(date.day)) \(months[date.month - 1]) \(four(date.year)) "
            + "\(two(date.hour)):\(two(date.minute)):\(two(date.second)) GMT"
    }

    /// For the common log format: "06/Nov/1994:08:49:37 +0000".
    static func logText(_ seconds: Int64) -> String {
        let date = Civil(min(max(seconds, range.lowerBound), range.upperBound))
        return "\(two(date.day))/\(months[date.month - 1])/\(four(date.year)):"
            + "\(two(date.hour)):\(two(date.minute)):\(two(date.second)) +0000"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private static func four(_ number: Int) -> String {
        String(repeating: "0", count: max(0, 4 - "\(number)".utf8.count)) + "\(number)"
    }

    // MARK: Reading

    /// Parses the three formats of RFC 9110; the last two are obsolete, but recipients must accept them. nil for
    /// anything else. `now` determines the century of the second format.
    static func seconds(_ text: String, now: Int64) -> Int64? {
        guard text.utf8.count <= 64 else { return nil }
        let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        // Sun, 06 Nov 1994 08:49:37 GMT
        case 6 where parts[0].count == 4 && parts[0].hasSuffix(",") && parts[5] == "GMT":
            guard days.contains(String(parts[0].dropLast())), parts[1].count == 2, parts[3].count == 4 else {
                return nil
            }
            return seconds(year: number(parts[3]), parts[2], day: number(parts[1]), parts[4])
        // Sunday, 06-Nov-94 08:49:37 GMT
        case 4 where parts[0].hasSuffix(",") && parts[3] == "GMT":
            let date = parts[1].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            guard longDays.contains(String(parts[0].dropLast())), date.count == 3, date[0].count == 2,
                date[2].count == 2
            else { return nil }
            return seconds(year: number(date[2]).map { year($0, now) }, date[1], day: number(date[0]), parts[2])
        // Sun Nov  6 08:49:37 1994
        case 5, 6:
            guard days.contains(parts[0]), parts.count == 5 || parts[2].isEmpty else { return nil }
            let day = parts.count == 5 ? parts[2] : parts[3]
            guard day.count == (parts.count == 5 ? 2 : 1), parts[parts.count - 1].count == 4 else { return nil }
            return seconds(year: number(parts[parts.count - 1]), parts[1], day: number(day), parts[parts.count - 2])
        default: return nil
        }
    }

    /// The year for two digits. A year more than 50 years ahead means the latest past year with the same digits.
    private static func year(_ short: Int, _ now: Int64) -> Int {
        let present = Civil(min(max(now, range.lowerBound), range.upperBound)).year
        let year = present - present % 100 + short
        return year > present + 50 ? year - 100 : year
    }

    private static func seconds(year: Int?, _ month: String, day: Int?, _ time: String) -> Int64? {
        let clock = time.split(separator: ":", omittingEmptySubsequences: false)
        guard let year, year > 0, let day, let month = months.firstIndex(of: month).map({ $0 + 1 }),
            (1...Civil.length(of: month, year)).contains(day), clock.count == 3, clock.allSatisfy({ $0.count == 2 }),
            let hour = number(clock[0]), let minute = number(clock[1]), let second = number(clock[2]),
            // The grammar allows leap seconds.
            hour < 24, minute < 60, second <= 60
        else { return nil }
        return Civil.days(year, month, day) * 86400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// Digits only.
    private static func number(_ text: some StringProtocol) -> Int? {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return Int(text)
    }
}

/// A point in time in the Gregorian calendar, UTC.
struct Civil {
    let year, month, day, hour, minute, second: Int
    /// 0 is Sunday.
    let weekday: Int

    init(_ seconds: Int64) {
        let days = seconds >= 0 ? seconds / 86400 : -((86399 - seconds) / 86400)
        let rest = Int(seconds - days * 86400)
        (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
        // 1970-01-01 was a Thursday.
        weekday = Int(((days + 4) % 7 + 7) % 7)
        // Years that begin in March, so that the leap day comes last. 400 such years have 146,097 days.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = Int(shifted - era * 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = Int(era) * 400 + yearOfEra + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01.
    static func days(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }

    /// The number of days in a month.
    static func length(of month: Int, _ year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
