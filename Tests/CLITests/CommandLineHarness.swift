import Foundation
import Testing

/// What a command that has ended left behind.
struct Outcome {
    /// Exit status; 128 and the number of the signal that ended it.
    var status: Int32
    var out: String, errors: String

    var lines: [String] { out.split(separator: "\n").map(String.init) }

    /// Each line of the output as a JSON object.
    func objects() throws -> [[String: Any]] {
        try lines.map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "no JSON object: \($0)") }
    }

    /// Each line of the error output as a JSON object: what `run --output json` tells of checkpoints.
    func events() throws -> [[String: Any]] {
        try errors.split(separator: "\n").map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "no JSON object: \($0)") }
    }

    /// One error in the program's own words, and no trace of a crash.
    func expectOneError(status wanted: Int32 = 1, containing parts: String..., sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(status == wanted, "\(self)", sourceLocation: sourceLocation)
        #expect(errors.components(separatedBy: "rror: ").count == 2 && errors.hasPrefix("error: "), "not one error: \(errors)", sourceLocation: sourceLocation)
        for part in parts where !part.isEmpty { #expect(errors.contains(part), "\"\(part)\" is missing: \(errors)", sourceLocation: sourceLocation) }
        for trace in ["Fatal error", "Stack dump", "Program crashed"] { #expect(!errors.contains(trace), "\(errors)", sourceLocation: sourceLocation) }
    }
}

/// A directory of its own, in which commands run with their streams and tables.
final class Workspace: Sendable {
    let directory: String

    init() throws {
        directory = NSTemporaryDirectory() + "swiftwater-cli-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    static let topologies = root + "/Topologies"

    /// The program, which is built next to the test bundle.
    static let binary: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? Bundle.main.bundlePath
        var url = URL(filePath: bundle)
        while url.pathExtension != "xctest", url.pathComponents.count > 1 { url.deleteLastPathComponent() }
        return url.deletingLastPathComponent().appending(path: "swiftwater").path
    }()

    func path(_ name: String) -> String { directory + "/" + name }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        return path(name)
    }

    func start(_ arguments: [String], program: String = Workspace.binary, input: String? = nil, environment: [String: String] = [:],
               output: Pipe? = nil, feed: Pipe? = nil) throws -> RunningCommand {
        try RunningCommand(self, program, arguments, input: input, environment: environment, output: output, feed: feed)
    }

    func run(_ arguments: String..., input: String? = nil, environment: [String: String] = [:]) throws -> Outcome {
        try start(arguments, input: input, environment: environment).end()
    }

    /// Runs a command that must succeed.
    @discardableResult
    func ok(_ arguments: String..., input: String? = nil, environment: [String: String] = [:],
            sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
        let outcome = try start(arguments, input: input, environment: environment).end()
        try #require(outcome.status == 0, "\(arguments): \(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// The independent reader's word on a table.
    func check(table: String, key: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? Self.root + "/.venv/bin/python"
        let outcome = try start([Self.root + "/Tests/Support/hudi/check_table.py", table, "--key", key], program: python).end()
        #expect(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
    }
}

/// A command on its way; its output goes to files, so that it never waits for the test.
final class RunningCommand {
    private let process = Process()
    /// Kept for as long as the command's files are needed.
    private let workspace: Workspace
    private let outFile: String, errorFile: String

    init(_ workspace: Workspace, _ program: String, _ arguments: [String], input: String?, environment: [String: String], output: Pipe?, feed: Pipe?) throws {
        let id = UUID().uuidString
        self.workspace = workspace
        (outFile, errorFile) = (workspace.path(".out-" + id), workspace.path(".errors-" + id))
        for file in [outFile, errorFile] { try Data().write(to: URL(filePath: file)) }
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: workspace.directory)
        var variables = ProcessInfo.processInfo.environment
        variables["SWIFTWATER_DATA"] = workspace.path("data")
        variables["HOME"] = workspace.directory
        process.environment = variables.merging(environment) { $1 }
        if let output {
            process.standardOutput = output
        } else {
            process.standardOutput = try FileHandle(forWritingTo: URL(filePath: outFile))
        }
        process.standardError = try FileHandle(forWritingTo: URL(filePath: errorFile))
        let inputFile = workspace.path(".input-" + id)
        try Data((input ?? "").utf8).write(to: URL(filePath: inputFile))
        // What is fed while the command runs, or all of it at once.
        if let feed { process.standardInput = feed } else { process.standardInput = try FileHandle(forReadingFrom: URL(filePath: inputFile)) }
        try process.run()
    }

    deinit { if process.isRunning { signal(SIGKILL) } }

    var out: String { (try? String(contentsOfFile: outFile, encoding: .utf8)) ?? "" }
    var errors: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }
    var isRunning: Bool { process.isRunning }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits until the command has ended; one that does not is killed, and the test fails.
    func end(within seconds: Double = 90, sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
        do {
            try eventually("the command's end", within: seconds, sourceLocation: sourceLocation) { !process.isRunning }
        } catch {
            signal(SIGKILL)
            throw error
        }
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0), out: out, errors: errors)
    }
}

struct Unmet: Error, CustomStringConvertible {
    var description: String
}

/// Waits for a condition; throws when it does not hold in time.
func eventually(_ what: String, within seconds: Double = 90, sourceLocation: SourceLocation = #_sourceLocation, _ holds: () throws -> Bool) throws {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while try !holds() {
        guard Date() < deadline else {
            Issue.record("waited \(seconds) s in vain for \(what)", sourceLocation: sourceLocation)
            throw Unmet(description: what)
        }
        usleep(5_000)
    }
}
