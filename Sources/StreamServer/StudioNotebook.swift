import Foundation
import Notebook
import StreamCore
import Synchronization

/// A notebook that readers have open: its file, its kernel, what its cells have shown, and who looks on.
///
/// Everything that readers see carries the version in which it last changed; a reader asks for what is newer than what it knows. A slow
/// reader therefore misses intermediate states and never the present one, and nothing is queued for it.
final class StudioNotebook: Sendable {
    enum KernelState: String, Sendable { case none, starting, ready, dead }

    private static let bytesMax = 64 << 20

    struct State: Sendable {
        var document: StudioDocument
        /// Of the file whose text the document is.
        var stamp: StudioFiles.Stamp?
        /// Of a file that is no notebook, and why.
        var refused: (stamp: StudioFiles.Stamp, error: any Error)?
        var version = 1
        /// In which each cell, the order of cells, the kernel last changed.
        var cellVersions: [String: Int] = [:]
        var orderVersion = 1
        var kernelVersion = 1
        var runs: [String: StudioRun] = [:]
        var queue: [Waiting] = []
        /// Runs that the kernel has, by number.
        var active: [Int64: Active] = [:]
        var nextRun: Int64 = 1
        var kernel: StudioKernel?
        var kernelState = KernelState.none
        var kernelText: String?
        var kernelLog: String?
        var readers: [Int: Reader] = [:]
        var nextReader = 0
        var lastUse = Clock.monotonicNanoseconds()
        var isGone = false
        var completions: [Int64: DispatchSemaphore] = [:]
        var completed: [Int64: JSON] = [:]
    }

    /// A cell as it was when somebody asked for it: what the one who asked may run was judged by that text, and no later one.
    struct Waiting: Sendable {
        var asked: StudioCell, batch: Int64, parameters: [JSON.Member]
        var cell: String { asked.id }
    }
    struct Active: Sendable {
        var cell: String, batch: Int64
        var directives: CellDirectives

        /// Whether a cell that was asked for in `batch` waits for its end. A query that shows its rows already holds up nobody, unless it says
        /// itself when it ends, and the other one is below it.
        func blocks(_ batch: Int64, isLive: Bool) -> Bool {
            if directives.isBackground { return false }
            return !isLive || batch == self.batch && (directives.duration != nil || directives.rows != nil)
        }
    }
    struct Reader: Sendable { var user: String, signal: DispatchSemaphore }

    let name: String
    /// Ids of cells and numbers of runs mean something together with this: they begin anew when the notebook is opened anew.
    let epoch = String(UInt64.random(in: .min ... .max), radix: 16)
    let files: StudioFiles
    private let state: Mutex<State>
    /// Starts a kernel, when there may be another one.
    private let startKernel: @Sendable (StudioNotebook) throws -> StudioKernel

    init(_ name: String, _ files: StudioFiles, startKernel: @escaping @Sendable (StudioNotebook) throws -> StudioKernel) throws {
        (self.name, self.files, self.startKernel) = (name, files, startKernel)
        let (bytes, stamp) = try files.read(name)
        var first = State(document: try StudioDocument(bytes, name: name))
        first.stamp = stamp
        for cell in first.document.cells { first.cellVersions[cell.id] = 1 }
        state = Mutex(first)
    }

    // MARK: The file

    /// Takes what others wrote into the file.
    /// - Throws: what is wrong with the file, as long as it cannot be read.
    func refresh() throws { try state.withLock { try $0.take(from: files, name) } }

    /// Changes the file by `body`, and tells the readers. The file on the disk is what is changed, even if others wrote it since.
    /// - Throws: what is wrong with the file, when it cannot be read: then nothing is written.
    func edit<T>(_ body: (inout StudioDocument) throws -> T) throws -> T {
        try state.withLock { state in
            for _ in 0..<3 {
                try state.take(from: files, name, always: true)
                guard !state.isGone else { throw StreamError(.validate, "the file \(name) is not there any more", fix: "copy your text, and make the notebook again").notFound }
                var document = state.document
                let result = try body(&document)
                if document.bytes != state.document.bytes {
                    // Somebody else has written it since it was read.
                    guard try files.stamp(name) == state.stamp else { continue }
                    state.stamp = try files.write(name, document.bytes)
                }
                state.replace(document)
                state.lastUse = Clock.monotonicNanoseconds()
                return result
            }
            throw StreamError(.conflict, "another program writes \(name) all the time", fix: "try again when it has ended")
        }
    }

