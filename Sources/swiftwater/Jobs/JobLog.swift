import StreamCore
import StreamRuntime
import StreamSQL
import StreamState

/// What a run has to tell of checkpoints and restarts, as lines for people or as JSON.
final class JobLog: Sendable {
    private let job: String
    private let isJSON: Bool
    private let write: @Sendable (String) -> Void

    init(job: String, isJSON: Bool, write: @escaping @Sendable (String) -> Void) {
        self.job = job
        self.isJSON = isJSON
        self.write = write
    }

    func note(_ event: JobRunner.Event) {
        switch event {
        case .started(let attempt, let from):
            if isJSON {
                put("started", [
                    ("attempt", "\(attempt)"), ("checkpoint", from.map { "\($0.checkpoint)" } ?? "null"),
                    ("checkpoint_time", from.map { "\($0.completedAt)" } ?? "null"), ("splits", "{" + positions(from).map {
                        JSONText.quote($0.split) + ":" + ($0.position.map(JSONText.quote) ?? "null")
                    }.joined(separator: ",") + "}"),
                ])
            } else if let from {
                write("job \(job) goes on from \(from.kind == .savepoint ? "savepoint" : "checkpoint") \(from.checkpoint) of \(Self.time(from.completedAt))" + Self.list(positions(from)))
            } else {
                write("job \(job) starts from the beginning")
            }
        case .passedOver(let error):
            isJSON ? put("checkpoint_damaged", [("error", JSONText.quote("\(error)"))]) : write("warning: \(error)")
        case .checkpointCompleted(let manifest, let bytes):
            guard isJSON else { return }
            put("checkpoint", [
                ("checkpoint", "\(manifest.checkpoint)"), ("kind", JSONText.quote(manifest.kind.rawValue)), ("bytes", "\(bytes)"),
                ("milliseconds", "\(manifest.completedAt - manifest.startedAt)"),
            ])
        case .checkpointFailed(let checkpoint, let problem):
            isJSON
                ? put("checkpoint_failed", [("checkpoint", "\(checkpoint)"), ("error", JSONText.quote(problem))])
                : write("warning: checkpoint \(checkpoint) failed: \(problem)")
        case .restarting(let attempt, let delay, let error):
            isJSON
                ? put("restarting", [("attempt", "\(attempt)"), ("delay_ms", "\(Int64(delay / .milliseconds(1)))"), ("error", JSONText.quote("\(error)"))])
                : write("job \(job) failed and is started again (attempt \(attempt)) in \(Self.seconds(delay)): \(error)")
        case .warning(let name, let text):
            isJSON ? put("warning", [("operator", JSONText.quote(name)), ("warning", JSONText.quote(text))]) : write("warning: \(name): \(text)")
        }
    }

    /// How the next run of a job that was stopped begins.
    /// - Parameter savepoint: what the job was stopped with, if it was.
    func stopped(_ checkpoint: UInt64?, savepoint: String?) {
        if isJSON {
            return put("resumable", [("checkpoint", checkpoint.map { "\($0)" } ?? "null"), ("savepoint", savepoint.map(JSONText.quote) ?? "null")])
        }
        if let savepoint { write("savepoint: \(savepoint)") }
        if let checkpoint { write("the next run of job \(job) goes on from checkpoint \(checkpoint); --fresh starts it anew") }
    }

    private func put(_ event: String, _ fields: [(String, String)]) {
        let all = [("event", JSONText.quote(event)), ("job", JSONText.quote(job))] + fields
        write("{" + all.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}")
    }

    private typealias Position = (split: String, position: String?, isFinished: Bool)

    private func positions(_ manifest: CheckpointManifest?) -> [Position] {
        (manifest?.operators ?? []).flatMap { entry in entry.splits.map { ($0.id, $0.position, $0.isFinished) } }
    }

    private static func list(_ positions: [Position]) -> String {
        if positions.isEmpty { return "" }
        let shown = positions.prefix(4).map { "\($0.split) \($0.isFinished ? "at its end" : $0.position.map { "at \($0)" } ?? "from its start")" }
        return ": " + shown.joined(separator: ", ") + (positions.count > 4 ? " and \(positions.count - 4) more" : "")
    }

    static func time(_ milliseconds: Int64) -> String { DateTimeText.timestamp(milliseconds, precision: 3) + " UTC" }

    static func seconds(_ duration: Duration) -> String { fixed(duration / .seconds(1), 1) + " s" }
}
