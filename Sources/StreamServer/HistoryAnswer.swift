import JobControl
import StreamCore

/// A job's history as rates and shares between its points.
enum HistoryAnswer {
    static func json(_ job: String, _ points: [JobHistory.Point]) -> JSON {
        FlinkAnswers.object([
            "jid": .string(job), "interval": .int(Housekeeping.interval * 1_000),
            // Rates lie between two points of one attempt: its first point begins them.
            "points": .array(zip(points, points.dropFirst()).compactMap { before, now in
                now.attempt == before.attempt && now.at > before.at ? point(now, since: before) : nil
            }),
        ])
    }

    private static func point(_ now: JobHistory.Point, since before: JobHistory.Point) -> JSON {
        let seconds = Double(now.at - before.at) / 1_000
        let known = Dictionary(before.vertices.map { ($0.id, $0) }) { a, _ in a }
        return FlinkAnswers.object([
            "at": .int(now.at), "attempt": .int(Int64(now.attempt)),
            "vertices": .array(now.vertices.compactMap { vertex in known[vertex.id].map { Self.vertex(vertex, since: $0, seconds) } }),
            "checkpoints": FlinkAnswers.object([
                "completed": .int(Int64(now.completed)), "failed": .int(Int64(now.failed)), "lastDuration": number(now.duration), "lastBytes": number(now.bytes),
            ]),
        ])
    }

    private static func vertex(_ now: JobHistory.Vertex, since before: JobHistory.Vertex, _ seconds: Double) -> JSON {
        func rate(_ of: KeyPath<JobHistory.Vertex, Int64>) -> JSON { .double(Double(max(0, now[keyPath: of] - before[keyPath: of])) / seconds) }
        let busy = now.busy - before.busy, held = now.backPressured - before.backPressured, idle = now.idle - before.idle
        let all = Double(busy + held + idle)
        func share(_ part: Int64) -> JSON { all > 0 && part >= 0 ? .double(Double(part) / all) : .null }
        return FlinkAnswers.object([
            "id": .int(Int64(now.id)), "rowsInPerSecond": rate(\.rowsIn), "rowsOutPerSecond": rate(\.rowsOut), "bytesInPerSecond": rate(\.bytesIn), "bytesOutPerSecond": rate(\.bytesOut),
            "busy": share(busy), "backPressured": share(held), "idle": share(idle), "lag": number(now.lag), "watermark": number(now.watermark),
        ])
    }

    private static func number(_ value: Int64?) -> JSON { value.map { .int($0) } ?? .null }
}