    func document() throws -> StudioDocument {
        try refresh()
        let (document, isGone) = state.withLock { ($0.document, $0.isGone) }
        if isGone { throw StreamError(.validate, "there is no notebook \(name)", fix: "GET /v1/notebooks lists them").notFound }
        return document
    }

    var summary: (kernel: KernelState, readers: Int, running: Int) { state.withLock { ($0.kernelState, $0.readers.count, $0.active.count) } }

    // MARK: Running

    /// Queues cells as they are given; a cell that runs is stopped first.
    func run(_ asked: [StudioCell], parameters: [JSON.Member], user: String) throws -> [Int64] {
        let cells = asked.map(\.id)
        let numbers = try state.withLock { state in
            state.lastUse = Clock.monotonicNanoseconds()
            guard state.queue.count + cells.count <= 1_000 else { throw StreamError(.conflict, "\(state.queue.count) cells wait already", fix: "interrupt them first") }
            let batch = state.nextRun
            var numbers: [Int64] = []
            for (cell, asked) in zip(cells, asked) {
                if state.queue.contains(where: { $0.cell == cell }) { state.queue.removeAll { $0.cell == cell } }
                for (number, active) in state.active where active.cell == cell { try state.kernel?.send(Self.interruption(number)) }
                let number = state.nextRun
                state.nextRun += 1
                state.version += 1
                state.runs[cell] = StudioRun(number: number, user: user, at: Clock.milliseconds(), version: state.version)
                state.queue.append(Waiting(asked: asked, batch: batch, parameters: parameters))
                numbers.append(number)
            }
            state.wake()
            return numbers
        }
        do {
            try ensureKernel()
        } catch {
            state.withLock { state in
                for cell in cells where state.runs[cell]?.state == .queued {
                    state.queue.removeAll { $0.cell == cell }
                    state.runs[cell] = nil
                }
                state.version += 1
                state.wake()
            }
            throw error
        }
        pump()
        return numbers
    }

    private func ensureKernel() throws {
        guard state.withLock({ $0.kernel == nil }) else { return }
        let kernel = try startKernel(self)
        let isFirst = state.withLock { state in
            guard state.kernel == nil else { return false }
            state.kernel = kernel
            state.setKernel(.starting, nil)
            return true
        }
        if !isFirst { kernel.end() }
        // It may have ended before anyone knew it.
        if isFirst, let how = kernel.exit { ended(kernel, how) }
    }

    /// Sends what may run: one cell after another, beside queries that show their rows already, and background cells.
    private func pump() {
        state.withLock { state in
            while let next = state.queue.first, let kernel = state.kernel {
                let blocks = state.active.contains { number, active in
                    let run = state.runs[active.cell]
                    return active.blocks(next.batch, isLive: run?.number == number && run?.isLive == true)
                }
                guard !blocks else { break }
                state.queue.removeFirst()
                guard let number = state.runs[next.cell]?.number else { continue }
                let cell = next.asked
                let isConcurrent = !state.active.isEmpty
                state.active[number] = Active(cell: next.cell, batch: next.batch, directives: cell.directives)
                state.version += 1
                state.runs[next.cell]?.state = .running
                state.runs[next.cell]?.line = cell.cell.line
                state.runs[next.cell]?.indent = cell.cell.indent
                state.runs[next.cell]?.hash = cell.hash
                state.runs[next.cell]?.version = state.version
                do {
                    try kernel.send(FlinkAnswers.object([
                        "do": .string("run"), "run": .int(number), "interpreter": .string(cell.interpreter), "source": .string(cell.cell.source), "line": .int(Int64(cell.cell.line)),
                        "indent": .int(Int64(cell.cell.indent)), "parameters": .object(next.parameters), "concurrent": .bool(isConcurrent),
                        "file": .string(name.split(separator: "/").last.map(String.init) ?? name),
                    ]))
                } catch {
                    state.finish(number, .failed, problem: .init(message: "\(error)"))
                }
            }
            state.wake()
        }
    }

    private static func interruption(_ run: Int64) -> JSON { FlinkAnswers.object(["do": .string("interrupt"), "run": .int(run)]) }

