import Foundation
import StreamCore
import StreamTesting
import Synchronization
import TestScripts
import Testing
import Topology

@testable import Alerts

/// The sink through crashes: what a job came to is written once, whatever happens.
@Suite("alert sink", .serialized) struct SinkTests {
    private static let schema: Schema = [
        Field("region", .string), Field("revenue", .bigint), Field("at", .timestamp(3)), Field(AlertConnector.conditionColumn, .boolean),
    ]

    private static func rule(_ change: (inout AlertRule) -> Void) -> AlertRule {
        var rule = AlertRule(topology: "shop", name: "low", source: .query("SELECT"))
        (rule.key, rule.value, rule.time, rule.condition) = (["region"], "revenue", "at", "below 100")
        rule.deliveries = ["done": AlertDelivery(.command(.init(run: ["true"])))]
        rule.notify = ["done"]
        change(&rule)
        return rule
    }

    private static func table(_ rule: AlertRule, _ folder: Folder) -> TableDescriptor {
        TableDescriptor(name: "alerts", schema: schema, options: ["connector": "alert", "rule": rule.json, "database": folder.database])
    }

    @Test("rows in any order between watermarks, restarts and failures: the same entries and one row in the outbox for each notification", arguments: 0..<6)
    func restarts(seed: Int) throws {
        var random = SeededRandom(UInt64(seed) &+ 5)
        let folder = try Folder(), rule = Self.rule {
            $0.holdsFor = [0, 20_000].randomElement(using: &random)!
            $0.throttle = [.asFrequentlyAsPossible, .hourly].randomElement(using: &random)!
            $0.notifiesResolved = Bool.random(using: &random)
        }
        var steps: [SinkStep] = [], rows: [[Value]] = [], time: Int64 = 0, watermark: Int64 = 0
        for _ in 0..<40 {
            var part: [[Value]] = []
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                time += Int64.random(in: 1...15_000, using: &random)
                let revenue = Int64.random(in: 60...160, using: &random)
                part.append([.string(["north", "south"].randomElement(using: &random)!), .int(revenue), .int(time), .bool(revenue < 100)])
            }
            rows += part
            steps.append(.write(subtask: 0, rows: part.shuffled(using: &random)))
            switch Int.random(in: 0..<8, using: &random) {
            case 0: steps.append(.checkpoint)
            case 1: steps += [.checkpointWithoutCommit, .restart(parallelism: 1)]
            case 2: steps.append(.abortedCheckpoint)
            case 3: steps.append(.restart(parallelism: 1))
            case 4: steps.append(.fail)
            default: break
            }
            if Bool.random(using: &random) {
                watermark = time + 1
                steps.append(.watermark(EventTime(milliseconds: watermark)))
            }
        }
        steps.append(.finish)
        var state = AlertState(), wanted: [AlertEvent] = []
        for row in rows {
            guard case .string(let region) = row[0], case .int(let revenue) = row[1], case .int(let at) = row[2] else { continue }
            state.advance(to: at - 1, rule.policy, into: &wanted)
            try state.observe(AlertObservation(key: region, time: at, holds: revenue < 100, value: "\(revenue)"), rule.policy, into: &wanted)
        }
        state.advance(to: max(time, watermark - 1), rule.policy, into: &wanted)

