import Foundation
import StreamCore

/// One rule of `alerts:` in a topology file.
public struct AlertRule: Codable, Hashable, Sendable {
    /// What is watched.
    public enum Source: Codable, Hashable, Sendable {
        /// A query of the topology. The text is as the user wrote it.
        case query(String)
        case metric(AlertMetric)
    }

    public var topology: String
    public var name: String
    public var description: String?
    public var source: Source
    /// Columns of the query, or labels of the metric, that tell instances of the alert apart.
    public var key: [String] = []
    /// The column that holds the value watched.
    public var value: String?
    /// The column of event time; nil = rows count when they come.
    public var time: String?
    /// As the user wrote it; nil = each row is an alert of its own.
    public var condition: String?
    /// Of a metric: the condition as it is evaluated.
    public var comparison: AlertComparison?
    /// Milliseconds for which the condition has to hold.
    public var holdsFor: Int64 = 0
    public var throttle = AlertThrottle.asFrequentlyAsPossible
    /// Notify also when it is over.
    public var notifiesResolved = false
    public var severity: String?
    public var labels: [String: String] = [:]
    public var isEnabled = true
    /// Deliveries that get every notification.
    public var notify: [String] = []
    /// Deliveries that get those that match.
    public var routes: [AlertRoute] = []
    /// The definitions of all that `notify` and `routes` name.
    public var deliveries: [String: AlertDelivery] = [:]
    /// Milliseconds that history is kept.
    public var retention: Int64 = AlertRule.defaultRetention

    public static let defaultRetention: Int64 = 90 * 86_400_000

    public init(topology: String, name: String, source: Source) { (self.topology, self.name, self.source) = (topology, name, source) }

    public var isMetric: Bool { if case .metric = source { true } else { false } }
    /// Each row is an alert of its own, over at once.
    public var isEvent: Bool { condition == nil }

    var policy: AlertPolicy {
        AlertPolicy(holdsFor: holdsFor, throttle: throttle.milliseconds, notifiesResolved: notifiesResolved, isEvent: isEvent)
    }

    public var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A value of plain strings, numbers and lists always has a JSON form.
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    public init(json: String) throws {
        do {
            self = try JSONDecoder().decode(AlertRule.self, from: Data(json.utf8))
        } catch {
            throw StreamError(.validate, "this is no alert rule: \(json.prefix(120))", fix: "define the rule under alerts: of a topology file")
        }
    }

    /// The deliveries that an event of this rule goes to, in the order of their names, each once.
    func deliveries(for event: JSONValue) throws -> [String] {
        var names = Set(notify)
        for route in routes where try EventPattern(route.pattern).matches(event) { names.formUnion(route.notify) }
        return names.sorted()
    }
}

/// A metric that a rule watches.
public struct AlertMetric: Codable, Hashable, Sendable {
    /// Flink's name: `numRecordsInPerSecond`.
    public var name: String
    /// Labels that a sample must have; `*` stands for any characters.
    public var match: [String: String]
    /// What is made of samples with the same key.
    public var combine: Combination

    public enum Combination: String, Codable, Hashable, Sendable, CaseIterable { case sum, min, max, average }

    public init(name: String, match: [String: String] = [:], combine: Combination = .sum) { (self.name, self.match, self.combine) = (name, match, combine) }
}

/// At most one notification for each key in this time.
public enum AlertThrottle: String, Codable, Hashable, Sendable, CaseIterable {
    case asFrequentlyAsPossible = "as frequently as possible", hourly, daily, weekly

    /// Reads also `weekly at most`. nil when it is none of them.
    public init?(text: String) {
        var text = text.lowercased()
        if text.hasSuffix(" at most") { text.removeLast(" at most".count) }
        self.init(rawValue: text)
    }

    /// 0 = no limit.
    public var milliseconds: Int64 {
        switch self {
        case .asFrequentlyAsPossible: 0
        case .hourly: 3_600_000
        case .daily: 86_400_000
        case .weekly: 7 * 86_400_000
        }
    }
}

/// Events that match a pattern go to these deliveries too.
public struct AlertRoute: Codable, Hashable, Sendable {
    public var pattern: JSONValue
    public var notify: [String]
    public init(pattern: JSONValue, notify: [String]) { (self.pattern, self.notify) = (pattern, notify) }
}

/// A condition in words: `below 300000`, `between 1 and 5`.
public struct AlertComparison: Codable, Hashable, Sendable {
    public enum Relation: String, Codable, Hashable, Sendable, CaseIterable {
        case below, above, equals, notEquals = "not equals", between
    }

    public var relation: Relation
    /// One number, or the two of `between`, as they were written, without commas.
    public var numbers: [String]

    /// nil when the text is something else, such as an expression of SQL.
    public init?(_ text: String) {
        var words = text.lowercased().split(whereSeparator: \.isWhitespace).map(String.init)
        if words.first == "is" { words.removeFirst() }
        let relation: Relation
        switch words.first {
        case "below": relation = .below
        case "above": relation = .above
        case "equals", "equal": relation = .equals
        case "between": relation = .between
        case "not":
            words.removeFirst()
            guard ["equals", "equal"].contains(words.first) else { return nil }
            relation = .notEquals
        default: return nil
        }
        words.removeFirst()
        if relation != .between, words.first == "to" { words.removeFirst() }
        if relation == .between {
            guard words.count == 3, words[1] == "and" else { return nil }
            words.remove(at: 1)
        }
        let numbers = words.compactMap(Self.number)
        guard numbers.count == words.count, numbers.count == (relation == .between ? 2 : 1) else { return nil }
        (self.relation, self.numbers) = (relation, numbers)
    }

    /// `300,000` is 300000: commas stand between groups of three digits.
    private static func number(_ word: String) -> String? {
        let groups = word.split(separator: ",", omittingEmptySubsequences: false)
        if groups.count > 1 {
            guard (1...3).contains(groups[0].drop { $0 == "-" }.count), groups.dropFirst().dropLast().allSatisfy({ $0.count == 3 }),
                  groups.last!.prefix(while: { $0 != "." }).count == 3 else { return nil }
        }
        let plain = groups.joined()
        guard plain.allSatisfy({ $0.isASCII && ($0.isNumber || "-+.e".contains($0)) }), let value = Double(plain), value.isFinite else { return nil }
        return plain
    }

    /// As a condition of SQL on an expression.
    public func sql(on operand: String) -> String {
        switch relation {
        case .below: "\(operand) < \(numbers[0])"
        case .above: "\(operand) > \(numbers[0])"
        case .equals: "\(operand) = \(numbers[0])"
        case .notEquals: "\(operand) <> \(numbers[0])"
        case .between: "\(operand) BETWEEN \(numbers[0]) AND \(numbers[1])"
        }
    }

    public func holds(_ value: Double) -> Bool {
        let limits = numbers.compactMap(Double.init)
        return switch relation {
        case .below: value < limits[0]
        case .above: value > limits[0]
        case .equals: value == limits[0]
        case .notEquals: value != limits[0]
        case .between: value >= limits[0] && value <= limits[1]
        }
    }
}
