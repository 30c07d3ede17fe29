import Foundation
import StreamCore

/// Until when something has to be done.
package struct Deadline: Sendable {
    /// What was asked for.
    package let seconds: Double
    private let end: ContinuousClock.Instant

    package init(seconds: Double) { (self.seconds, end) = (seconds, ContinuousClock.now + .seconds(seconds)) }

    /// Seconds; 0 once it has passed.
    package var left: Double {
        let (whole, part) = (end - ContinuousClock.now).components
        return max(0, Double(whole) + Double(part) / 1e18)
    }
    package var hasPassed: Bool { left == 0 }
}

/// How long the clients of Flink wait, how they show who asks, and whom they tell what they are waiting for.
package struct FlinkClientOptions: Sendable {
    /// For everything that is done with these options, together.
    package var deadline: Deadline
    /// For one request, unless the deadline comes first.
    package var requestSeconds: Double = 30
    /// How often a request that may be repeated is sent again when nobody answers; the pause doubles from `pauseSeconds` up to 5 s.
    package var retriesMax = 5
    package var pauseSeconds = 0.2
    /// The gateway forgets a session that nobody used for `sql-gateway.session.idle-timeout`, 10 minutes unless set.
    package var heartbeatSeconds: Double = 30
    /// Sent as a bearer token. A user and a password in the URL are sent instead when there is none.
    package var token: String?
    /// PEM file with the certificates to trust.
    package var certificate: String?
    package var userAgent = "swiftwater"
    /// Errors end with Flink's whole stack trace.
    package var showsTraces = false
    /// Asked between requests: true ends what is going on, and whatever was opened is closed.
    package var isCancelled: @Sendable () -> Bool = { false }
    /// What it waits for, a line at a time.
    package var report: @Sendable (String) -> Void = { _ in }

    package init(timeout seconds: Double) { deadline = Deadline(seconds: seconds) }

    /// - Throws: `CancellationError` once it is cancelled; `.io`, saying what has not happened, after the deadline.
    func check(_ what: @autoclosure () -> String) throws {
        if isCancelled() { throw CancellationError() }
        if deadline.hasPassed { throw late(what()) }
    }

    func late(_ what: String) -> StreamError {
        StreamError(.io, "\(what) within \(Self.text(deadline.seconds)) s", fix: "give it longer with --timeout, or look at Flink's own log")
    }

    /// Sleeps in short steps, so that neither deadline nor cancelling comes late.
    func pause(_ seconds: Double) {
        let until = Deadline(seconds: min(seconds, deadline.left))
        while !until.hasPassed, !isCancelled() { Thread.sleep(forTimeInterval: min(0.05, until.left)) }
    }

    static func text(_ seconds: Double) -> String { seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)" }
}

/// Pauses between looks at something that is going on: short at first, then up to half a second.
struct PollPause {
    private var seconds = 0.02

    mutating func next() -> Double {
        defer { seconds = min(0.5, seconds * 2) }
        return seconds
    }
}
