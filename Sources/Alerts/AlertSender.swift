import Foundation
import GRDB
import StreamCore
import Synchronization

/// Delivers what waits in an ``AlertHistory``, on threads of its own: one looks for what is due, and one for each delivery that has something
/// to send, so that a receiver that hangs holds up nobody but itself.
///
/// At least once: a process that dies between a delivery and the note of it leaves the notification to be delivered again, with the same id.
public final class AlertSender: Sendable {
    private struct Work {
        var topologies: Set<String>?
        var busy: Set<String> = []
        var isEnding = false
        var isRunning = false
        var prunedAt: Int64?
    }

    private let history: AlertHistory
    private let owner: String
    private let work: Mutex<Work>
    private let wake = DispatchSemaphore(value: 0)
    private static let lanesMax = 16
    /// How often the outbox is looked at when nobody says that there is something in it; other processes may have written.
    private static let interval = 0.25
    private static let pruneInterval: Int64 = 3_600_000

    /// - Parameter topologies: whose notifications to deliver; nil = all, also those that jobs left behind at their end.
    public init(_ history: AlertHistory, topologies: Set<String>? = nil) {
        self.history = history
        owner = "\(getpid()):\(history.host.uuid())"
        work = Mutex(Work(topologies: topologies))
    }

    /// Delivers until ``end()``.
    public func start() {
        let begins = work.withLock { work in
            defer { work.isRunning = true }
            return !work.isRunning && !work.isEnding
        }
        if begins { Thread.detachNewThread { self.run() } }
    }

    public func add(topology: String) { work.withLock { _ = $0.topologies?.insert(topology) } }

    /// There is something new.
    public func look() { wake.signal() }

    /// Waits until every notification of a topology has been tried once, for this long at most.
    public func drain(topology: String, seconds: Double) {
        let deadline = Clock.monotonicNanoseconds() + UInt64(seconds * 1e9)
        look()
        while Clock.monotonicNanoseconds() < deadline {
            let isBusy = work.withLock { $0.busy.contains { $0.hasPrefix(topology + "/") } }
            if !isBusy, (try? history.untried(topology: topology)) ?? 0 == 0 { return }
            Thread.sleep(forTimeInterval: 0.01)
        }
    }

    /// Begins no more deliveries. Those under way go on, until their timeouts.
    public func end() {
        work.withLock { $0.isEnding = true }
        look()
    }

    private func run() {
        try? history.releaseClaimsOfTheDead()
        while true {
            let (topologies, busy, isEnding) = work.withLock { ($0.topologies, $0.busy, $0.isEnding) }
            if isEnding { break }
            // A file that cannot be read for the moment is tried again: what waits is not lost.
            if busy.count < Self.lanesMax, let claims = try? history.claim(by: owner, topologies: topologies, busy: busy, hold: 60_000) {
                let lanes = Dictionary(grouping: claims) { $0.notification.topology + "/" + $0.notification.delivery }
                for (lane, claims) in lanes {
                    work.withLock { _ = $0.busy.insert(lane) }
                    Thread.detachNewThread {
                        self.deliver(claims)
                        self.work.withLock { _ = $0.busy.remove(lane) }
                        self.look()
                    }
                }
            }
            pruneSometimes()
            _ = wake.wait(timeout: .now() + Self.interval)
        }
        try? history.release(by: owner)
    }

    /// One lane's claims, one after another.
    private func deliver(_ claims: [AlertHistory.Claim]) {
        let began = Clock.monotonicNanoseconds()
        for claim in claims {
            // Claims run out: what this lane does not come to in time is taken up again.
            if work.withLock({ $0.isEnding }) || Clock.monotonicNanoseconds() - began > 20_000_000_000 {
                try? history.release(claim)
                continue
            }
            let notification = claim.notification
            let found = try? history.definition(topology: notification.topology, rule: notification.rule)
            guard let delivery = found?.deliveries[notification.delivery] else {
                try? history.failed(claim, "the rule no longer has a delivery \(notification.delivery)", pause: nil)
                continue
            }
            if let problem = delivery.deliver(notification) {
                try? history.failed(claim, problem.text, pause: problem.isFinal ? nil : delivery.pause(after: claim.attempts + 1))
            } else {
                try? history.delivered(claim)
            }
        }
    }

    private func pruneSometimes() {
        let now = history.host.now()
        let isTime = work.withLock { work in
            if let last = work.prunedAt, now - last < Self.pruneInterval { return false }
            work.prunedAt = now
            return true
        }
        if isTime { try? history.prune() }
    }
}

extension AlertHistory {
    /// What processes of this machine had taken that are gone now need not wait until their claims run out.
    func releaseClaimsOfTheDead() throws {
        let now = host.now(), taken = "state = 'waiting' AND claimed_until > ?"
        let owners = try read { db in try String.fetchAll(db, sql: "SELECT DISTINCT claimed_by FROM outbox WHERE \(taken)", arguments: [now]) }
        for owner in owners {
            guard let process = pid_t(owner.prefix { $0 != ":" }), process > 0, kill(process, 0) != 0, errno == ESRCH else { continue }
            try release(by: owner)
        }
    }

    func release(_ claim: Claim) throws {
        try write { db in try db.execute(sql: "UPDATE outbox SET claimed_until = 0 WHERE id = ?", arguments: [claim.id]) }
    }
}
