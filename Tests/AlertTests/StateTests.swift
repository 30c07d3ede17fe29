import Foundation
import StreamCore
import StreamTesting
import Testing

@testable import Alerts

/// The state machine against a model that looks at every millisecond.
@Suite("alert state") struct StateTests {
    private struct Step {
        enum Action { case see(key: String, holds: Bool), switchTo(Bool), advance }
        var time: Int64
        var action: Action
    }

    private struct Seen: Hashable, CustomStringConvertible {
        var key: String, kind: AlertEvent.Kind, time: Int64, since: Int64
        var description: String { "\(key) \(kind.rawValue) at \(time) since \(since)" }
    }

    /// One key of the model.
    private struct Model {
        var holds = false, since: Int64?, isFiring = false, isNotified = false, notified: Int64?

        mutating func check(_ key: String, _ t: Int64, _ policy: AlertPolicy, _ out: inout [Seen]) {
            guard holds, let since else { return }
            if !isFiring, t - since >= policy.holdsFor {
                (isFiring, isNotified) = (true, false)
                out.append(Seen(key: key, kind: .firing, time: t, since: since))
                if notified != nil, t - notified! < policy.throttle { out.append(Seen(key: key, kind: .suppressed, time: t, since: since)) }
            }
            if isFiring, !isNotified, notified.map({ t - $0 >= policy.throttle }) ?? true {
                (isNotified, notified) = (true, t)
                out.append(Seen(key: key, kind: .notifyFiring, time: t, since: since))
            }
        }

        mutating func see(_ key: String, _ now: Bool, _ t: Int64, _ policy: AlertPolicy, _ enabled: Bool, _ out: inout [Seen]) {
            holds = now
            guard enabled else { return }
            if policy.isEvent {
                guard now else { return }
                since = t
                check(key, t, policy, &out)
                (isFiring, isNotified, since, holds) = (false, false, nil, false)
            } else if now {
                since = since ?? t
                check(key, t, policy, &out)
            } else {
                if isFiring {
                    out.append(Seen(key: key, kind: .resolved, time: t, since: since!))
                    if policy.notifiesResolved, isNotified { out.append(Seen(key: key, kind: .notifyResolved, time: t, since: since!)) }
                }
                (isFiring, isNotified, since) = (false, false, nil)
            }
        }

        mutating func turn(_ key: String, on: Bool, _ t: Int64, _ policy: AlertPolicy, _ out: inout [Seen]) {
            if on {
                if holds, !policy.isEvent {
                    since = t
                    check(key, t, policy, &out)
                }
            } else {
                if isFiring { out.append(Seen(key: key, kind: .disabled, time: t, since: since!)) }
                (isFiring, isNotified, since) = (false, false, nil)
            }
        }
    }

    private func expected(_ steps: [Step], _ policy: AlertPolicy, until end: Int64) -> [Seen] {
        var models: [String: Model] = [:], enabled = true, out: [Seen] = []
        for t in 0...end {
            for step in steps where step.time == t {
                switch step.action {
                case .see(let key, let holds): models[key, default: Model()].see(key, holds, t, policy, enabled, &out)
                case .switchTo(let on):
                    guard on != enabled else { continue }
                    enabled = on
                    for key in models.keys.sorted() { models[key]!.turn(key, on: on, t, policy, &out) }
                case .advance: break
                }
            }
            if enabled { for key in models.keys.sorted() { models[key]!.check(key, t, policy, &out) } }
        }
        return out
    }

