/// What a replaced file survives besides the end of the process at any moment, which it survives in every case.
public enum Durability: Sendable, Hashable {
    /// Content and name survive a power failure that happens after the call has returned. fsync(2) of the file before
    /// it gets its name, and of the directory afterwards.
    case full
    /// After a power failure the name refers to the complete old content or to the complete new content; which of them
    /// is not known. fdatasync(2) of the file before it gets its name.
    case data
    /// No sync. After a power failure the file may be empty or incomplete, depending on the file system.
    case none
}
