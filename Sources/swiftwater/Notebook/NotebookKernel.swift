import Foundation
import JobControl
import Notebook
import PythonFunctions
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL
import Synchronization

/// Runs the cells of a notebook: one session, in which tables, settings and programs' state stay from cell to cell.
///
/// Cells may run beside each other; statements are planned one at a time.
final class NotebookKernel: Sendable {
    struct Options: Sendable {
        /// The data directory: streams, checkpoints.
        var data = "swiftwater-data"
        var catalogFile: String?
        var settings: [String] = []
        var workers: Int?
        /// How often a result that goes on is told at most.
        var refresh = Duration.milliseconds(250)
    }

    let options: Options
    private let session: Session
    private let scratch = Mutex<String?>(nil)
    private let python = Mutex<PythonCells?>(nil)
    /// Programs of background cells; ended with the kernel.
    private let left = Mutex<[ObjectIdentifier: CellStop]>([:])
    /// Programs that have ended, and left others of their group behind.
    private let shells = Mutex<[CellProcess]>([])

    /// SAFETY: the session is touched by the thread that holds `lock` alone.
    private struct Session: @unchecked Sendable {
        let sql: SQLSession
        let lock = SessionLock()
    }

    init(_ options: Options) throws {
        self.options = options
        // Programs of cells write there, too.
        try Host.system.createDirectories(options.data)
        session = Session(sql: try Engine.session(settings: options.settings, catalogFile: options.catalogFile))
    }

