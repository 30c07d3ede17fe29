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

/// One query over the events of a file, in this process.
struct NexmarkRun {
    let query: String, events: String, workers: Int, settings: [String]

    init(_ query: String, events: String, workers: Int, settings: [String]) {
        (self.query, self.events, self.workers, self.settings) = (query, events, workers, settings)
    }

    static let folder = String(#filePath.dropLast("NexmarkRun.swift".count)) + "queries"

    /// Prints `wall-seconds cpu-seconds peak-bytes`.
    func run() throws {
        let started = Clock.monotonicNanoseconds()
        let session = SQLSession(connectors: [FilesystemConnector(), BlackholeConnector()])
        try session.set("parallelism.default", to: "\(workers)")
        for setting in settings {
            let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw StreamError(.validate, "'\(setting)' has no value", fix: "write key=value") }
            try session.set(parts[0], to: parts[1])
        }
        let script = try NexmarkQueries(folder: Self.folder).script(query, events: events)
        for statement in try SQLParser(text: script, file: nil).parseScript() {
            guard case .insert(let graph) = try session.execute(statement) else { continue }
            try JobExecution(graph, options: JobOptions(workers: workers)).run()
        }
        let wall = Double(Clock.monotonicNanoseconds() - started) / 1e9
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let cpu = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        print(wall, cpu, Int64(usage.ru_maxrss) * 1_024)
    }
}
