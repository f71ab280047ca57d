/// Why a program was not started, in one line. The exit status is the shell's: 127 if the program does not exist, 126
/// if it cannot be executed.
struct NotStarted: Error {
    var message: String
    var status: Int32
}
