import ArgumentParser
import Foundation
import JobControl
import Notebook
import StreamCore
import StreamRuntime
import Synchronization

/// For programs: runs cells that are sent to its standard input, a JSON object a line, and tells on its output what they do.
struct NotebookKernelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "kernel", abstract: "Run cells for another program.", shouldDisplay: false)
    @Option(help: "Directory of the notebook; programs of its cells run there.") var directory: String?
    @OptionGroup var options: NotebookOptions
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func run() throws {
        data.apply()
        if let directory, chdir(directory) != 0 { throw StreamError(.io, "cannot work in \(directory): \(String(cString: strerror(errno)))", fix: "name a directory that exists") }
        // A Ctrl-C at the terminal of whoever started it is not meant for it; the end of its input is.
        signal(SIGINT, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
        var kernelOptions = NotebookKernel.Options()
        (kernelOptions.data, kernelOptions.catalogFile, kernelOptions.settings, kernelOptions.workers) = (data.path, catalog.path, options.settings, options.workers)
        let kernel = try NotebookKernel(kernelOptions)
        defer { kernel.close() }
        let service = KernelService(kernel)
        service.tell(.object([.init("event", .string("ready")), .init("version", .string(swiftwaterVersion))]))
        while let line = readLine() {
            guard let message = try? JSON.parse(Array(line.utf8), "a request") else {
                Terminal.error("warning: a request is not JSON: \(line.prefix(200))")
                continue
            }
            if message["do"]?.string == "end" { break }
            service.take(message)
        }
        service.end()
    }
}

/// Runs go one after another; those that say so, beside the others.
private final class KernelService: Sendable {
    private let kernel: NotebookKernel
    private let output = Mutex(())
    private let state = Monitor(State())

    private struct Run: Sendable {
        var number: Int64, request: CellRequest, stop = CellStop()
    }

    private struct State {
        var waiting: [Run] = []
        var running: [Int64: CellStop] = [:]
        var isEnding = false
        /// A run of the queue is under way.
        var isBusy = false
    }

    init(_ kernel: NotebookKernel) {
        self.kernel = kernel
        Background.run { [self] in work() }
    }

    private static let outputBytesMax = 4 << 20

    func tell(_ event: JSON) { tell(event.text()) }

    private func tell(_ line: String) { output.withLock { _ in Terminal.write(line + "\n") } }

    func take(_ message: JSON) {
        let number = message["run"]?.int ?? 0
        switch message["do"]?.string {
        case "run":
            do {
                let run = Run(number: number, request: try Self.request(message, data: kernel.options.data))
                if run.request.isBackground || message["concurrent"]?.bool == true {
                    state.withLock { $0.running[number] = run.stop }
                    Background.run { [self] in perform(run) }
                } else {
                    state.withLock { $0.waiting.append(run) }
                    state.broadcast()
                }
            } catch {
                let line = message["line"]?.int.map { Int($0) }
                let problem = NotebookKernel.problem(error, CellRequest(interpreter: CellInterpreter("flink.ssql"), source: "", file: message["file"]?.string, line: line ?? 1))
                note(.finished(.failed, problem, milliseconds: 0), number)
            }
        case "interrupt":
            let (stops, dropped) = state.withLock { state -> ([CellStop], [Run]) in
                let isAll = message["run"] == nil
                let dropped = state.waiting.filter { isAll || $0.number == number }
                state.waiting.removeAll { isAll || $0.number == number }
                return (isAll ? Array(state.running.values) : state.running[number].map { [$0] } ?? [], dropped)
            }
            for run in dropped { note(.finished(.stopped, nil, milliseconds: 0), run.number) }
            for stop in stops { stop.stop() }
        case "complete":
            // While a statement is planned the session is taken: an interrupt must be read all the same.
            Background.run { [self] in complete(message, number) }
        case let other:
            Terminal.error("warning: there is no request '\(other ?? "")'")
        }
    }

    private func complete(_ message: JSON, _ number: Int64) {
        let (from, items) = kernel.completions(message["source"]?.string ?? "", at: message["at"]?.int.map { Int($0) } ?? 0)
        tell(.object([.init("event", .string("completions")), .init("run", .int(number)), .init("from", .int(Int64(from))), .init("items", .array(items.map {
            .object([.init("text", .string($0.text)), .init("kind", .string($0.kind)), .init("detail", $0.detail.map { .string($0) } ?? .null)])
            }))]))
    }

