/// Faults that the user of a program asks for.
public enum Faults {
    /// Installs the plan in `text`, the value of the environment variable AIO_FAULTS; nil if there is none. Returns
    /// what is wrong with it in one line; nil if nothing is.
    public static func install(_ text: UnsafePointer<CChar>?) -> String? {
        guard let text else { return nil }
        do throws(MalformedFaults) {
            let plan = try FaultPlan(parsing: String(cString: text))
            // Without rules the engines work as always.
            if text.pointee != 0 { plan.install() }
            return nil
        } catch {
            return error.description
        }
    }
}
