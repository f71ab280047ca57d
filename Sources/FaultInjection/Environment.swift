#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Faults that the user of a program asks for.
public enum Faults {
    /// Installs the plan in the environment variable AIO_FAULTS, if there is one. Returns what is wrong with its value
    /// in one line; nil if nothing is.
    public static func installFromEnvironment() -> String? {
        guard let value = getenv("AIO_FAULTS") else { return nil }
        do throws(MalformedFaults) {
            let plan = try FaultPlan(parsing: String(cString: value))
            // Without rules the engines work as always.
            if value.pointee != 0 { plan.install() }
            return nil
        } catch {
            return error.description
        }
    }
}
