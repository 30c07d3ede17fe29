import Foundation
import GRDB
import StreamCore
import Synchronization
import Testing

@testable import Alerts

typealias GRDBRow = GRDB.Row

@Suite("alert history") struct HistoryTests {
    private static func host(_ clock: Mutex<Int64>.Box) -> StreamCore.Host {
        var host = StreamCore.Host.system
        host.now = { clock.now }
        return host
    }

    private static func rule(_ name: String = "low", retention: Int64 = AlertRule.defaultRetention) -> AlertRule {
        var rule = AlertRule(topology: "shop", name: name, source: .query("SELECT 1"))
        (rule.condition, rule.retention) = ("below 3", retention)
        rule.deliveries["d"] = AlertDelivery(.command(.init(run: ["true"])))
        return rule
    }

    private static func record(_ n: Int, _ kind: AlertEvent.Kind = .firing) -> AlertHistory.Record {
        AlertHistory.Record(name: "x-\(n)-\(kind.rawValue)", event: AlertEvent(kind: kind, key: "k\(n)", time: Int64(n), since: 0, episode: n), notification: .object([:]), deliveries: ["d"])
    }

    @Test("is kept for ninety days, or as long as the rule says")
    func prunes() throws {
        let folder = try Folder(), clock = Mutex<Int64>.Box(1_700_000_000_000), history = try AlertHistory(path: folder.database, host: Self.host(clock))
        try history.register(Self.rule())
        try history.register(Self.rule("short", retention: 3_600_000))
        for rule in ["low", "short", "gone"] { try history.append([Self.record(rule.count), Self.record(rule.count, .notifyFiring)], topology: "shop", rule: rule) }
        func counts() throws -> [Int] { try ["low", "short", "gone"].map { try history.entries(topology: "shop", rule: $0).count } }
        clock.now += 3_600_001
        try history.prune()
        #expect(try counts() == [1, 0, 1])
        clock.now += 90 * 86_400_000 - 3_600_001
        try history.prune()
        #expect(try counts() == [1, 0, 1])
        clock.now += 1
        try history.prune()
        #expect(try counts() == [0, 0, 0])
        // What waits is not old, it is late; of rules that are gone nobody would deliver it.
        #expect(try history.outbox().map(\.id) == ["x-3-notify-firing/d", "x-5-notify-firing/d"])
    }

    @Test("an operator's switch outlives deployments, until the definition itself changes its mind")
    func definitions() throws {
        let folder = try Folder(), history = try AlertHistory(path: folder.database)
        var rule = Self.rule()
        try history.replaceRules(of: "shop", with: [rule, Self.rule("other")])
        try history.setEnabled(false, topology: "shop", rule: "low")
        rule.severity = "high"
        try history.replaceRules(of: "shop", with: [rule])
        #expect(try history.rules().map(\.name) == ["low"] && history.rules()[0].enabled == false && history.rules()[0].severity == "high")
        rule.isEnabled = false
        try history.register(rule)
        rule.isEnabled = true
        try history.register(rule)
        #expect(try history.isEnabled(topology: "shop", rule: "low") == true && history.isEnabled(topology: "shop", rule: "other") == nil)
        let status = try #require(try history.rules(topology: "shop", rule: "low").first)
        let json = try JSONValue(json: String(decoding: try JSONEncoder().encode(status), as: UTF8.self))
        #expect(json["enabled"] == .bool(true) && json["state"] == .string("inactive") && json["condition"] == .string("below 3"))
    }

    @Test("several connections write side by side, and what is written twice is there once")
    func concurrent() throws {
        let folder = try Folder()
        let histories = try (0..<3).map { _ in try AlertHistory(path: folder.database) }
        try histories[0].register(Self.rule())
        let problems = Mutex<[String]>([]), done = DispatchSemaphore(value: 0)
        for history in histories {
            Thread.detachNewThread {
                for n in 0..<40 {
                    do { try history.append([Self.record(n), Self.record(n, .notifyFiring)], topology: "shop", rule: "low") } catch { problems.withLock { $0.append("\(error)") } }
                }
                done.signal()
            }
        }
        for _ in histories { done.wait() }
        #expect(problems.withLock { $0 } == [])
        #expect(try histories[1].entries(topology: "shop", rule: "low").count == 40 && histories[2].outbox().count == 40)
        let first = try histories[0].entries(topology: "shop", rule: "low", limit: 5)
        #expect(try first.count == 5 && histories[0].entries(topology: "shop", rule: "low", limit: 5, before: first.last!.id).first!.id == first.last!.id - 1)
        let mode = try FileManager.default.attributesOfItem(atPath: folder.database)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test("damaged and foreign files are named")
    func damaged() throws {
        let folder = try Folder(), path = try folder.write("bad.sqlite", String(repeating: "no database ", count: 500))
        #expect { try AlertHistory(path: path) } throws: { "\($0)".contains("bad.sqlite is damaged") }
    }
}

extension Mutex where Value == Int64 {
    /// A clock that tests move.
    final class Box: Sendable {
        private let time: Mutex<Int64>
        init(_ start: Int64) { time = Mutex<Int64>(start) }
        var now: Int64 {
            get { time.withLock { $0 } }
            set { time.withLock { $0 = newValue } }
        }
    }
}

@Suite("alerts over metrics") struct EvaluatorTests {
    private static func rule(_ metric: AlertMetric, _ condition: String, _ change: (inout AlertRule) -> Void = { _ in }) -> AlertRule {
        var rule = AlertRule(topology: "shop", name: "metric", source: .metric(metric))
        (rule.condition, rule.comparison) = (condition, AlertComparison(condition))
        rule.deliveries["d"] = AlertDelivery(.command(.init(run: ["true"])))
        rule.notify = ["d"]
        change(&rule)
        return rule
    }

