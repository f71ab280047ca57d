/// Faults that the user of a program asks for.
public enum Faults {
    /// Installs the plan in `text`, the value of the environment variable AIO_FAULTS; nil if there is none. All calls
    /// are written to the file `log`, the value of AIO_FAULTS_LOG, unless that is nil. Returns what is wrong in one
    /// line; nil if nothing is.
    public static func install(_ text: UnsafePointer<CChar>?, log: UnsafePointer<CChar>? = nil) -> String? {
        guard text != nil || log != nil else { return nil }
        do throws(MalformedFaults) {
            let plan = try FaultPlan(parsing: text.map { String(cString: $0) } ?? "")
            if let log, !plan.writeLog(to: log) { return "AIO_FAULTS_LOG: the file cannot be opened for writing" }
            // Without rules the engines work as always.
            if text.map({ $0.pointee != 0 }) ?? false || log != nil { plan.install() }
            return nil
        } catch {
            return error.description
        }
    }
}
