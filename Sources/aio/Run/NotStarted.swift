/// Why a program was not started, in one line. The exit status is a shell's: 127 if it is not there, 126 if it cannot
/// be started.
struct NotStarted: Error {
    var message: String
    var status: Int32
}
