// Makes promises on a file system whose writes are recorded, and marks each: `power-loss-program TASK FOLDER MARKS
// COUNT VARIANT [SOURCE]`. TASK is `replace` or `copy`. A mark is a file that is created in the folder MARKS. VARIANT
// is `right`, or the name of a wrong version, which marks a promise that it has done too little for.
import AIO
import Glibc

let arguments = CommandLine.arguments
guard arguments.count >= 6, let count = Int(arguments[4]) else { exit(2) }
let workload = Workload(folder: arguments[2], marks: arguments[3], count: count, variant: arguments[5])
switch arguments[1] {
case "replace": try await workload.replaceFiles()
case "copy" where arguments.count == 7: try await workload.copyFiles(from: arguments[6])
default: exit(2)
}
