internal import AIOCore
internal import FaultInjection

/// What is known about the tasks that ran lately, for the message about one that leaves the simulation.
///
/// Swift tells a task's name within the task alone, so it is asked for when the task makes a system call, reads the
/// clock or uses the shared runtime. Task IDs differ from run to run: no part of the trace.
struct TaskNotes {
    private struct Note {
        var name: String?
        /// When the task last began to run, and before which system call of the run.
        var time: Nanoseconds = 0
        var call = 0
        /// The task's last system call of its own, and what it was on.
        var lastCall: Int?
        var lastDescription: OpenDescription?
    }

    private var notes: [UInt64: Note] = [:]
    /// Those of tasks that have not run for long.
    private var older: [UInt64: Note] = [:]
    private static let limit = 4096
    /// The task that runs; nil for none.
    private var current: UInt64?
    private var hasName = false

    /// A job of the task begins to run. Returns the one that ran, for `end`.
    mutating func begin(_ task: UInt64, _ world: World) -> UInt64? {
        if notes.count >= Self.limit { (older, notes) = (notes, [:]) }
        var note = notes[task] ?? older[task] ?? Note()
        (note.time, note.call) = (world.now, world.callCount + 1)
        notes[task] = note
        hasName = note.name != nil
        defer { current = task }
        return current
    }

    mutating func end(_ before: UInt64?) {
        current = before
        hasName = false
    }

    /// Within the task: asks for its name.
    mutating func noteName() {
        guard let current, !hasName else { return }
        hasName = true
        notes[current]?.name = Task.name
    }

    mutating func noteCall(_ number: Int, _ description: OpenDescription?) {
        guard let current else { return }
        noteName()
        notes[current]?.lastCall = number
        notes[current]?.lastDescription = description
    }

    /// The message about a task that another thread resumed.
    func text(of task: UInt64) -> String {
        guard let note = notes[task] ?? older[task] else { return "another thread started a task of the simulation" }
        let name = note.name.map { "the task \($0.debugDescription)" } ?? "a task without a name"
        let file = note.lastDescription.map { " on \($0.name)" } ?? ""
        let form = note.lastCall.flatMap { CallForm.of($0) }
        let last = form.map { "; its last call was \($0.name)\(file)" } ?? ""
        let place = "which last ran at \(Trace.seconds(note.time)), before call \(note.call) of the run"
        return "another thread resumed \(name), \(place)\(last)"
    }
}

/// The ID of a job's task, as `_Concurrency` asks for it.
@_silgen_name("swift_task_getJobTaskId")
func taskID(of job: UnownedJob) -> UInt64