        let connector = AlertConnector()
        var history = SinkHistory(steps: steps, schema: Self.schema) { _ in try connector.sink(for: Self.table(rule, folder), timeZone: "UTC") }
        history.seed = UInt64(seed)
        try history.run()
        let store = try AlertHistory(path: folder.database)
        let noted: Set<AlertEvent.Kind> = [.firing, .suppressed, .resolved]
        func line(_ kind: String, _ key: String, _ at: Int64, _ value: String?) -> String { "\(at) \(key) \(kind) \(value ?? "-")" }
        let found = try store.entries(topology: "shop", rule: "low", limit: 10_000).filter { noted.map(\.rawValue).contains($0.kind) }
        #expect(found.map { line($0.kind, $0.key, $0.at, $0.value) }.sorted() == wanted.filter { noted.contains($0.kind) }.map { line($0.kind.rawValue, $0.key, $0.time, $0.value) }.sorted(), "seed \(seed)")
        let notifications = wanted.filter { [.notifyFiring, .notifyResolved].contains($0.kind) }
        let outbox = try store.outbox()
        #expect(outbox.map { line("n", $0.key, $0.at, $0.value) }.sorted() == notifications.map { line("n", $0.key, $0.time, $0.value) }.sorted(), "seed \(seed)")
        #expect(!wanted.isEmpty)
        #expect(try store.rules()[0].firing.map(\.key) == state.firing.map(\.key), "seed \(seed)")
    }

    @Test("changes: a row replaced in place goes on, one that is deleted ends its alert, one with another key ends the old")
    func changes() throws {
        let folder = try Folder(), rule = Self.rule {
            $0.time = nil
            $0.notifiesResolved = true
        }
        let sink = try AlertConnector().sink(for: Self.table(rule, folder), timeZone: "UTC")
        let context = SinkContext(isRecoverable: true), committer = try #require(try sink.committer(context)), writer = try sink.writer(context)
        func row(_ region: String, _ revenue: Int64) -> [Value] { [.string(region), .int(revenue), .int(0), .bool(revenue < 100)] }
        func write(_ rows: [(RowKind, [Value])]) throws { try writer.write(Batch(schema: Self.schema, rows: rows.map(\.1), kinds: rows.map(\.0))) }
        try write([(.insert, row("a", 50)), (.insert, row("b", 60)), (.insert, row("c", 200))])
        // The two halves of a change in batches of their own.
        try write([(.updateBefore, row("a", 50))])
        try write([(.updateAfter, row("a", 40)), (.delete, row("b", 60)), (.updateBefore, row("a", 40)), (.updateAfter, row("d", 30))])
        try committer.commit(1, try writer.prepareCommit(1))
        let store = try AlertHistory(path: folder.database)
        #expect(try store.entries(topology: "shop", rule: "low").filter { ["firing", "resolved"].contains($0.kind) }.map { "\($0.key) \($0.kind) \($0.value ?? "-")" }.reversed()
            == ["a firing 50", "b firing 60", "b resolved 60", "a resolved 40", "d firing 30"])
        #expect(try store.rules()[0].firing.map(\.key) == ["d"])
        committer.close()
    }

    @Test("an operator's switch is seen by a job that runs, and on again begins anew")
    func switches() throws {
        let folder = try Folder(), rule = Self.rule { $0.time = nil }
        let sink = try AlertConnector().sink(for: Self.table(rule, folder), timeZone: "UTC")
        let context = SinkContext(isRecoverable: true), committer = try #require(try sink.committer(context)), writer = try sink.writer(context)
        let store = try AlertHistory(path: folder.database)
        var number: UInt64 = 0
        func checkpoint() throws {
            number += 1
            try committer.commit(number, try writer.prepareCommit(number))
        }
        func kinds() throws -> [String] { try store.entries(topology: "shop", rule: "low").map(\.kind).reversed().filter { $0 != "notified" } }
        try writer.write(Batch(schema: Self.schema, rows: [[.string("a"), .int(1), .int(0), .bool(true)]]))
        try checkpoint()
        #expect(try kinds() == ["firing"])
        try store.setEnabled(false, topology: "shop", rule: "low")
        try eventually("the switch", seconds: 3) {
            try checkpoint()
            return try kinds() == ["firing", "disabled"]
        }
        #expect(try store.rules()[0].state == "disabled" && store.rules()[0].firing.isEmpty)
        try writer.write(Batch(schema: Self.schema, rows: [[.string("b"), .int(1), .int(0), .bool(true)]]))
        try checkpoint()
        #expect(try kinds() == ["firing", "disabled"])
        try store.setEnabled(true, topology: "shop", rule: "low")
        try eventually("the switch back", seconds: 3) {
            try checkpoint()
            return try kinds() == ["firing", "disabled", "firing", "firing"]
        }
        #expect(try store.rules()[0].firing.map(\.key) == ["a", "b"])
        #expect(throws: StreamError.self) { try store.setEnabled(true, topology: "shop", rule: "lwo") }
        committer.close()
    }

    @Test("a job that is killed and goes on from its checkpoint neither repeats nor loses a notification")
    func kills() throws {
        let folder = try Folder(), receiver = try Receiver(folder)
        defer { receiver.end() }
        try FileManager.default.createDirectory(atPath: folder.path + "/in", withIntermediateDirectories: true)
        let topology = try Jobs.topology("""
            name: killed
            settings: {alerts.database: "\(folder.database)", checkpoint: {interval: 50 ms}}
            tables:
              revenue:
                columns: {at: TIMESTAMP(3), region: STRING, revenue: BIGINT}
                watermark: {column: at, delay: 0 s}
                with: {connector: filesystem, path: "\(folder.path)/in", format: json, source.monitor-interval: 50 ms}
              seen:
                columns: {region: STRING, n: BIGINT}
                with: {connector: blackhole}
            notifications:
              hook: {webhook: {url: "\(receiver.url)/hook"}}
            pipeline:
              - {name: counted, sql: "SELECT region, COUNT(*) AS n FROM revenue GROUP BY region", into: seen}
            alerts:
              - {name: low, query: SELECT * FROM revenue, key: region, time: at, value: revenue, condition: below 100, resolve: true, notify: hook}
            """)
        func line(_ minute: Int, _ region: String, _ revenue: Int) -> String { "{\"at\":\"2024-05-04 10:\(minute < 10 ? "0" : "")\(minute):00\",\"region\":\"\(region)\",\"revenue\":\(revenue)}\n" }
        func count() throws -> Int { try receiver.received("http", path: "/hook").count }
        var job: RunningJob? = try RunningJob(Jobs.graph(topology), checkpoints: folder.path + "/checkpoints")
        var minute = 0, wanted = 0
        for round in 0..<6 {
            // Down and up again, and the start of the next dip, which fires at once and is resolved after the kill.
            var text = ""
            for (region, revenue) in [("n", 50), ("s", 60), ("n", 200), ("s", 70), ("n", 40)] {
                text += line(minute, region, revenue)
                minute += 1
            }
            text += line(minute, "n", 300) + line(minute, "s", 300)
            minute += 1
            text += line(minute, "quiet", 500)
            minute += 1
            wanted += 6
            try folder.write("round-\(round).tmp", text)
            try FileManager.default.moveItem(atPath: folder.path + "/round-\(round).tmp", toPath: folder.path + "/in/round-\(round).json")
            if round % 2 == 0 {
                let checkpoints = job?.checkpoints ?? 0
                try eventually("a checkpoint") { job?.checkpoints ?? 0 > checkpoints }
            } else {
                try eventually("the round's notifications") { try count() >= wanted - 1 }
            }
            try job?.kill()
            job = nil
            // The ended job lets go of its checkpoints when the last of its threads does.
            try eventually("the next start") {
                do { job = try RunningJob(Jobs.graph(topology), checkpoints: folder.path + "/checkpoints") } catch let error as StreamError where error.code == .conflict { return false }
                return true
            }
        }
        try eventually("all notifications") { try count() >= wanted }
        let checkpoints = job?.checkpoints ?? 0
        try eventually("more checkpoints") { job?.checkpoints ?? 0 > checkpoints + 3 }
        try job?.stop()
        let received = try receiver.received("http", path: "/hook"), ids = received.map { $0["id"] as! String }
        // A kill within a delivery may repeat it, with the same id.
        #expect(Set(ids).count == wanted && ids.count <= wanted + 6, "\(ids.count) of \(wanted)")
        let store = try AlertHistory(path: folder.database), outbox = try store.outbox()
        #expect(outbox.count == wanted && outbox.allSatisfy { $0.state == "delivered" })
        #expect(try store.entries(topology: "killed", rule: "low").count { $0.kind == "firing" } == wanted / 2)
    }
}

extension AlertHistory {
    struct Sent { var id: String, key: String, at: Int64, value: String?, state: String }

    func outbox() throws -> [Sent] {
        try read { db in
            try GRDBRow.fetchAll(db, sql: "SELECT id, key, at, value, state FROM outbox").map { Sent(id: $0["id"], key: $0["key"], at: $0["at"], value: $0["value"], state: $0["state"]) }
        }
    }
}