    /// Stops a cell, or all that runs and waits.
    func interrupt(cell: String?) throws {
        try state.withLock { state in
            state.lastUse = Clock.monotonicNanoseconds()
            state.version += 1
            for waiting in state.queue where cell == nil || waiting.cell == cell { state.skip(waiting.cell) }
            state.queue.removeAll { cell == nil || $0.cell == cell }
            for (number, active) in state.active where cell == nil || active.cell == cell { try state.kernel?.send(Self.interruption(number)) }
            state.wake()
        }
    }

    /// Ends the kernel; the next one starts with nothing but the files. What was shown stays.
    func restart(_ text: String = "restarted") throws {
        endKernel(text)
        try ensureKernel()
    }

    /// - Returns: whether there was one.
    @discardableResult func endKernel(_ text: String, seconds: Double = 2) -> Bool {
        let kernel = state.withLock { state -> StudioKernel? in
            let kernel = state.kernel
            state.kernel = nil
            state.drop("the kernel was ended")
            if kernel != nil { state.setKernel(.none, text) }
            state.wake()
            return kernel
        }
        kernel?.end(seconds: seconds)
        return kernel != nil
    }

    /// - Returns: names that fit at a place of a source; without a kernel none.
    func complete(source: String, at: Int64) throws -> JSON {
        let none = FlinkAnswers.object(["from": .int(at), "items": .array([]), "kernel": .bool(false)])
        let done = DispatchSemaphore(value: 0)
        let number = try state.withLock { state -> Int64? in
            guard let kernel = state.kernel, state.completions.count < 8 else { return nil }
            let number = state.nextRun
            state.nextRun += 1
            state.completions[number] = done
            try kernel.send(FlinkAnswers.object(["do": .string("complete"), "run": .int(number), "source": .string(source), "at": .int(at)]))
            return number
        }
        guard let number else { return none }
        _ = done.wait(timeout: .now() + 3)
        let answer = state.withLock { state -> JSON? in
            state.completions[number] = nil
            return state.completed.removeValue(forKey: number)
        }
        guard var answer else { return none }
        answer["event"] = nil
        answer["run"] = nil
        answer["kernel"] = .bool(true)
        return answer
    }

    // MARK: The kernel's events

    func took(_ event: JSON) {
        let number = event["run"]?.int ?? -1
        let goesOn = state.withLock { state -> Bool in
            let kind = event["event"]?.string ?? ""
            switch kind {
            case "ready":
                if state.kernelState == .starting { state.setKernel(.ready, event["version"]?.string) }
            case "completions":
                if let waits = state.completions[number] {
                    state.completed[number] = event
                    waits.signal()
                }
                return false
            case "finished":
                let error = event["error"].flatMap { error -> StudioRun.Problem? in
                    guard let message = error["message"]?.string else { return nil }
                    let run = state.active[number].flatMap { state.runs[$0.cell] }, line = run?.line ?? 1, indent = run?.indent ?? 0
                    return .init(message: message, line: error["line"]?.int.map { max(1, Int($0) - line + 1) }, column: error["column"]?.int.map { max(1, Int($0) - indent) })
                }
                state.finish(number, StudioRun.State(rawValue: event["state"]?.string ?? "") ?? .failed, problem: error, milliseconds: event["milliseconds"]?.int)
                state.wake()
                return true
            default:
                // In place: a copy of a long text for each of its lines would cost more than the text.
                guard let cell = state.active[number]?.cell, state.runs[cell]?.number == number else { return false }
                state.version += 1
                let version = state.version, wasLive = state.runs[cell]?.isLive ?? false
                switch kind {
                case "started":
                    state.runs[cell]?.startedAt = event["at"]?.int ?? Clock.milliseconds()
                    state.runs[cell]?.version = version
                case "progress":
                    state.runs[cell]?.progress = .object((event.members ?? []).filter { !["event", "run"].contains($0.name) })
                    state.runs[cell]?.version = version
                case "text": state.runs[cell]?.add(text: event["text"]?.string ?? "", isError: event["isError"]?.bool ?? false, version: version)
                case "table", "html", "image", "message":
                    state.runs[cell]?.add(event: .object((event.members ?? []).filter { $0.name != "run" }), version: version)
                    state.makeRoom(Self.bytesMax, besides: cell)
                default: break
                }
                state.wake()
                return !wasLive && (state.runs[cell]?.isLive ?? false)
            }
            state.wake()
            return true
        }
        if goesOn { pump() }
    }