    private func lines(_ folder: Folder) throws -> [String] {
        try AlertHistory(path: folder.database).entries(topology: "shop", rule: "metric").reversed().filter { $0.kind != "notified" }.map { "\($0.at) \($0.key) \($0.kind) \($0.value ?? "-")" }
    }

    @Test("labels tell instances apart, a minute below fires, and another process goes on where the first ended")
    func evaluates() throws {
        let folder = try Folder()
        let rule = Self.rule(AlertMetric(name: "numRecordsInPerSecond", match: ["operator": "Source:*"]), "below 10") {
            $0.holdsFor = 60_000
            $0.key = ["operator"]
        }
        func samples(_ a: [Double], _ b: Double?) -> [MetricSample] {
            a.enumerated().map { MetricSample(name: "numRecordsInPerSecond", labels: ["operator": "Source: a", "subtask": "\($0.offset)"], value: $0.element) }
                + (b.map { [MetricSample(name: "numRecordsInPerSecond", labels: ["operator": "Source: b"], value: $0)] } ?? [])
                + [MetricSample(name: "numRecordsInPerSecond", labels: ["operator": "Sink"], value: 0), MetricSample(name: "other", labels: ["operator": "Source: a"], value: 0)]
        }
        var evaluator = try AlertEvaluator(rules: [rule], database: folder.database)
        for t in stride(from: Int64(0), to: 50_000, by: 1_000) { try evaluator.observe(samples: samples([3, 4], t < 30_000 ? 5 : 50), at: t) }
        #expect(try lines(folder) == [])
        // The condition is pending since 0: a new process knows.
        evaluator = try AlertEvaluator(rules: [rule], database: folder.database)
        for t in stride(from: Int64(50_000), to: 90_000, by: 1_000) { try evaluator.observe(samples: samples([3, 4], 50), at: t) }
        #expect(try lines(folder) == ["60000 operator=Source: a firing 7"])
        // Nothing more is seen of it: it is over.
        try evaluator.observe(samples: [], at: 91_000)
        #expect(try lines(folder).last == "91000 operator=Source: a resolved 7")
        for t in [100_000, 160_000] { try evaluator.observe(samples: samples([Double.nan], 1), at: Int64(t)) }
        #expect(try lines(folder).last == "160000 operator=Source: b firing 1" && lines(folder).count == 3)
        let store = try AlertHistory(path: folder.database)
        try store.setEnabled(false, topology: "shop", rule: "metric")
        try evaluator.observe(samples: samples([1], 1), at: 161_000)
        #expect(try lines(folder).last == "161000 operator=Source: b disabled 1")
        evaluator.drain()
        try eventually("deliveries") { try store.rules()[0].waiting == 0 }
        #expect(try Set(store.outbox().map(\.id)).count == 2)
    }

    @Test("samples with the same key are combined")
    func combines() throws {
        for (combine, wanted) in [(AlertMetric.Combination.sum, "6"), (.min, "1"), (.max, "3"), (.average, "2")] {
            let folder = try Folder(), evaluator = try AlertEvaluator(rules: [Self.rule(AlertMetric(name: "m", combine: combine), "above 0") { $0.key = ["job"] }], database: folder.database)
            try evaluator.observe(samples: [1, 2, 3].map { MetricSample(name: "m", labels: ["job": "j", "subtask": "\($0)"], value: $0) }, at: 5)
            #expect(try lines(folder) == ["5 job=j firing \(wanted)"])
            evaluator.drain()
        }
    }
}
