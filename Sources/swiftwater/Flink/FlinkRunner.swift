import CFlinkRunner
import FlinkExport
import Foundation
import StreamCore
import struct StreamCore.Host
import Synchronization

/// Runs scripts on a Flink that is installed here, through a Python program that starts its Java libraries.
struct FlinkRunner {
    let home: String
    /// The JobManager; nil = within the program.
    let rest: String?
    let timeout: Duration

    init(home: String, rest: String?, timeout: Duration) throws {
        guard Host.exists(home + "/lib") else {
            throw StreamError(.validate, "there is no Flink in \(home)", fix: "name the folder that has lib/flink-dist-*.jar, for example site-packages/pyflink of: pip install apache-flink-libraries py4j")
        }
        (self.home, self.rest, self.timeout) = (home, rest, timeout)
    }

    /// Runs the statements to the end of their jobs.
    ///
    /// - Returns: seconds that it took.
    /// - Throws: Flink's own message, with the statement that it is about.
    func run(_ script: FlinkScript, scratch: String) throws -> Double {
        var length = 0
        let text = flink_runner_text(&length)!
        let program = scratch + "/flink_runner.py", file = scratch + "/flink.sql"
        try Host.system.replaceFile(program, Array(UnsafeBufferPointer(start: text, count: length)))
        try Host.system.replaceFile(file, Array(script.text.utf8))
        var arguments = [program, "--flink-home", home, "--timeout", "\(timeout / .seconds(1))"]
        if let rest { arguments += ["--rest", rest] }
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? "python3"
        let said = Mutex((output: "", errors: ""))
        let process = try CellProcess("/usr/bin/env", [python] + arguments + [file], environment: ProcessInfo.processInfo.environment) { part, isError in
            said.withLock { if isError { $0.errors += part } else { $0.output += part } }
        }
        // What it started ends with it.
        Signals.onStop { process.stop() }
        defer { Signals.forget() }
        let problem = process.wait()
        guard let line = said.withLock({ $0.output }).split(separator: "\n").last, let answer = try? JSON.parse(Array(line.utf8), "the runner's answer") else {
            let errors = said.withLock { $0.errors }.split(separator: "\n").suffix(5).joined(separator: "\n")
            throw StreamError(.runtime, "Flink could not be started: \(errors.isEmpty ? problem ?? "the program that runs it said nothing" : errors)",
                              fix: "check that '\(python)' has py4j and that Java 11, 17 or 21 is installed")
        }
        if answer["ok"]?.bool == true {
            if case .double(let seconds)? = answer["seconds"] { return seconds }
            return Double(answer["seconds"]?.int ?? 0)
        }
        let message = answer["message"]?.string ?? "no reason was given"
        guard let index = answer["statement"]?.int, script.statements.indices.contains(Int(index)) else {
            throw StreamError(.runtime, "Flink: \(message)", fix: "see the messages of the cluster")
        }
        let statement = script.statements[Int(index)]
        var error = StreamError(.runtime, "Flink refuses \(statement.summary): \(message)\n\(statement.text)", fix: "change the statement so that both engines take it")
        error.location = statement.location
        throw error
    }
}