    @Test("comes to what a model comes to that looks at every millisecond, however often timers are looked at and whatever is kept in between", arguments: 0..<400)
    func model(seed: Int) throws {
        var random = SeededRandom(UInt64(seed) &+ 77)
        // What has no condition has no time for it to hold either.
        let isEvent = seed % 7 == 0
        let policy = AlertPolicy(
            holdsFor: isEvent ? 0 : [0, 0, 1, 4, 9].randomElement(using: &random)!, throttle: [0, 0, 3, 12, 50].randomElement(using: &random)!,
            notifiesResolved: Bool.random(using: &random), isEvent: isEvent)
        var steps: [Step] = [], t: Int64 = 0
        for _ in 0..<60 {
            t += Int64.random(in: 0...4, using: &random)
            let key = ["a", "b", "c"].randomElement(using: &random)!
            switch Int.random(in: 0..<12, using: &random) {
            // Switching is at times of its own, as it is not ordered with rows.
            case 0:
                t += 1
                steps.append(Step(time: t, action: .switchTo(Bool.random(using: &random))))
                t += 1
            case 1...2:
                steps.append(Step(time: t, action: .advance))
                t += 1
            default: steps.append(Step(time: t, action: .see(key: key, holds: Bool.random(using: &random))))
            }
        }
        let end = t + 60
        var state = AlertState(), events: [AlertEvent] = []
        for step in steps {
            switch step.action {
            case .see(let key, let holds): try state.observe(AlertObservation(key: key, time: step.time, holds: holds), policy, into: &events)
            case .switchTo(let on):
                state.advance(to: step.time - 1, policy, into: &events)
                state.setEnabled(on, at: step.time, policy, into: &events)
            case .advance: state.advance(to: step.time, policy, into: &events)
            }
            // What a checkpoint keeps is all of it.
            if Int.random(in: 0..<5, using: &random) == 0 { state = try JSONDecoder().decode(AlertState.self, from: try JSONEncoder().encode(state)) }
        }
        state.advance(to: end, policy, into: &events)
        let found = events.map { Seen(key: $0.key, kind: $0.kind, time: $0.time, since: $0.since) }, wanted = expected(steps, policy, until: end)
        for key in ["a", "b", "c"] {
            let (f, w) = (found.filter { $0.key == key }, wanted.filter { $0.key == key })
            #expect(f == w, "seed \(seed), \(policy): \(zip(f, w).first { $0 != $1 }.map { "\($0)" } ?? "\(f.count) and \(w.count)")")
        }
        let names = try AlertDocument.records(events, AlertRule(topology: "t", name: "r", source: .query("q")), tag: "x").map(\.name)
        #expect(Set(names).count == names.count, "seed \(seed): names are unique")
    }

    @Test("keys beyond the limit are an error, and those that matter no more are forgotten")
    func bounds() throws {
        let policy = AlertPolicy(throttle: 10, isEvent: false, keysMax: 5_000)
        var state = AlertState(), events: [AlertEvent] = []
        for i in 0..<20_000 {
            try state.observe(AlertObservation(key: "k\(i)", time: Int64(i), holds: true), policy, into: &events)
            try state.observe(AlertObservation(key: "k\(i)", time: Int64(i), holds: false), policy, into: &events)
        }
        #expect(state.instances.count < 2_500)
        #expect {
            for i in 0..<6_000 { try state.observe(AlertObservation(key: "n\(i)", time: 30_000, holds: true), policy, into: &events) }
        } throws: { "\($0)".contains("more than 5000 keys") }
    }

    @Test("reads conditions and throttles as people write them")
    func words() {
        #expect(AlertComparison("is below 300,000")?.sql(on: "`v`") == "`v` < 300000" && AlertComparison("Below 300000")?.holds(299_999) == true)
        #expect(AlertComparison("between 1 and 5.5")?.sql(on: "v") == "v BETWEEN 1 AND 5.5" && AlertComparison("not equals 0")?.holds(1) == true)
        #expect(AlertComparison("above -3e2")?.holds(-299) == true && AlertComparison("equal to 5")?.holds(5) == true)
        for other in ["below", "below x", "value < 3", "between 1", "above 3,00", "not 5", "below 1 2", "below nan", "above 1; DROP TABLE x", "below 0x10"] {
            #expect(AlertComparison(other) == nil, "\(other)")
        }
        #expect(AlertThrottle(text: "Weekly at most") == .weekly && AlertThrottle(text: "sometimes") == nil)
    }
}
