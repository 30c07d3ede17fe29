import StreamCore

/// What a rule asks of its conditions over time. Milliseconds.
public struct AlertPolicy: Hashable, Sendable {
    public var holdsFor: Int64
    /// At most one notification for each key in this time; 0 = no limit.
    public var throttle: Int64
    public var notifiesResolved: Bool
    /// Each observation is an alert of its own.
    public var isEvent: Bool
    /// Instances that are known at once.
    public var keysMax: Int

    public init(holdsFor: Int64 = 0, throttle: Int64 = 0, notifiesResolved: Bool = false, isEvent: Bool = false, keysMax: Int = 100_000) {
        (self.holdsFor, self.throttle, self.notifiesResolved, self.isEvent, self.keysMax) = (holdsFor, throttle, notifiesResolved, isEvent, keysMax)
    }
}

/// What was seen of one instance.
public struct AlertObservation: Codable, Hashable, Sendable {
    public var key: String
    public var time: Int64
    /// The condition is true.
    public var holds: Bool
    public var value: String?
    /// The row as JSON.
    public var row: String?

    public init(key: String, time: Int64, holds: Bool, value: String? = nil, row: String? = nil) {
        (self.key, self.time, self.holds, self.value, self.row) = (key, time, holds, value, row)
    }
}

/// Something that an ``AlertState`` came to.
public struct AlertEvent: Codable, Hashable, Sendable {
    public enum Kind: String, Codable, Hashable, Sendable {
        /// An episode begins.
        case firing
        /// Its notification may not go out yet, as one of the same key went out too recently.
        case suppressed
        /// Notify that it is firing.
        case notifyFiring = "notify-firing"
        /// The episode is over.
        case resolved
        /// Notify that it is over.
        case notifyResolved = "notify-resolved"
        /// The rule was disabled during the episode.
        case disabled
    }

    public var kind: Kind
    public var key: String
    public var time: Int64
    /// When the condition began to hold.
    public var since: Int64
    /// Counts the episodes of all keys of the rule.
    public var episode: Int
    public var value: String?
    public var row: String?
}

/// One rule's state: for each key, whether it is inactive, pending or firing, and when it was notified of last.
///
/// Without a clock, disk or chance: the same calls give the same events. A condition that holds for the time of the rule begins an
/// episode; an observation for which it does not hold ends it. Timers run out at their own time, whenever they are found to have done so.
public struct AlertState: Codable, Hashable, Sendable {
    enum Phase: Codable, Hashable, Sendable {
        case inactive
        case pending(since: Int64)
        case firing(since: Int64, episode: Int, isNotified: Bool)
    }

    struct Instance: Codable, Hashable, Sendable {
        var phase = Phase.inactive
        var notified: Int64?
        var holds = false
        var time: Int64
        var value: String?
        var row: String?
    }

    private(set) var instances: [String: Instance] = [:]
    private(set) var episodes = 0
    private(set) var isEnabled = true
    /// The latest time seen.
    public private(set) var now = Int64.min
    /// When a timer may run out next.
    private var due = Int64.max
    private var pruneAt = 1_000

    /// Begins the names of what a rule over a metric comes to; its episodes count on from process to process.
    var origin: String?

    public init() {}

    /// No condition holds, and no timer runs.
    var isQuiet: Bool { instances.values.allSatisfy { $0.phase == .inactive && !$0.holds } }

    var phases: [String: Phase] { instances.compactMapValues { $0.phase == .inactive ? nil : $0.phase } }

    /// Keys that are firing, with the times since which their conditions hold.
    public var firing: [(key: String, since: Int64)] {
        instances.compactMap { key, instance in if case .firing(let since, _, _) = instance.phase { (key, since) } else { nil } }.sorted { $0.key < $1.key }
    }

    /// - Throws: `.runtime` when there are more keys than the policy allows.
    public mutating func observe(_ seen: AlertObservation, _ policy: AlertPolicy, into events: inout [AlertEvent]) throws {
        var instance = instances[seen.key] ?? Instance(time: seen.time)
        let time = max(seen.time, instance.time)
        now = max(now, time)
        expire(seen.key, &instance, before: time, policy, &events)
        (instance.time, instance.holds, instance.value, instance.row) = (time, seen.holds, seen.value, seen.row)
        if isEnabled {
            if policy.isEvent {
                if seen.holds { self.event(seen.key, &instance, policy, &events) }
            } else if seen.holds {
                begin(seen.key, &instance, at: time, policy, &events)
            } else {
                end(seen.key, &instance, at: time, policy, &events)
            }
        }
        if isIdle(instance, policy, at: time) {
            instances[seen.key] = nil
            return
        }
        instances[seen.key] = instance
        if instances.count > pruneAt {
            let now = now
            instances = instances.filter { !isIdle($0.value, policy, at: now) }
            pruneAt = max(1_000, instances.count * 2)
        }
        guard instances.count <= policy.keysMax else {
            throw StreamError(.runtime, "the alert has more than \(policy.keysMax) keys at once, the last '\(seen.key)'", fix: "name columns with fewer values in key:")
        }
    }

    /// The instance is no longer there.
    public mutating func remove(_ key: String, at time: Int64, _ policy: AlertPolicy, into events: inout [AlertEvent]) throws {
        guard let known = instances[key] else { return }
        if policy.isEvent { return }
        try observe(AlertObservation(key: key, time: time, holds: false, value: known.value, row: known.row), policy, into: &events)
    }

