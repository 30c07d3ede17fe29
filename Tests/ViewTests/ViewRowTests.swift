import Foundation
import StreamCore
import StreamTesting
import Synchronization
import Testing
@testable import ViewConnector

/// What a view holds, whatever happens to its job.
@Suite("rows of a view") struct ViewRowTests {
    private static func json(_ id: String, _ a: Int64, _ b: String) -> String { "{\"id\":\"\(id)\",\"a\":\(a),\"b\":\"\(b)\"}" }

    /// Random updates, deletes, checkpoints, savepoints, crashes and rescalings against a dictionary.
    private func model(_ seed: UInt64, memory: Int?, visibility: String, keys: Int, steps: Int, padding: Int) throws {
        var random = SeededRandom(seed)
        let view = try DrivenView(["view.visibility": visibility], memory: memory)
        var rows: [String: (Int64, String)] = [:], durable = rows, seen = rows
        try view.start(parallelism: Int.random(in: 1...3, using: &random))
        var pending = false
        func check(_ what: String) throws {
            let expected = (visibility == "checkpoint" ? seen : rows)
            let shown = try view.all(page: Int.random(in: 1...40, using: &random))
            let wanted = expected.sorted { $0.key < $1.key }.map { Self.json($0.key, $0.value.0, $0.value.1) }
            #expect(shown == wanted, "seed \(seed), \(what): \(shown.count) rows instead of \(wanted.count)")
            let id = "k\(Int.random(in: 0..<keys, using: &random))"
            #expect(try view.get(id) == expected[id].map { Self.json(id, $0.0, $0.1) }, "seed \(seed), \(what): \(id)")
        }
        for step in 0..<steps {
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<13:
                var batch: [[Value]] = [], kinds: [RowKind] = []
                for _ in 0..<Int.random(in: 1...60, using: &random) {
                    let id = "k\(Int.random(in: 0..<keys, using: &random))"
                    if let old = rows[id] {
                        switch Int.random(in: 0..<4, using: &random) {
                        case 0:
                            batch.append([.string(id), .null, .null])
                            kinds.append(.delete)
                            rows[id] = nil
                            continue
                        case 1:
                            batch.append([.string(id), .int(old.0), .string(old.1)])
                            kinds.append(.updateBefore)
                        default: break
                        }
                    }
                    let a = Int64.random(in: 0..<5, using: &random), b = String(repeating: "x", count: Int.random(in: 0...padding, using: &random))
                    batch.append([.string(id), .int(a), .string(b)])
                    kinds.append(rows[id] == nil ? .insert : .updateAfter)
                    rows[id] = (a, b)
                }
                try view.write(batch, kinds)
            case 13..<16:
                try view.takeCheckpoint(isSavepoint: Bool.random(using: &random), commits: false)
                durable = rows
                pending = true
                if Bool.random(using: &random) { try view.settle() }
                if Bool.random(using: &random) {
                    try view.commit()
                    seen = durable
                    pending = false
                }
            case 16:
                if pending {
                    try view.commit()
                    seen = durable
                    pending = false
                }
            case 17:
                // Pieces that were not written yet are what the checkpoint saw, whatever came after it.
                try view.start(parallelism: Int.random(in: 1...3, using: &random))
                (rows, seen, pending) = (durable, durable, false)
            default: try check("step \(step)")
            }
        }
        try view.takeCheckpoint()
        (durable, seen) = (rows, rows)
        try view.start(parallelism: 2)
        try check("in the end")
        #expect(try view.registry.list()[0].rows == rows.count, "seed \(seed)")
    }

    @Test("random changes, crashes and rescalings against a dictionary, in memory", arguments: ["immediate", "checkpoint"])
    func inMemory(_ visibility: String) throws {
        for seed in 1...12 as ClosedRange<UInt64> { try model(seed, memory: nil, visibility: visibility, keys: 150, steps: 120, padding: 40) }
    }

    @Test("the same with more rows than memory, over RocksDB", arguments: ["immediate", "checkpoint"])
    func onDisk(_ visibility: String) throws {
        for seed in 1...3 as ClosedRange<UInt64> { try model(seed, memory: visibility == "checkpoint" ? 300_000 : 120_000, visibility: visibility, keys: 600, steps: 100, padding: 400) }
    }

    @Test("a view far larger than its memory stays within it, and is exact")
    func large() throws {
        let view = try DrivenView(["view.memory": "16 mb"])
        try view.start()
        let padding = String(repeating: "p", count: 300)
        for start in stride(from: 0, to: 120_000, by: 8_000) {
            try view.write((start..<start + 8_000).map { [.string("key-\($0)"), .int(Int64($0)), .string(padding)] })
        }
        try view.write((0..<4_000).map { [.string("key-\($0 * 30)"), .int(-1), .string("new")] })
        try view.write((0..<4_000).map { [.string("key-\($0 * 30 + 1)"), .null, .null] }, Array(repeating: .delete, count: 4_000))
        let about = try view.registry.list()[0]
        #expect(about.isOnDisk && about.memoryBytes <= 16 << 20 && about.rows == 116_000, "\(about)")
        try view.takeCheckpoint()
        try view.start(parallelism: 3)
        for i in stride(from: 0, to: 120_000, by: 997) {
            let expected: String? = i % 30 == 1 ? nil : i % 30 == 0 ? Self.json("key-\(i)", -1, "new") : Self.json("key-\(i)", Int64(i), padding)
            #expect(try view.get("key-\(i)") == expected)
        }
        #expect(try view.registry.list().map(\.rows) == [116_000])
        #expect(try view.registry.scan("v", limit: 2, after: "key-99998").rows.map(\.key) == ["key-99999"])
    }

    @Test("rows that are not written again go after view.ttl, and come back as others")
    func timeToLive() throws {
        let view = try DrivenView(["view.ttl": "10 s"])
        try view.start()
        try view.put("a", 1)
        try view.put("b", 1)
        view.clock.advance(6_000)
        // The same row again: it lives on.
        try view.put("a", 1)
        view.clock.advance(6_000)
        #expect(try view.get("a") != nil && view.get("b") == nil && view.all().count == 1)
        try view.takeCheckpoint()
        try view.start(parallelism: 2)
        #expect(try view.get("a") != nil && view.get("b") == nil)
        for _ in 0..<40 {
            view.clock.advance(1_000)
            try view.idle()
        }
        #expect(try view.registry.list()[0].rows == 0 && view.all().isEmpty)
        try view.put("b", 2)
        #expect(try view.get("b") == Self.json("b", 2, ""))
    }

    @Test("with visibility checkpoint nothing is seen before the commit")
    func visibility() throws {
        let view = try DrivenView(["view.visibility": "checkpoint"])
        try view.start()
        try view.put("a", 1)
        #expect(try view.get("a") == nil && view.all().isEmpty)
        try view.takeCheckpoint(commits: false)
        try view.put("a", 2)
        try view.put("b", 2)
        #expect(try view.get("a") == nil)
        try view.commit()
        #expect(try view.get("a") == Self.json("a", 1, "") && view.get("b") == nil)
        try view.delete("a")
        #expect(try view.get("a") == Self.json("a", 1, ""))
        try view.takeCheckpoint()
        #expect(try view.all() == [Self.json("b", 2, "")])
    }

    @Test("readers see whole rows while they are written, and versions that only grow")
    func concurrent() throws {
        let view = try DrivenView(memory: 200_000)
        try view.start(parallelism: 2)
        let stop = Atomic<Bool>(false), problems = Mutex<[String]>([]), reads = Atomic<Int>(0), running = Atomic<Int>(3)
        let registry = view.registry
        for thread in 0..<3 {
            Thread.detachNewThread {
                var versions: [String: Int64] = [:], random = SeededRandom(UInt64(thread))
                while !stop.load(ordering: .relaxed) {
                    let id = "k\(Int.random(in: 0..<800, using: &random))"
                    do {
                        if let row = try registry.get("v", key: id), let bytes = row.row {
                            let object = try JSONSerialization.jsonObject(with: Data(bytes)) as! [String: Any]
                            if object["id"] as? String != id || (object["b"] as? String)?.hasPrefix("\(object["a"]!)-") != true { problems.withLock { $0.append("\(object)") } }
                            if row.version < versions[id] ?? 0 { problems.withLock { $0.append("\(id) went back") } }
                            versions[id] = row.version
                        }
                        let page = try registry.scan("v", limit: 20, after: id)
                        if page.rows.map(\.key) != page.rows.map(\.key).sorted() { problems.withLock { $0.append("not in order") } }
                        reads.wrappingAdd(1, ordering: .relaxed)
                    } catch { problems.withLock { $0.append("\(error)") } }
                }
                running.wrappingSubtract(1, ordering: .relaxed)
            }
        }
        var random = SeededRandom(9)
        var round = 0
        while round < 300 || reads.load(ordering: .relaxed) < 500, problems.withLock({ $0.isEmpty }) {
            round += 1
            let rows: [[Value]] = (0..<100).map { _ in
                let a = Int64.random(in: 0..<1_000_000, using: &random)
                return [.string("k\(Int.random(in: 0..<800, using: &random))"), .int(a), .string("\(a)-" + String(repeating: "y", count: Int.random(in: 0..<500, using: &random)))]
            }
            try view.write(rows)
            if round % 20 == 0 { try view.takeCheckpoint() }
        }
        stop.store(true, ordering: .relaxed)
        try eventually("the readers' end") { running.load(ordering: .relaxed) == 0 }
        #expect(problems.withLock { Array($0.prefix(3)) } == [])
    }

    @Test("a table without a key, with a key that no URL can name, or with options that are wrong is refused with what to do")
    func refusals() throws {
        func problem(_ options: [String: String], key: [String], schema: Schema = DrivenView.schema) -> String {
            let table = TableDescriptor(name: "v", schema: schema, primaryKey: key, options: ["connector": "view"].merging(options) { $1 })
            do { try ViewConnector(registry: ViewRegistry()).validate(table) } catch { return "\(error)" }
            return ""
        }
        #expect(problem([:], key: []).contains("PRIMARY KEY"))
        #expect(problem([:], key: ["t"], schema: [Field("t", .array(.int), nullable: false)]).contains("ARRAY<INT>"))
        #expect(problem(["view.memory": "1 mb"], key: ["id"]).contains("'16 mb'"))
        #expect(problem(["view.name": "a/b"], key: ["id"]).contains("view.name"))
        #expect(problem(["view.visibility": "imediate"], key: ["id"]).contains("immediate"))
        #expect(problem(["view.commit.interval": "1 s"], key: ["id"]).contains("visibility"))
        #expect(problem([:], key: ["id"]) == "")
        let view = try DrivenView()
        try view.start()
        let error = #expect(throws: StreamError.self) { try view.write([[.null, .int(1), .null]]) }
        #expect(error?.description.contains("column id") == true)
    }

    @Test("two running jobs cannot have views of one name; one that has ended makes room")
    func names() throws {
        let registry = ViewRegistry(), connector = ViewConnector(registry: registry)
        let table = TableDescriptor(name: "v", schema: DrivenView.schema, primaryKey: ["id"], options: ["connector": "view"])
        func start() throws -> any StatefulSinkWriter {
            let sink = try connector.sink(for: table, timeZone: "UTC")
            _ = try sink.committer(SinkContext())
            let writer = try sink.writer(SinkContext()) as! any StatefulSinkWriter
            try writer.restore(RestoredState())
            return writer
        }
        let first = try start()
        #expect(throws: StreamError.self) { _ = try start() }
        try first.close()
        #expect(try registry.list()[0].state == "ended")
        _ = try start()
        #expect(try registry.list()[0].state == "running")
        #expect(throws: ViewError.self) { try registry.get("w", key: "a") }
        do { _ = try registry.get("vv", key: "a") } catch let error as ViewError { #expect(error.status == 404 && error.description.contains("\"v\"")) }
    }
}