    /// Ends whatever runs, and removes what only this kernel needed.
    func close() {
        for stop in left.withLock({ Array($0.values) }) { stop.stop() }
        // What programs of cells have left running ends with the notebook.
        for process in shells.withLock({ $0 }) { process.stopGroup() }
        python.withLock { python in
            python?.close()
            python = nil
        }
        if let directory = scratch.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: directory) }
    }

    // MARK: Running

    /// Runs a cell to its end, and tells what it does.
    @discardableResult
    func run(_ request: CellRequest, stop: CellStop = CellStop(), emit: @escaping @Sendable (CellEvent) -> Void) -> (state: CellResult.State, error: CellError?) {
        let begun = Clock.monotonicNanoseconds()
        left.withLock { $0[ObjectIdentifier(stop)] = stop }
        defer { left.withLock { $0[ObjectIdentifier(stop)] = nil } }
        emit(.started(at: Clock.milliseconds()))
        var state = CellResult.State.finished, problem: CellError?
        do {
            try execute(request, stop, emit)
            if stop.isStopped || stop.isLimited { state = .stopped }
        } catch {
            if stop.isStopped || stop.isLimited { state = .stopped } else { (state, problem) = (.failed, Self.problem(error, request)) }
        }
        emit(.finished(state, problem, milliseconds: Int64((Clock.monotonicNanoseconds() - begun) / 1_000_000)))
        return (state, problem)
    }

    private func execute(_ request: CellRequest, _ stop: CellStop, _ emit: @escaping @Sendable (CellEvent) -> Void) throws {
        if let missing = request.needs.first(where: { !isInPath($0) }) { return emit(.message("left out: there is no \(missing) in the PATH")) }
        switch request.interpreter.name {
        case "flink.ssql", "flink.bsql":
            try runStatements(request, stop, emit)
        case "md": emit(.html(0, MarkdownHTML.text(request.source)))
        case "sh": try runShell(request, stop, emit)
        case "flink":
            throw StreamError(.validate, "a %flink cell is Scala, which does not run here", fix: "write it in SQL (%flink.ssql), Python or Swift",
                              at: SourceLocation(file: request.file, line: request.line, column: 1))
        case "python", "flink.pyflink", "flink.ipyflink":
            let cells = try python.withLock { python in
                if let python, python.isAlive { return python }
                python?.close()
                let made = try PythonCells(self, executable: pythonExecutable, scratch: try scratchDirectory())
                python = made
                return made
            }
            try cells.run(request, stop, emit)
        case "swift": try SwiftCell.run(request, self, scratch: try scratchDirectory(), stop, emit)
        default:
            throw StreamError(.validate, "there is no interpreter %\(request.interpreter.name)",
                              fix: NearName.hint(for: request.interpreter.name, in: CellInterpreter.known) ?? "write %flink.ssql",
                              at: SourceLocation(file: request.file, line: request.line, column: 1))
        }
    }

    /// What a program of a cell finds in its environment.
    var environment: [String: String] {
        let own = ChildProgramDirectory.path
        return ["SWIFTWATER_DATA": options.data, "PATH": own + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")]
    }

    private func isInPath(_ program: String) -> Bool {
        let path = environment["PATH"] ?? ""
        return path.split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }
    }

    func scratchDirectory() throws -> String {
        try scratch.withLock { scratch in
            if let scratch { return scratch }
            let path = NSTemporaryDirectory() + "swiftwater-notebook-" + Host.system.uuid()
            try Host.system.createDirectories(path)
            scratch = path
            return path
        }
    }

    private var pythonExecutable: String { session.lock.locked { session.sql.settings.values["python.executable"] } ?? PythonOptions.defaultExecutable }

    private func runShell(_ request: CellRequest, _ stop: CellStop, _ emit: @escaping @Sendable (CellEvent) -> Void) throws {
        let shell = ["/bin/bash", "/usr/bin/bash"].first { FileManager.default.isExecutableFile(atPath: $0) }
        let process = try CellProcess(shell ?? "/bin/sh", (shell == nil ? ["-e"] : ["-e", "-o", "pipefail"]) + ["-c", request.source], environment: environment) {
            emit(.text($0, isError: $1))
        }
        let action = stop.onStop { process.stop(atOnce: $0) }
        if let time = request.time { stop.limit(after: time) }
        defer { stop.forget(action) }
        let exit = process.wait()
        if process.hasLeftOthers { shells.withLock { $0.append(process) } }
        if let exit, !stop.isStopped, !stop.isLimited {
            throw StreamError(.runtime, "the shell ended with \(exit)", fix: "look at what it wrote; -e is set, so the first command that fails ends the cell",
                              at: SourceLocation(file: request.file, line: request.line, column: 1))
        }
    }

    // MARK: Statements

    private func runStatements(_ request: CellRequest, _ stop: CellStop, _ emit: @escaping @Sendable (CellEvent) -> Void) throws {
        let how = try CellQueryOptions(request)
        // Places in the file are those of its lines.
        let text = String(repeating: "\n", count: max(0, request.line - 1)) + request.source
        let statements = try SQLParser(text: text, file: request.file).parseScript()
        let presenter = CellPresenter(request, how, refresh: options.refresh, emit)
        try run(statements, presenter, how, stop, time: request.time, emit: emit)
    }

    private func run(_ statements: [Statement], _ presenter: any CellQueryPresenter, _ how: CellQueryOptions, _ stop: CellStop, time: Duration?,
                     emit: (@Sendable (CellEvent) -> Void)?) throws {
        let runner = ScriptRunner(session: session.sql)
        runner.lock = session.lock
        runner.presenter = presenter
        runner.workers = options.workers
        runner.statementSettings = how.settings
        runner.requiresEnd = how.isBatch
        let handover = Handover()
        runner.handover = handover
        let action = stop.onStop { _ in handover.stop() }
        defer { stop.forget(action) }
        runner.started = { job in
            presenter.begins { [weak job] in
                stop.setLimited()
                job?.stop()
            }
            JobWatch.start(job, limit: time, stop, emit)
        }
        runner.ended = { job in
            JobWatch.end(job)
            presenter.ended(job)
        }
        try runner.run(statements, name: how.jobName)
    }

    /// The rows of a query, for a program of a cell.
    ///
    /// - Parameters:
    ///   - rowsMax: it stops when so many are there.
    ///   - time: it stops after that long.
    func rows(_ text: String, rowsMax: Int?, time: Duration?, stop: CellStop) throws -> (schema: Schema, rows: [[Value]])? {
        let collector = CellCollector(rowsMax: rowsMax, mayGoOn: time != nil || rowsMax != nil)
        try run(try SQLParser(text: text, file: nil).parseScript(), collector, CellQueryOptions(), stop, time: time, emit: nil)
        return collector.result
    }

    // MARK: Completion

    struct Completion: Sendable {
        var text: String, kind: String, detail: String?
    }

    /// What could stand where the cursor is: tables and views, their columns, functions, keywords.
    func completions(_ source: String, at: Int) -> (from: Int, items: [Completion]) { session.lock.locked { CellCompletion(session.sql).items(source, at) } }

    /// Lines for the reader, of an error.
    static func problem(_ error: any Error, _ request: CellRequest) -> CellError {
        guard let error = error as? StreamError else { return CellError(message: "\(error)") }
        var shown = error
        var at = error.location.flatMap { $0.file == request.file ? $0 : nil }
        if var place = at {
            place.column += request.indent
            // What a reader sees is the file, not what was filled in.
            if let filled = request.filled, filled.text != request.written, place.line >= request.line {
                place = filled.location(line: place.line - request.line + 1, column: place.column - request.indent, file: request.file)
                let lines = request.written.split(separator: "\n", omittingEmptySubsequences: false), n = place.line - request.line
                if error.sourceLine != nil, lines.indices.contains(n) { shown.sourceLine = String(lines[n]) }
            }
            shown.location = place
            if let line = shown.sourceLine { shown.sourceLine = String(repeating: " ", count: request.indent) + line }
            at = place
        }
        return CellError(message: shown.description, line: at?.line, column: at?.column)
    }
}