    /// A kernel has ended by itself, or was asked to.
    func ended(_ kernel: StudioKernel, _ how: String) {
        state.withLock { state in
            guard state.kernel === kernel else { return }
            state.kernel = nil
            state.drop("the kernel ended: \(how)")
            state.setKernel(.dead, how)
            let log = kernel.log
            state.kernelLog = log.isEmpty ? nil : log
            state.wake()
        }
    }

    /// Whether nothing keeps the kernel: no reader, nothing that runs, no use since then.
    func isIdle(since limit: UInt64) -> Bool { state.withLock { $0.readers.isEmpty && $0.active.isEmpty && $0.queue.isEmpty && $0.lastUse < limit } }

    var lastUse: UInt64 { state.withLock { $0.lastUse } }
    var kernel: StudioKernel? { state.withLock { $0.kernel } }

    // MARK: Readers

    func join(_ user: String) -> (id: Int, signal: DispatchSemaphore) {
        state.withLock { state in
            // Begun with less than it ends with: a semaphore traps when it goes the other way.
            let id = state.nextReader, signal = DispatchSemaphore(value: 0)
            state.nextReader += 1
            state.readers[id] = Reader(user: user, signal: signal)
            state.lastUse = Clock.monotonicNanoseconds()
            state.version += 1
            state.orderVersion = state.version
            state.wake()
            return (id, signal)
        }
    }

    func leave(_ id: Int) {
        state.withLock { state in
            state.readers[id] = nil
            state.lastUse = Clock.monotonicNanoseconds()
            state.version += 1
            state.orderVersion = state.version
            state.wake()
        }
    }

    /// What a reader has been sent.
    struct Cursor: Sendable {
        fileprivate var version = 0
        /// Bytes of each text, by run and output.
        fileprivate var texts: [String: Int] = [:]
    }

    /// Server-sent events of all that is newer than the cursor, which moves on.
    func changes(_ cursor: inout Cursor) -> [UInt8] {
        // The state is taken, and written down outside of the lock.
        let (state, from) = (self.state.withLock { $0 }, cursor.version)
        guard state.version > from else { return [] }
        cursor.version = state.version
        var out: [UInt8] = []
        func send(_ event: String, _ data: JSON) { out += "event: \(event)\ndata: \(data.text())\n\n".utf8 }
        if from == 0 { send("epoch", FlinkAnswers.object(["epoch": .string(epoch)])) }
        for cell in state.document.cells where (state.cellVersions[cell.id] ?? 0) > from { send("cell", cell.json) }
        if state.orderVersion > from {
            send("order", FlinkAnswers.object([
                "epoch": .string(epoch), "etag": .string(state.document.hash), "cells": .array(state.document.cells.map { .string($0.id) }), "title": .string(state.document.title), "isGone": .bool(state.isGone),
                "readers": .int(Int64(state.readers.count)), "parameters": state.document.parameterForms,
            ]))
        }
        if state.kernelVersion > from {
            send("kernel", FlinkAnswers.object([
                "state": .string(state.kernelState.rawValue), "process": state.kernel.map { .int(Int64($0.process)) } ?? .null, "text": state.kernelText.map { .string($0) } ?? .null,
                "log": state.kernelLog.map { .string($0) } ?? .null,
            ]))
        }
        var texts: [String: Int] = [:]
        for (cell, run) in state.runs.sorted(by: { $0.value.number < $1.value.number }) {
            if run.version > from { send("run", run.described(cell: cell)) }
            for output in run.outputs {
                let place: [JSON.Member] = [.init("cell", .string(cell)), .init("run", .int(run.number)), .init("key", .int(Int64(output.key)))]
                switch output.content {
                case .event(let event, _): if output.version > from { send("output", .object(place + (event.members ?? []))) }
                case .text(let bytes, let dropped, let isError):
                    let id = "\(run.number)/\(output.key)", sent = cursor.texts[id] ?? 0
                    texts[id] = dropped + bytes.count
                    guard sent < dropped + bytes.count else { continue }
                    let isWhole = sent == 0 || sent < dropped
                    send("output", .object(place + [
                        .init("event", .string("text")), .init("isError", .bool(isError)), .init("isWhole", .bool(isWhole)), .init("isCut", .bool(dropped > 0)),
                        .init("text", .string(String(decoding: isWhole ? bytes[...] : bytes[(sent - dropped)...], as: UTF8.self))),
                    ]))
                }
            }
        }
        // A page that comes back after the daemon was started anew knows runs that there are no more.
        if from == 0 { send("synced", FlinkAnswers.object(["epoch": .string(epoch)])) }
        cursor.texts = texts
        return out
    }
}

