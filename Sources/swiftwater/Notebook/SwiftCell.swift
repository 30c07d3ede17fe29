import Foundation
import Notebook
import StreamCore
import struct StreamCore.Host
import Synchronization

/// A cell in Swift: compiled, and run as a program of its own. It reads the notebook's tables through `sql("SELECT …")`.
enum SwiftCell {
    static func run(_ request: CellRequest, _ kernel: NotebookKernel, scratch: String, _ stop: CellStop, _ emit: @escaping @Sendable (CellEvent) -> Void) throws {
        let place = SourceLocation(file: request.file, line: request.line, column: 1)
        guard let compiler = compiler else {
            throw StreamError(.io, "there is no Swift toolchain for a %swift cell", fix: "install one from swift.org and put swiftc into the PATH, or write the cell in Python", at: place)
        }
        let directory = scratch + "/swift-" + Host.system.uuid()
        try Host.system.createDirectories(directory)
        // Messages of the compiler name the notebook's lines.
        let name = request.file.map { URL(fileURLWithPath: $0).lastPathComponent } ?? "notebook"
        let text = "#sourceLocation(file: \(JSONText.quote(name)), line: \(request.line))\n" + request.source + "\n"
        try Host.system.replaceFile(directory + "/main.swift", Array(text.utf8))
        try Host.system.replaceFile(directory + "/Tables.swift", Array(prelude.utf8))
        let problems = Mutex("")
        let compile = try CellProcess(compiler, ["-O", directory + "/main.swift", directory + "/Tables.swift", "-o", directory + "/cell"], environment: kernel.environment) { text, _ in
            problems.withLock { $0 += text }
        }
        let compiling = stop.onStop { compile.stop(atOnce: $0) }
        let failure = compile.wait()
        stop.forget(compiling)
        if stop.isStopped { return }
        if failure != nil {
            let text = problems.withLock { $0 }
            let line = text.split(separator: "\n").lazy.compactMap { line -> Int? in
                let parts = line.split(separator: ":")
                return parts.count > 3 && parts[0].hasSuffix(name) && line.contains(" error: ") ? Int(parts[1]) : nil
            }.first
            throw StreamError(.validate, "the cell does not compile:\n" + text, at: line.map { SourceLocation(file: request.file, line: $0, column: 1) } ?? place)
        }
        let (channel, end) = try CellChannel.pair(scratch: scratch)
        let process = try CellProcess(directory + "/cell", [], environment: kernel.environment, input: end) { emit(.text($0, isError: $1)) }
        let running = stop.onStop { process.stop(atOnce: $0) }
        defer { stop.forget(running) }
        if let time = request.time { stop.limit(after: time) }
        // It ends by ending: nothing more comes then.
        _ = channel.serve(kernel, request, stop, emit)
        if let exit = process.wait(), !stop.isStopped, !stop.isLimited { throw StreamError(.runtime, "the cell's program ended with \(exit)", at: place) }
    }

    private static var compiler: String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/swiftc" }.first { access($0, X_OK) == 0 }
    }

    private static let prelude = #"""
        import Foundation

        /// What went wrong with a statement.
        struct SQLProblem: Error, CustomStringConvertible { var description: String }

        /// The rows of a query over the notebook's tables; none for other statements. A query that does not end needs `rows` or `seconds`.
        func sql(_ text: String, rows: Int? = nil, seconds: Double? = nil) throws -> [[String: Any]] {
            var message: [String: Any] = ["op": "sql", "text": text, "format": "json"]
            if let rows { message["rows"] = rows }
            if let seconds { message["seconds"] = seconds }
            let line = try JSONSerialization.data(withJSONObject: message) + Data([10])
            try FileHandle.standardInput.write(contentsOf: line)
            var answer = Data()
            while answer.last != 10 {
                guard let byte = try FileHandle.standardInput.read(upToCount: 1), !byte.isEmpty else { throw SQLProblem(description: "the notebook is gone") }
                answer += byte
            }
            let object = try JSONSerialization.jsonObject(with: answer) as? [String: Any] ?? [:]
            if let problem = object["error"] as? String { throw SQLProblem(description: problem) }
            guard let path = object["path"] as? String else { return [] }
            defer { try? FileManager.default.removeItem(atPath: path) }
            return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").compactMap {
                try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
            }
        }
        """#
}
