import Foundation
import Synchronization

/// Runs the Python programs under `Tests/Support`, with the interpreter that `make setup` made.
public enum PythonScript {
    public static let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    public static let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? root.appending(path: ".venv/bin/python").path

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    /// What a program printed, once it has ended.
    public struct Result: Sendable {
        public var status: Int32
        public var output: String
        public var errors: String
    }

    /// Runs a program to its end: `name` is a path below `Tests/Support`, or `-m` and `-c` forms in `arguments` with name nil.
    ///
    /// - Throws: ``Failure`` when it does not end within `seconds` (it is killed then), or cannot be started.
    public static func run(_ name: String?, _ arguments: [String] = [], environment: [String: String] = [:], directory: String? = nil,
                           seconds: Double = 120) throws -> Result {
        guard FileManager.default.isExecutableFile(atPath: python) else { throw Failure("no Python at \(python): run make setup, or set SWIFTWATER_PYTHON") }
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = (name.map { [root.appending(path: "Tests/Support/\($0)").path] } ?? []) + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFTWATER_PYTHON": python]) { $1 }.merging(environment) { $1 }
        if let directory { process.currentDirectoryURL = URL(filePath: directory) }
        let output = Capture(), errors = Capture()
        (process.standardOutput, process.standardError) = (output.pipe, errors.pipe)
        process.standardInput = FileHandle.nullDevice
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        output.begin()
        errors.begin()
        guard ended.wait(timeout: .now() + seconds) == .success else {
            kill(process.processIdentifier, SIGKILL)
            ended.wait()
            throw Failure("\(name ?? arguments.joined(separator: " ")) did not end within \(seconds) s\n\(output.text())\n\(errors.text())")
        }
        return Result(status: process.terminationStatus, output: output.text(), errors: errors.text())
    }

    /// As `run`, and the program must have ended with status 0. Returns its last line of output, which is JSON.
    public static func answer(_ name: String, _ arguments: [String] = [], environment: [String: String] = [:], seconds: Double = 120) throws -> Any {
        let result = try run(name, arguments, environment: environment, seconds: seconds)
        guard result.status == 0 else { throw Failure("\(name) ended with status \(result.status)\n\(result.output)\n\(result.errors)") }
        let line = result.output.split(separator: "\n").last.map(String.init) ?? ""
        return try JSONSerialization.jsonObject(with: Data(line.utf8), options: .fragmentsAllowed)
    }

    /// Reads a pipe to its end on a thread of its own, so that neither side waits for the other.
    private final class Capture: Sendable {
        let pipe: Pipe
        private let bytes = Mutex(Data())
        private let done = DispatchSemaphore(value: 0)

        init() {
            pipe = Pipe()
            for file in [pipe.fileHandleForReading, pipe.fileHandleForWriting] { _ = fcntl(file.fileDescriptor, F_SETFD, FD_CLOEXEC) }
        }

        func begin() {
            try? pipe.fileHandleForWriting.close()
            Thread.detachNewThread { [self] in
                while let part = try? pipe.fileHandleForReading.read(upToCount: 1 << 16), !part.isEmpty { bytes.withLock { $0 += part } }
                done.signal()
            }
        }

        func text() -> String {
            // A grandchild may hold the pipe open for longer than the program lived.
            _ = done.wait(timeout: .now() + 5)
            return bytes.withLock { String(decoding: $0, as: UTF8.self) }
        }
    }
}

/// A Python program that goes on running, such as a server: its first line of output is read, and exactly this process is ended.
public final class BackgroundScript: @unchecked Sendable {  // SAFETY: set up in init; `end` may be called by any thread, once counts
    private let process = Process()
    private let ended = DispatchSemaphore(value: 0)
    /// The first line that it printed, for example its port.
    public let firstLine: String

    public init(_ name: String?, _ arguments: [String] = [], environment: [String: String] = [:], seconds: Double = 60) throws {
        process.executableURL = URL(filePath: PythonScript.python)
        process.arguments = (name.map { [PythonScript.root.appending(path: "Tests/Support/\($0)").path] } ?? []) + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pipe = Pipe()
        for file in [pipe.fileHandleForReading, pipe.fileHandleForWriting] { _ = fcntl(file.fileDescriptor, F_SETFD, FD_CLOEXEC) }
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        let ended = ended
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        try? pipe.fileHandleForWriting.close()
        let lines = FirstLine(), ready = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            var text = Data(), hasLine = false
            while true {
                // What there is: a read of a given length would wait until the program has printed as much.
                let part = pipe.fileHandleForReading.availableData
                if part.isEmpty { break }
                guard !hasLine else { continue }
                text += part
                guard let end = text.firstIndex(of: 10) else { continue }
                hasLine = true
                lines.line.withLock { $0 = String(decoding: text[..<end], as: UTF8.self) }
                ready.signal()
            }
            ready.signal()
        }
        let arrived = ready.wait(timeout: .now() + seconds) == .success
        guard arrived, let first = lines.line.withLock({ $0 }) else {
            kill(process.processIdentifier, SIGKILL)
            ended.wait()
            throw PythonScript.Failure("\(name ?? arguments.joined(separator: " ")) printed no line within \(seconds) s")
        }
        firstLine = first
    }

    /// Ends the process; returns when it has.
    public func end() {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    deinit { end() }

    private final class FirstLine: Sendable {
        let line = Mutex<String?>(nil)
    }
}