    /// Timers that run out until `time` do so.
    public mutating func advance(to time: Int64, _ policy: AlertPolicy, into events: inout [AlertEvent]) {
        now = max(now, time)
        guard due <= time else { return }
        due = .max
        for key in instances.keys.sorted() {
            var instance = instances[key]!
            expire(key, &instance, before: time + 1, policy, &events)
            instances[key] = instance
            due = min(due, timer(instance, policy))
        }
    }

    /// While it is disabled, conditions are followed but nothing comes of them.
    public mutating func setEnabled(_ enabled: Bool, at time: Int64, _ policy: AlertPolicy, into events: inout [AlertEvent]) {
        guard enabled != isEnabled else { return }
        isEnabled = enabled
        let time = max(time, now)
        for key in instances.keys.sorted() {
            var instance = instances[key]!
            if enabled {
                if instance.holds, !policy.isEvent { begin(key, &instance, at: max(time, instance.time), policy, &events) }
            } else {
                if case .firing(let since, let episode, _) = instance.phase {
                    events.append(AlertEvent(kind: .disabled, key: key, time: time, since: since, episode: episode, value: instance.value, row: instance.row))
                }
                instance.phase = .inactive
            }
            instances[key] = instance
        }
    }

    // MARK: One instance

    private mutating func begin(_ key: String, _ instance: inout Instance, at time: Int64, _ policy: AlertPolicy, _ events: inout [AlertEvent]) {
        switch instance.phase {
        case .inactive:
            if policy.holdsFor > 0 {
                instance.phase = .pending(since: time)
                due = min(due, time + policy.holdsFor)
            } else {
                fire(key, &instance, since: time, at: time, policy, &events)
            }
        case .pending(let since):
            if time - since >= policy.holdsFor { fire(key, &instance, since: since, at: time, policy, &events) }
        case .firing(let since, let episode, false) where mayNotify(instance, at: time, policy):
            notify(key, &instance, since: since, episode: episode, at: time, &events)
        case .firing: break
        }
    }

    private mutating func fire(_ key: String, _ instance: inout Instance, since: Int64, at time: Int64, _ policy: AlertPolicy, _ events: inout [AlertEvent]) {
        episodes += 1
        let event = AlertEvent(kind: .firing, key: key, time: time, since: since, episode: episodes, value: instance.value, row: instance.row)
        events.append(event)
        instance.phase = .firing(since: since, episode: episodes, isNotified: false)
        if mayNotify(instance, at: time, policy) {
            notify(key, &instance, since: since, episode: episodes, at: time, &events)
        } else {
            var held = event
            held.kind = .suppressed
            events.append(held)
            due = min(due, timer(instance, policy))
        }
    }

    private mutating func end(_ key: String, _ instance: inout Instance, at time: Int64, _ policy: AlertPolicy, _ events: inout [AlertEvent]) {
        if case .firing(let since, let episode, let isNotified) = instance.phase {
            var event = AlertEvent(kind: .resolved, key: key, time: time, since: since, episode: episode, value: instance.value, row: instance.row)
            events.append(event)
            if policy.notifiesResolved, isNotified {
                event.kind = .notifyResolved
                events.append(event)
            }
        }
        instance.phase = .inactive
    }

    private mutating func event(_ key: String, _ instance: inout Instance, _ policy: AlertPolicy, _ events: inout [AlertEvent]) {
        fire(key, &instance, since: instance.time, at: instance.time, policy, &events)
        instance.phase = .inactive
    }

    private func mayNotify(_ instance: Instance, at time: Int64, _ policy: AlertPolicy) -> Bool {
        instance.notified.map { time - $0 >= policy.throttle } ?? true
    }

    private func notify(_ key: String, _ instance: inout Instance, since: Int64, episode: Int, at time: Int64, _ events: inout [AlertEvent]) {
        instance.phase = .firing(since: since, episode: episode, isNotified: true)
        instance.notified = time
        events.append(AlertEvent(kind: .notifyFiring, key: key, time: time, since: since, episode: episode, value: instance.value, row: instance.row))
    }

    // MARK: Timers

    /// When something happens to the instance although nothing is observed; `.max` = never.
    private func timer(_ instance: Instance, _ policy: AlertPolicy) -> Int64 {
        switch instance.phase {
        case .pending(let since): since + policy.holdsFor
        case .firing(_, _, false): instance.notified.map { $0 + policy.throttle } ?? .max
        default: .max
        }
    }

    private mutating func expire(_ key: String, _ instance: inout Instance, before time: Int64, _ policy: AlertPolicy, _ events: inout [AlertEvent]) {
        while true {
            let at = timer(instance, policy)
            guard at < time else { return }
            switch instance.phase {
            case .pending(let since): fire(key, &instance, since: since, at: at, policy, &events)
            case .firing(let since, let episode, _): notify(key, &instance, since: since, episode: episode, at: at, &events)
            case .inactive: return
            }
        }
    }

    /// Forgetting it changes nothing.
    private func isIdle(_ instance: Instance, _ policy: AlertPolicy, at time: Int64) -> Bool {
        guard case .inactive = instance.phase, !instance.holds || policy.isEvent else { return false }
        return instance.notified.map { time - $0 >= policy.throttle } ?? true
    }
}