/// Ends what a cell runs: asked by its reader, or at a limit.
final class CellStop: Sendable {
    private struct State {
        var isStopped = false, isLimited = false
        var actions: [Int: @Sendable (_ atOnce: Bool) -> Void] = [:]
        var next = 0
    }
    private let state = Mutex(State())
    /// What does not end when it is asked is ended after that long.
    private static let patience: UInt64 = 3_000_000_000

    /// The reader asked for it.
    var isStopped: Bool { state.withLock { $0.isStopped } }
    /// A limit of time or rows was reached.
    var isLimited: Bool { state.withLock { $0.isLimited } }

    /// - Returns: what ``forget(_:)`` takes.
    func onStop(_ action: @escaping @Sendable (_ atOnce: Bool) -> Void) -> Int {
        let (number, isStopped) = state.withLock { state in
            state.next += 1
            state.actions[state.next] = action
            return (state.next, state.isStopped)
        }
        if isStopped { action(false) }
        return number
    }

    func forget(_ action: Int) { state.withLock { $0.actions[action] = nil } }

    /// The second time at once.
    func stop() {
        let (actions, again) = state.withLock { state in
            defer { state.isStopped = true }
            return (Array(state.actions.values), state.isStopped)
        }
        for action in actions { action(again) }
    }

    func setLimited() { state.withLock { $0.isLimited = true } }

    /// Ends what runs now when it has taken so long.
    func limit(after time: Duration) {
        Background.run { [self] in
            var deadline = Clock.monotonicNanoseconds() + UInt64(max(0, time / .nanoseconds(1)))
            for atOnce in [false, true] {
                while Clock.monotonicNanoseconds() < deadline {
                    if state.withLock({ $0.actions.isEmpty }) { return }
                    pause(milliseconds: 20)
                }
                let actions = state.withLock { state in
                    if !state.actions.isEmpty { state.isLimited = true }
                    return Array(state.actions.values)
                }
                for action in actions { action(atOnce) }
                deadline += Self.patience
            }
        }
    }
}

/// Tells how far jobs are, and ends them when their time is over.
private enum JobWatch {
    private static let watched = Mutex<Set<ObjectIdentifier>>([])

    static func start(_ job: JobRunner, limit: Duration?, _ stop: CellStop, _ emit: (@Sendable (CellEvent) -> Void)?) {
        let id = ObjectIdentifier(job)
        watched.withLock { _ = $0.insert(id) }
        let begun = Clock.monotonicNanoseconds(), deadline = limit.map { begun + UInt64(max(0, $0 / .nanoseconds(1))) }
        Background.run {
            var told = begun
            while watched.withLock({ $0.contains(id) }) {
                let now = Clock.monotonicNanoseconds()
                if let deadline, now >= deadline {
                    stop.setLimited()
                    return job.stop()
                }
                if now - told >= 1_000_000_000 {
                    told = now
                    let status = job.status()
                    emit?(.progress(rowsIn: status.reduce(0) { $0 + ($1.rowsIn == 0 ? $1.rowsOut : 0) }, rowsOut: CellPresenter.written(job), milliseconds: Int64((now - begun) / 1_000_000)))
                }
                pause(milliseconds: 20)
            }
        }
    }

    static func end(_ job: JobRunner) { watched.withLock { _ = $0.remove(ObjectIdentifier(job)) } }
}
