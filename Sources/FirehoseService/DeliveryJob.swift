import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization
import Topology

/// The job of one delivery stream on a thread of its own: started again from its newest checkpoint after each failure, ever
/// more slowly, until it is stopped.
final class DeliveryJob: Sendable {
    private struct State {
        var runner: JobRunner?
        var wantsStop = false
        /// What the job failed with, until it has completed a checkpoint again.
        var failure: String?
    }

    private let name: String
    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - directory: for its checkpoints.
    ///   - session: makes a session with the connectors, for each start.
    init(_ definition: DeliveryStream, jobID: String, directory: String, log: String, session: @escaping @Sendable () throws -> SQLSession,
         report: @escaping @Sendable (String) -> Void) {
        name = definition.name
        let thread = Thread { [self] in
            run(definition, jobID: jobID, directory: directory, log: log, session: session, report: report)
            ended.signal()
        }
        // Planning walks expressions as deep as the statements nest them.
        thread.stackSize = 8 << 20
        thread.name = "delivery \(definition.name)"
        thread.start()
    }

    /// Why it does not deliver now; nil = it does.
    var failure: String? { state.withLock { $0.failure } }

    /// Commits what was read, files that had room left too, and ends the job. One that fails ends as it is: the next goes on from its
    /// newest checkpoint.
    func stop() {
        let runner = state.withLock { state in
            state.wantsStop = true
            return state.runner
        }
        runner?.stop()
        wake.signal()
        ended.wait()
        ended.signal()
    }

    /// Ends the job as a crash would: nothing more is committed.
    func abandon() {
        let runner = state.withLock { state in
            state.wantsStop = true
            return state.runner
        }
        runner?.cancel()
        wake.signal()
        ended.wait()
        ended.signal()
    }

    private var isWanted: Bool { state.withLock { !$0.wantsStop } }

    private func run(_ definition: DeliveryStream, jobID: String, directory: String, log: String, session: @Sendable () throws -> SQLSession,
                     report: @escaping @Sendable (String) -> Void) {
        var pause = Self.minPause
        while isWanted {
            let begin = Clock.monotonicNanoseconds()
            do {
                let runner = try makeRunner(definition, jobID: jobID, directory: directory, log: log, session: session())
                runner.onEvent { [self] event in
                    if case .checkpointCompleted = event { state.withLock { $0.failure = nil } }
                    if case .warning(_, let text) = event { report("delivery stream \(name): \(text)") }
                }
                defer { runner.onEvent { _ in } }
                let starts = state.withLock { state in
                    if !state.wantsStop { state.runner = runner }
                    return !state.wantsStop
                }
                guard starts else { return }
                try runner.run()
                state.withLock { $0.runner = nil }
                // Of a source that ends nothing more will come.
                return
            } catch {
                state.withLock { state in
                    state.runner = nil
                    state.failure = "\(error)"
                }
                report("delivery stream \(name) has failed and is started again: \(error)")
            }
            if Clock.monotonicNanoseconds() - begin > 60_000_000_000 { pause = Self.minPause }
            if isWanted { _ = wake.wait(timeout: .now() + .milliseconds(pause)) }
            pause = min(pause * 2, Self.maxPause)
        }
    }

    private static let minPause = 1_000
    private static let maxPause = 60_000

    private func makeRunner(_ definition: DeliveryStream, jobID: String, directory: String, log: String, session: SQLSession) throws -> JobRunner {
        var graph: JobGraph?
        for statement in try definition.statements(log: log).parsed() {
            if case .insert(let planned) = try session.execute(statement) { graph = planned }
        }
        guard var graph else { throw StreamError(.plan, "delivery stream \(name) writes nothing") }
        graph.name = DeliveryStream.hiddenPrefix + name
        Self.identify(&graph)
        var options = JobOptions()
        options.checkpoints = session.settings.checkpoints
        var recovery = RecoveryOptions(directory: directory, jobID: jobID)
        // A change of the destination may have taken an output away.
        recovery.allowsNonRestoredState = true
        return try JobRunner(graph, options: options, recovery: recovery)
    }

    /// Sources and sinks keep their names in checkpoints when the destination or the transform is changed: positions and unfinished files
    /// belong to them.
    private static func identify(_ graph: inout JobGraph) {
        var seen: [String: Int] = [:]
        for i in graph.vertices.indices {
            let kind: String
            switch graph.vertices[i].kind {
            case .source: kind = "source"
            case .sink: kind = "sink " + graph.vertices[i].name
            default: continue
            }
            seen[kind, default: 0] += 1
            graph.vertices[i].operatorID = "delivery \(kind)" + (seen[kind]! > 1 ? " \(seen[kind]!)" : "")
        }
    }
}
