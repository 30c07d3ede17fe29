import Histogram
import StreamCore
import Synchronization

/// Lengths of time with quantiles within one percent. Quantiles are of the last five to ten minutes, count and sum of all.
package struct DurationHistogram: Sendable {
    private static let window: UInt64 = 300_000_000_000
    package static let quantiles = [0.5, 0.9, 0.95, 0.98, 0.99, 0.999]

    /// In microseconds.
    private var recent = Self.empty()
    private var before: Histogram<UInt64>?
    private var windowEnds: UInt64?
    package private(set) var count: Int64 = 0
    /// In milliseconds.
    package private(set) var sum: Double = 0

    package init() {}

    private static func empty() -> Histogram<UInt64> { Histogram(numberOfSignificantValueDigits: .two) }

    /// - Parameter now: nanoseconds of any clock that does not go back.
    package mutating func record(nanoseconds: UInt64, now: UInt64) {
        let end = windowEnds ?? now &+ Self.window
        if now >= end {
            // After a longer pause than that, what there is is old.
            before = now < end &+ Self.window ? recent : nil
            recent = Self.empty()
        }
        windowEnds = now >= end ? now &+ Self.window : end
        recent.record(min(nanoseconds / 1_000, 1 << 50))
        count += 1
        sum += Double(nanoseconds) / 1_000_000
    }

    /// In milliseconds; nil before the first one.
    package func report(_ name: String, _ labels: [String: String]) -> JobReport.Histogram? {
        guard count > 0 else { return nil }
        var all = recent
        if let before { all.add(before) }
        let quantiles = Self.quantiles.map { JobReport.Histogram.Quantile(quantile: $0, value: Double(all.valueAtPercentile($0 * 100)) / 1_000) }
        return .init(name: name, labels: labels, count: count, sum: sum, quantiles: quantiles)
    }
}

/// How long markers took from each source to one subtask of an operator. Its thread records, any thread reads.
final class LatencyRecorder: Sendable {
    private let bySource = Mutex<[Int: DurationHistogram]>([:])

    func record(_ marker: LatencyMarker, now: UInt64) {
        bySource.withLock { $0[marker.source, default: DurationHistogram()].record(nanoseconds: now > marker.sentAt ? now - marker.sentAt : 0, now: now) }
    }

    /// By the id of the source's vertex, ascending.
    var all: [(source: Int, DurationHistogram)] { bySource.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } } }
}
