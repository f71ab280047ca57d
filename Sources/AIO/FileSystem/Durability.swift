/// What a file that was replaced withstands. It withstands the end of the process, at any moment, in any case.
public enum Durability: Sendable, Hashable {
    /// Content and name are on the device: when the call returns, a loss of power does no more harm. fsync(2) of the file
    /// before it gets its name, and of the folder after it.
    case full
    /// After a loss of power the name stands for the old content or the new one, whole; for which of them is not known.
    /// fdatasync(2) of the file before it gets its name.
    case data
    /// No sync. After a loss of power the file may be empty, or hold a part: what the file system has made of it.
    case none
}