extension StudioNotebook.State {
    func wake() { for reader in readers.values { reader.signal.signal() } }

    /// Takes the file as it is now, when it is another one than the document's.
    /// - Parameter always: reads it even if it looks the same: of two changes within one tick of the clock only the text tells.
    /// - Throws: when it cannot be read; the document stays, and so does the stamp, since the text that it stands for was not taken.
    mutating func take(from files: StudioFiles, _ name: String, always: Bool = false) throws {
        guard let now = try files.stamp(name) else {
            guard !isGone else { return }
            isGone = true
            (stamp, refused) = (nil, nil)
            version += 1
            orderVersion = version
            return wake()
        }
        if !always {
            if now == stamp { return }
            if let refused, refused.stamp == now { throw refused.error }
        }
        let (bytes, read) = try files.read(name)
        if bytes != document.bytes || isGone {
            let next: StudioDocument
            do {
                next = try StudioDocument(bytes, name: name, after: document)
            } catch {
                refused = (read, error)
                throw error
            }
            isGone = false
            replace(next)
        }
        (stamp, refused) = (read, nil)
    }

    /// Takes the new text; versions of what differs move on.
    mutating func replace(_ next: StudioDocument) {
        let before = Dictionary(document.cells.map { ($0.id, $0) }) { $1 }
        version += 1
        for cell in next.cells where before[cell.id] != cell { cellVersions[cell.id] = version }
        orderVersion = version
        document = next
        // What a cell showed goes with it.
        let known = Set(next.cells.map(\.id))
        for id in Array(cellVersions.keys) where !known.contains(id) { cellVersions[id] = nil }
        for id in Array(runs.keys) where !known.contains(id) {
            if let run = runs[id] { try? kernel?.send(FlinkAnswers.object(["do": .string("interrupt"), "run": .int(run.number)])) }
            runs[id] = nil
        }
        queue.removeAll { !known.contains($0.cell) }
        wake()
    }

    mutating func setKernel(_ next: StudioNotebook.KernelState, _ text: String?) {
        version += 1
        (kernelState, kernelText, kernelLog, kernelVersion) = (next, text, nil, version)
    }

    mutating func skip(_ cell: String) {
        version += 1
        runs[cell]?.state = .skipped
        runs[cell]?.version = version
    }

    mutating func finish(_ number: Int64, _ how: StudioRun.State, problem: StudioRun.Problem? = nil, milliseconds: Int64? = nil) {
        guard let done = active.removeValue(forKey: number) else { return }
        version += 1
        if var run = runs[done.cell], run.number == number {
            run.state = how
            run.problem = problem
            run.milliseconds = milliseconds ?? run.startedAt.map { Clock.milliseconds() - $0 }
            run.version = version
            runs[done.cell] = run
        }
        guard how == .failed, !done.directives.allowsFailure else { return }
        // The cells behind one that failed would meet its failure again.
        for waiting in queue where waiting.batch == done.batch { skip(waiting.cell) }
        queue.removeAll { $0.batch == done.batch }
    }

    /// The kernel is gone: nothing goes on.
    mutating func drop(_ reason: String) {
        for waiting in queue { skip(waiting.cell) }
        queue = []
        for number in active.keys.sorted() { finish(number, .failed, problem: .init(message: reason)) }
        for waits in completions.values { waits.signal() }
    }

    /// Keeps what all cells show together within bounds: the oldest give way.
    mutating func makeRoom(_ limit: Int, besides: String) {
        var total = runs.values.reduce(0) { $0 + $1.bytes }
        guard total > limit else { return }
        for (cell, run) in runs.sorted(by: { $0.value.number < $1.value.number }) where cell != besides && run.state.isOver {
            guard total > limit else { return }
            total -= run.bytes
            runs[cell]?.forget(version: version)
        }
    }
}
