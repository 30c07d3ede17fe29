import FileConnectors
import Nexmark
import StreamCore
import StreamRuntime
import StreamSQL
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// bench-nexmark [--events N] [--file FILE] [--workers N] [--set key=value]... [QUERY]...   runs the queries and prints the table
// bench-nexmark run QUERY FILE WORKERS [key=value]...                                     runs one and prints what it took
//
// Each query runs in a process of its own: what is counted is that process's CPU time, from its start to its end. The events are made
// once and kept.

do {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.first == "run", arguments.count >= 4 {
        try NexmarkRun(arguments[1], events: arguments[2], workers: Int(arguments[3]) ?? 1, settings: Array(arguments.dropFirst(4))).run()
    } else {
        try NexmarkTable(arguments).run()
    }
} catch {
    note("error: \(error)")
    exit(1)
}
