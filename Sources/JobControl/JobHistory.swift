import StreamRuntime

/// What a job did over the last minutes: counters every few seconds, the oldest first.
package struct JobHistory: Codable, Sendable {
    /// Of an operator, all of its subtasks together.
    package struct Vertex: Codable, Sendable, Hashable {
        package var id: Int, subtasks: Int
        package var rowsIn: Int64, rowsOut: Int64, bytesIn: Int64, bytesOut: Int64
        /// Milliseconds since the attempt began.
        package var busy: Int64, backPressured: Int64, idle: Int64
        package var lag: Int64?, watermark: Int64?

        package init(_ vertex: JobReport.Vertex) {
            func sum(_ of: (JobReport.Subtask) -> Int64) -> Int64 { vertex.subtasks.reduce(0) { $0 + of($1) } }
            (id, subtasks) = (vertex.id, vertex.subtasks.count)
            (rowsIn, rowsOut) = (sum(\.rowsIn), sum(\.rowsOut))
            (bytesIn, bytesOut) = (sum(\.bytesIn), sum(\.bytesOut))
            (busy, backPressured, idle) = (sum(\.busy), sum(\.backPressured), sum(\.idle))
            let lags = vertex.subtasks.compactMap(\.lag)
            lag = lags.isEmpty ? nil : lags.reduce(0, +)
            watermark = vertex.subtasks.compactMap(\.watermark).min()
        }
    }

    package struct Point: Codable, Sendable, Hashable {
        package var at: Int64
        package var attempt: Int
        package var vertices: [Vertex]
        package var completed: Int, failed: Int
        /// Of the newest complete checkpoint.
        package var duration: Int64?, bytes: Int64?

        package init(_ report: JobReport) {
            (at, attempt, vertices) = (report.takenAt, report.attempt, report.vertices.map(Vertex.init))
            (completed, failed) = (report.checkpoints.completed, report.checkpoints.failed)
            let last = report.checkpoints.history.last { $0.status == .completed }
            (duration, bytes) = (last?.duration, last?.bytes)
        }
    }

    /// As in the job's reports.
    package var job: String
    package var name: String
    package var points: [Point]

    package init(job: String, name: String, points: [Point]) { (self.job, self.name, self.points) = (job, name, points) }
}

/// The newest points of a job, in bounded memory.
package struct HistoryRing: Sendable {
    /// Ten minutes of points five seconds apart.
    package static let pointsMax = 120
    /// About 3 MiB: jobs with many operators are remembered for a shorter time.
    package static let verticesMax = 30_000

    private var points: [JobHistory.Point] = []
    private var oldest = 0

    package init() {}

    package mutating func add(_ point: JobHistory.Point) {
        let room = max(2, min(Self.pointsMax, Self.verticesMax / max(1, point.vertices.count)))
        // What comes next goes to the end: the oldest is first again before the room changes.
        if points.count != room, oldest != 0 { (points, oldest) = (inOrder, 0) }
        if points.count > room { points.removeFirst(points.count - room) }
        if points.count < room { return points.append(point) }
        points[oldest] = point
        oldest = (oldest + 1) % points.count
    }

    private var inOrder: [JobHistory.Point] { Array(points[oldest...] + points[..<oldest]) }

    /// Those that are not older than `since`, in milliseconds since 1970, and the last one before them, at which their first interval
    /// begins; the oldest first.
    package func newest(since: Int64) -> [JobHistory.Point] {
        let inOrder = inOrder
        let first = inOrder.firstIndex { $0.at >= since } ?? inOrder.count
        return Array(inOrder[max(0, first - 1)...])
    }
}
