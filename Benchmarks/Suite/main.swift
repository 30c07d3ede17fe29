import FileConnectors
import HudiTable
import StreamCore
import StreamRuntime
import StreamSQL
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// swiftwater-bench [--rows N] [--dir DIR] [--binary PATH]   runs everything and prints the table
// swiftwater-bench case NAME DIR                            runs one case and prints what it measured
//
// Each case runs in a process of its own, so that peak memory is that case's. Rates are of CPU time for one worker and of
// wall-clock time where two workers are compared with one. Figures are compared as ratios within one run.

var arguments = Array(CommandLine.arguments.dropFirst())
do {
    if arguments.first == "case", arguments.count == 3 {
        try Case.run(arguments[1], directory: arguments[2])
    } else {
        try Suite(arguments).run()
    }
} catch {
    note("error: \(error)")
    exit(1)
}
