import StreamCore

/// Rates of a job's counters over the last minute, for whoever asks a job for its report again and again.
///
///     tracker.observe(report)
///     let samples = report.samples(rates: tracker)
public struct RateTracker: Sendable {
    public enum Counter: Int, CaseIterable, Sendable {
        case rowsIn, rowsOut, bytesIn, bytesOut
        /// Milliseconds.
        case busy, backPressured
    }

    private struct Place: Hashable {
        var vertex: Int, subtask: Int
    }

    /// The counters of all subtasks at one time.
    private struct Moment {
        var at: Int64
        /// By place, in the order of ``Counter``.
        var values: [Place: [Int64]]

        init(_ report: JobReport) {
            at = report.endedAt ?? report.takenAt
            values = [:]
            for vertex in report.vertices {
                for subtask in vertex.subtasks {
                    values[Place(vertex: vertex.id, subtask: subtask.index)] =
                        [subtask.rowsIn, subtask.rowsOut, subtask.bytesIn, subtask.bytesOut, subtask.busy, subtask.backPressured]
                }
            }
        }
    }

    private let window: Int64
    private let spacing: Int64
    private var attempt: (job: String, number: Int)?
    private var moments: [Moment] = []
    /// Without anything observed before: lengths of the attempt by place.
    private var lengths: [Place: Int64] = [:]

    /// - Parameter window: what rates are of, and no more than is kept: about a hundred numbers for each subtask and counter.
    public init(window: Duration = .seconds(60)) {
        self.window = max(Int64(window / .milliseconds(1)), 1)
        spacing = self.window / 60
    }

    /// Rates since the attempt began.
    init(since report: JobReport) {
        self.init()
        moments = [Moment(report)]
        for vertex in report.vertices {
            for subtask in vertex.subtasks { lengths[Place(vertex: vertex.id, subtask: subtask.index)] = subtask.busy + subtask.backPressured + subtask.idle }
        }
    }

    /// Takes note of the job's counters. A new attempt counts from 0, and begins anew here.
    public mutating func observe(_ report: JobReport) {
        let moment = Moment(report)
        if let attempt, attempt != (report.id, report.attempt) { moments = [] }
        attempt = (report.id, report.attempt)
        if let last = moments.last, moment.at < last.at { return }
        // Whoever asks more often gets the newest, but not more of them.
        if moments.count > 1, moment.at - moments[moments.count - 2].at < spacing { moments.removeLast() }
        moments.append(moment)
        // The one that the window begins in stays.
        while moments.count > 2, moments[1].at <= moment.at - window { moments.removeFirst() }
    }

    /// nil before the second observation of an attempt.
    public func perSecond(_ counter: Counter, vertex: Int, subtask: Int) -> Double? {
        let place = Place(vertex: vertex, subtask: subtask)
        guard let first = moments.first, let last = moments.last, let newest = last.values[place]?[counter.rawValue] else { return nil }
        if let length = lengths[place] { return length > 0 ? Double(newest) * 1_000 / Double(length) : 0 }
        guard last.at > first.at, let oldest = first.values[place]?[counter.rawValue] else { return nil }
        return Double(max(newest - oldest, 0)) * 1_000 / Double(last.at - first.at)
    }
}