    func end() {
        let stops = state.withLock { state -> [CellStop] in
            state.isEnding = true
            state.waiting = []
            return Array(state.running.values)
        }
        state.broadcast()
        for stop in stops { stop.stop() }
        let deadline = Clock.monotonicNanoseconds() + 3_000_000_000
        state.wait { state -> Monitor<State>.Decision<Void> in
            let now = Clock.monotonicNanoseconds()
            return state.running.isEmpty || now >= deadline ? .take(()) : .wait(nanoseconds: deadline - now)
        }
    }

    private func work() {
        while let run = state.wait({ state -> Monitor<State>.Decision<Run?> in
            if state.isEnding { return .take(nil) }
            guard !state.waiting.isEmpty else { return .wait(nanoseconds: nil) }
            let run = state.waiting.removeFirst()
            state.running[run.number] = run.stop
            return .take(run)
        }) { perform(run) }
    }

    private func perform(_ run: Run) {
        kernel.run(run.request, stop: run.stop) { [self] in note($0, run.number) }
        state.withLock { $0.running[run.number] = nil }
        state.broadcast()
    }

    /// The cell of a request, with its parameters filled in.
    private static func request(_ message: JSON, data: String) throws -> CellRequest {
        let file = message["file"]?.string
        var cell = NotebookCell(source: message["source"]?.string ?? "", line: message["line"]?.int.map { Int($0) } ?? 1, indent: message["indent"]?.int.map { Int($0) } ?? 0)
        if let text = message["interpreter"]?.string, !text.isEmpty { cell.interpreter = try CellInterpreter.parse(text.hasPrefix("%") ? text : "%" + text)?.interpreter }
        let values = Dictionary((message["parameters"]?.members ?? []).map { ($0.name, $0.value.string ?? $0.value.text()) }) { $1 }
        let given = NotebookPlan.given(data: data, path: file ?? "").merging(values) { $1 }
        let parameters = try NotebookParameters(cells: [cell], given: given, file: file)
        return try NotebookPlan.request(cell, parameters, file)?.request ?? CellRequest(interpreter: CellInterpreter("md"), source: "")
    }

    private func note(_ event: CellEvent, _ number: Int64) {
        var members: [JSON.Member] = []
        func add(_ name: String, _ value: JSON) { members.append(.init(name, value)) }
        func begin(_ name: String) {
            add("event", .string(name))
            add("run", .int(number))
        }
        switch event {
        case .started(let at):
            begin("started")
            add("at", .int(at))
        case .text(let text, let isError):
            begin("text")
            add("text", .string(text))
            add("isError", .bool(isError))
        case .message(let text):
            begin("message")
            add("text", .string(text))
        case .table(let n, let table, let chart, let isFinal):
            begin("table")
            add("output", .int(Int64(n)))
            members += table.json.members ?? []
            add("chart", chart?.json ?? .null)
            add("isFinal", .bool(isFinal))
        case .html(let n, let html):
            begin("html")
            add("output", .int(Int64(n)))
            add("html", .string(html))
        case .image(let n, let type, let bytes):
            begin("image")
            add("output", .int(Int64(n)))
            add("type", .string(type))
            add("base64", .string(Data(bytes).base64EncodedString()))
        case .progress(let rowsIn, let rowsOut, let milliseconds):
            begin("progress")
            add("rowsIn", .int(rowsIn))
            add("rowsOut", .int(rowsOut))
            add("milliseconds", .int(milliseconds))
        case .finished(let state, let error, let milliseconds):
            begin("finished")
            add("state", .string(state.rawValue))
            add("milliseconds", .int(milliseconds))
            if let error {
                add("error", .object([.init("message", .string(error.message)), .init("line", error.line.map { .int(Int64($0)) } ?? .null), .init("column", error.column.map { .int(Int64($0)) } ?? .null)]))
            }
        }
        let text = JSON.object(members).text()
        // A reader's memory is bounded, too.
        if text.utf8.count > Self.outputBytesMax {
            return tell(.object([.init("event", .string("message")), .init("run", .int(number)),
                                 .init("text", .string("an output of \(text.utf8.count >> 20) MiB is not shown: more than \(Self.outputBytesMax >> 20) MiB"))]))
        }
        tell(text)
    }
}
