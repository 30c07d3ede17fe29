import StreamCore
import Synchronization

/// Evaluates rules over metrics. What it knows lies in the history, so that a process that starts again goes on where another ended.
public final class AlertEvaluator: Sendable {
    private struct Followed {
        var rule: AlertRule
        var state: AlertState
        /// Keys of the last time: one that is missing is over.
        var keys: Set<String>
    }

    private let service: AlertService
    private let host: Host
    private let followed: Mutex<[Followed]>

    /// - Parameters:
    ///   - rules: those over queries are left aside: their jobs evaluate them.
    ///   - topology: what their topology is called here; nil = as its file says.
    ///   - database: path of the history, see ``AlertHistory/path(data:)``.
    public init(rules: [AlertRule], topology: String? = nil, database: String, host: Host = .system) throws {
        self.host = host
        service = try AlertService.shared(path: database, host: host)
        var followed: [Followed] = []
        for var rule in rules where rule.isMetric {
            if let topology = topology ?? AlertConnector.hostedTopology { rule.topology = topology }
            try service.history.register(rule)
            service.sender.add(topology: rule.topology)
            let state = try service.history.metricState(topology: rule.topology, rule: rule.name) ?? AlertState()
            followed.append(Followed(rule: rule, state: state, keys: Set(state.firing.map(\.key))))
        }
        self.followed = Mutex(followed)
    }

    /// There is nothing to evaluate.
    public var isEmpty: Bool { followed.withLock { $0.isEmpty } }

    /// Takes the samples of now. To be called about once a second; with no rules it does nothing.
    ///
    /// - Parameter time: milliseconds since 1970-01-01.
    /// - Throws: `.io` when the history cannot be written: nothing is lost if it is called again.
    public func observe(samples: [MetricSample], at time: Int64) throws {
        try followed.withLock { followed in for i in followed.indices { try observe(samples, time, &followed[i]) } }
    }

    private func observe(_ samples: [MetricSample], _ time: Int64, _ followed: inout Followed) throws {
        guard case .metric(let metric) = followed.rule.source, let comparison = followed.rule.comparison else { return }
        let rule = followed.rule, policy = rule.policy
        var state = followed.state, events: [AlertEvent] = []
        state.setEnabled(try service.history.isEnabled(topology: rule.topology, rule: rule.name) ?? rule.isEnabled, at: time, policy, into: &events)
        var groups: [String: (labels: [String: String], values: [Double])] = [:]
        for sample in samples where sample.name == metric.name && metric.match.allSatisfy({ AlertMetric.matches(sample.labels[$0.key], $0.value) }) {
            let labels = rule.key.isEmpty ? sample.labels : sample.labels.filter { rule.key.contains($0.key) }
            let key = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
            groups[key, default: (labels, [])].values.append(sample.value)
        }
        for (key, group) in groups.sorted(by: { $0.key < $1.key }) {
            let value = metric.combine.value(of: group.values), holds = !value.isNaN && comparison.holds(value)
            let row = JSONValue.object(["metric": .string(metric.name), "value": .number(value), "labels": .object(group.labels.mapValues { .string($0) })])
            try state.observe(AlertObservation(key: key, time: time, holds: holds, value: JSONValue.number(value).text, row: row.text), policy, into: &events)
        }
        for key in followed.keys.sorted() where groups[key] == nil { try state.remove(key, at: time, policy, into: &events) }
        state.advance(to: time, policy, into: &events)
        // A condition that is pending is worth keeping too: a restart does not begin its time anew.
        if !events.isEmpty || state.phases != followed.state.phases {
            if state.origin == nil { state.origin = String(host.randomBits(), radix: 16) }
            try service.history.append(try AlertDocument.records(events, rule, tag: state.origin!), topology: rule.topology, rule: rule.name, state: state)
            if !events.isEmpty { service.sender.look() }
        }
        (followed.state, followed.keys) = (state, Set(groups.keys))
    }

    /// Waits for the first tries of what was found last, for this long at most.
    public func drain(seconds: Double = 5) {
        for topology in Set(followed.withLock { $0.map(\.rule.topology) }) { service.sender.drain(topology: topology, seconds: seconds) }
    }
}

extension AlertMetric {
    /// `*` stands for any characters. A label that is missing matches nothing.
    static func matches(_ text: String?, _ pattern: String) -> Bool {
        guard let text else { return false }
        return EventPattern.TextMatch.wildcard([pattern.split(separator: "*", omittingEmptySubsequences: false).map(String.init)]).matches(text)
    }
}

extension AlertMetric.Combination {
    func value(of values: [Double]) -> Double {
        switch self {
        case .sum: values.reduce(0, +)
        case .min: values.min() ?? .nan
        case .max: values.max() ?? .nan
        case .average: values.reduce(0, +) / Double(values.count)
        }
    }
}
