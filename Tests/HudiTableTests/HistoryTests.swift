import Foundation
import LakeTable
import StreamCore
import Testing

@testable import HudiTable

/// A table that random commits change, beside a dictionary that is changed in the same way.
final class RandomHistory {
    struct Row: Equatable {
        var city: String, amount: Int64, note: String?
    }

    static let schema = [Field("id", .int), Field("city", .string), Field("amount", .bigint), Field("note", .string)]
    let table: TestTable
    var random: SeededGenerator
    /// The rows after each commit, and when each of them was written, by the commit's instant; oldest first.
    private(set) var states: [(instant: String, rows: [Int64: Row], written: [Int64: String])] = []
    private let cities = ["oslo", "lima", "rome"]

    init(_ path: String, seed: UInt64, options: [String: String] = [:]) {
        table = TestTable(path, schema: Self.schema, key: ["id"], partitions: ["city"], options: options)
        random = SeededGenerator(seed)
    }

    /// One commit of any kind.
    func step() throws {
        guard let state = states.last, !state.rows.isEmpty else { return try commit(changes: 30) }
        switch Int.random(in: 0..<10, using: &random) {
        case 0:
            _ = try TableMaintenance(table.descriptor.options["path"]!).cluster()
            try note(state.rows, state.written, [])
        case 1:
            // A partition gets other rows, some of them with keys that it had.
            let city = cities.randomElement(using: &random)!
            var rows = state.rows.filter { $0.value.city != city }
            let keys = state.rows.filter { $0.value.city == city }.keys.sorted().prefix(3) + (0..<4).map { 10_000 + Int64(states.count * 10 + $0) }
            for id in keys { rows[id] = Row(city: city, amount: Int64.random(in: 0..<1_000, using: &random), note: "overwritten") }
            let other = operation("insert_overwrite")
            let sink = try other.sink(), writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
            try writer.write(other.batch(keys.map { Self.values($0, rows[$0]!) }))
            try writer.finish()
            try committer.commit(1, try writer.prepareCommit(1))
            try writer.close()
            committer.close()
            try note(rows, state.written, Array(keys))
        case 2:
            let city = state.rows.values.map(\.city).sorted().randomElement(using: &random)!
            _ = try TableMaintenance(table.descriptor.options["path"]!).removePartitions([city])
            try note(state.rows.filter { $0.value.city != city }, state.written, [])
        default: try commit(changes: 30)
        }
    }

    private func operation(_ name: String) -> TestTable {
        var other = table
        other.descriptor.options["write.operation"] = name
        return other
    }

    /// Keeps what the table is after its newest commit, if that is a new one.
    private func note(_ rows: [Int64: Row], _ before: [Int64: String], _ touched: [Int64]) throws {
        guard let instant = try TableHistory(try files, try properties()!).writes.last?.time, instant != states.last?.instant else { return }
        var written = before.filter { rows[$0.key] != nil }
        for id in touched { written[id] = rows[id] == nil ? nil : instant }
        states.append((instant, rows, written))
    }

    var files: TableFiles { get throws { try TableFiles(path: table.descriptor.options["path"]!) } }

    /// Inserts, updates, deletes and moves between partitions, all in one commit.
    func commit(changes: Int) throws {
        var rows = states.last?.rows ?? [:]
        var batch: [[Value]] = [], kinds: [RowKind] = [], touched: Set<Int64> = []
        for _ in 0..<changes {
            let id = Int64.random(in: 0..<Int64(max(20, changes * 3)), using: &random)
            guard touched.insert(id).inserted else { continue }
            if let row = rows[id], Int.random(in: 0..<4, using: &random) == 0 {
                batch.append(Self.values(id, row))
                kinds.append(.delete)
                rows[id] = nil
            } else {
                var row = rows[id] ?? Row(city: cities.randomElement(using: &random)!, amount: 0, note: nil)
                if Int.random(in: 0..<5, using: &random) == 0 { row.city = cities.randomElement(using: &random)! }
                row.amount = Int64.random(in: 0..<1_000, using: &random)
                row.note = Bool.random(using: &random) ? nil : "note \(row.amount)"
                batch.append(Self.values(id, row))
                kinds.append(rows[id] == nil ? .insert : .updateAfter)
                rows[id] = row
            }
        }
        try table.commit(batch, kinds: kinds)
        try note(rows, states.last?.written ?? [:], Array(touched))
    }

    func properties() throws -> TableProperties? { try TableProperties.load(try files) }

    static func values(_ id: Int64, _ row: Row) -> [Value] {
        [.int(id), .string(row.city), .int(row.amount), row.note.map { .string($0) } ?? .null]
    }

    static func canonical(_ rows: [Int64: Row]) -> [String] { rows.map { values($0, $1) }.canonical }

    /// What is read with these options.
    func read(_ options: [String: String]) throws -> [[Value]] {
        var table = table
        table.descriptor.options.merge(options) { $1 }
        try table.connector.validate(table.descriptor)
        return try table.read()
    }

    /// The rows that a window (after, until] has, as `until` left them.
    func window(_ after: Int, _ until: Int) -> [Int64: Row] {
        let (a, b) = (states[after].instant, states[until])
        return b.rows.filter { id, _ in b.written[id]! > a }
    }
}

@Suite("Hudi history") struct HistoryTests {
    private func judge(_ path: String, _ requests: [[String: String]], folder: String) throws -> [[String]] {
        let file = folder + "/requests.json"
        try JSONSerialization.data(withJSONObject: requests).write(to: URL(fileURLWithPath: file))
        let result = try Python.run([Python.packageRoot + "/Tests/Support/hudi/read_history.py", path, file])
        guard result.status == 0 else { throw StreamError(.runtime, "read_history.py: \(result.errors)") }
        return try result.output.split(separator: "\n").map { line in
            let rows = try JSONSerialization.jsonObject(with: Data(line.utf8)) as! [[Any]]
            return rows.map { row -> [Value] in
                [.int((row[0] as! NSNumber).int64Value), .string(row[1] as! String), .int((row[2] as! NSNumber).int64Value), (row[3] as? String).map { .string($0) } ?? .null]
            }.canonical
        }
    }

    @Test("every instant and every window of a random history reads as the model and as hudi-rs do", arguments: [(1, 6), (2, 6), (3, 8), (4, 9)] as [(UInt64, Int)])
    func random(seed: UInt64, version: Int) throws {
        let folder = try TemporaryFolder(), path = folder.path + "/table"
        print("random history: seed \(seed), version \(version)")
        // Inserts fill small files, or always make new ones, which leaves something to cluster.
        let options = [HudiOption.tableVersion: String(version)].merging(seed % 2 == 0 ? [HudiOption.smallFileLimit: "1"] : [:]) { a, _ in a }
        let history = RandomHistory(path, seed: seed, options: options)
        for _ in 0..<15 { try history.step() }
        let known = try TableHistory(try history.files, try history.properties()!)
        var requests: [[String: String]] = [], ours: [[String]] = []
        for state in history.states {
            requests.append(["asOf": known.moment(state.instant)])
            ours.append(try history.read([ReadOption.asOf: state.instant]).canonical)
            #expect(ours.last == RandomHistory.canonical(state.rows), "as of \(state.instant)")
        }
        for _ in 0..<20 {
            let a = Int.random(in: 0..<history.states.count - 1, using: &history.random), b = Int.random(in: a + 1..<history.states.count, using: &history.random)
            requests.append(["after": known.moment(history.states[a].instant), "until": known.moment(history.states[b].instant)])
            ours.append(try history.read([ReadOption.start: history.states[a].instant, ReadOption.end: history.states[b].instant]).canonical)
            #expect(ours.last == RandomHistory.canonical(history.window(a, b)), "from \(a) to \(b)")
        }
        let judged = try judge(path, requests, folder: folder.path)
        for (i, request) in requests.enumerated() { #expect(judged[i] == ours[i], "\(request)") }
        #expect(try history.read([ReadOption.start: "earliest"]).canonical == RandomHistory.canonical(history.states.last!.rows))
        #expect(try history.read([ReadOption.start: "latest"]).isEmpty)
        #expect(try history.read([ReadOption.asOf: "2000-01-01"]).isEmpty)
    }

    @Test("what cleaning took away is told, with the earliest instant that can be read") func cleaned() throws {
        let folder = try TemporaryFolder(), path = folder.path + "/table"
        let history = RandomHistory(path, seed: 7, options: [HudiOption.retainCommits: "3"])
        for _ in 0..<10 { try history.commit(changes: 30) }
        var readable: [Int] = []
        for (i, state) in history.states.enumerated() {
            do {
                #expect(try history.read([ReadOption.asOf: state.instant]).canonical == RandomHistory.canonical(state.rows))
                readable.append(i)
            } catch let error as StreamError {
                #expect("\(error)".contains("cleaning has removed") && "\(error)".contains("read as of "), "\(error)")
            }
        }
        // The instant that the message names is the first of those that can be read until the end.
        #expect(readable.suffix(3) == [7, 8, 9] && readable.count < 10, "\(readable)")
        let error = #expect(throws: StreamError.self) { try history.read([ReadOption.asOf: history.states[0].instant]) }
        let first = history.states[readable.last { !readable.contains($0 - 1) }!].instant
        #expect("\(try #require(error))".contains("read as of \(first)"), "\(error!), readable \(readable)")
    }

    @Test("a stream of changes equals the model after every commit, whatever the restarts", arguments: [1, 2, 3, 4] as [UInt64])
    func stream(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        print("stream of changes: seed \(seed)")
        let options = [HudiOption.tableVersion: ["6", "8", "9"][Int(seed) % 3]].merging(seed % 2 == 0 ? [HudiOption.smallFileLimit: "1"] : [:]) { a, _ in a }
        let history = RandomHistory(folder.path + "/table", seed: seed, options: options)
        for start in ["", "earliest"] {
            for changelog in ["all", "upsert"] where start.isEmpty || changelog == "all" {
                if history.states.isEmpty { for _ in 0..<3 { try history.commit(changes: 40) } }
                var descriptor = history.table.descriptor
                descriptor.options[ReadOption.streaming] = "true"
                descriptor.options[ReadOption.changelog] = changelog
                descriptor.options[ReadOption.streamingStart] = start.isEmpty ? nil : start
                let source = try history.table.connector.source(for: descriptor, scan: ScanRequest(projection: Array(descriptor.schema.indices)))
                #expect(!source.isBounded && source.parallelism == 1)
                var reader = try source.reader(for: try source.splits()[0], metrics: OperatorMetrics()), rows: [Int64: RandomHistory.Row] = [:]
                var bag: [[Value]: Int] = [:]
                func readAll() throws {
                    while true {
                        switch try reader.next(maxRows: Int.random(in: 1...20, using: &history.random)) {
                        case .waiting(let pause):
                            if pause > .zero { return }
                        case .endOfSplit: Issue.record("the stream ended"); return
                        case .batch(let batch):
                            for (i, row) in batch.rows().enumerated() {
                                guard case .int(let id) = row[0], case .string(let city) = row[1], case .int(let amount) = row[2] else { continue }
                                var note: String?
                                if case .string(let text) = row[3] { note = text }
                                let value = RandomHistory.Row(city: city, amount: amount, note: note), kind = batch.kind(atPhysical: batch.row(i))
                                switch kind {
                                case .insert where changelog == "all":
                                    #expect(rows[id] == nil, "+I \(row)")
                                    rows[id] = value
                                case .insert, .updateAfter: rows[id] = value
                                case .updateBefore, .delete:
                                    #expect(rows[id] == value, "\(kind) \(row)")
                                    rows[id] = nil
                                }
                                if changelog == "all" { bag[row, default: 0] += kind.isAdd ? 1 : -1 }
                            }
                        }
                        // A crash: reading goes on from the position.
                        if Int.random(in: 0..<15, using: &history.random) == 0 {
                            let position = reader.position
                            reader.close()
                            reader = try source.reader(for: SourceSplit(id: "changes", position: position), metrics: OperatorMetrics())
                        }
                    }
                }
                try readAll()
                #expect(rows == history.states.last!.rows)
                for _ in 0..<5 {
                    try history.step()
                    try readAll()
                    #expect(rows == history.states.last!.rows, "after \(history.states.last!.instant), \(changelog), start '\(start)'")
                    #expect(bag.values.allSatisfy { $0 == 0 || $0 == 1 })
                }
            }
        }
    }

    @Test("the changes of a commit that cleaning has overtaken are an error, not a gap") func overtaken() throws {
        let folder = try TemporaryFolder()
        let history = RandomHistory(folder.path + "/table", seed: 5, options: [HudiOption.retainCommits: "1"])
        try history.commit(changes: 60)
        var descriptor = history.table.descriptor
        descriptor.options[ReadOption.streaming] = "true"
        let source = try history.table.connector.source(for: descriptor, scan: ScanRequest(projection: [0]))
        var reader = try source.reader(for: SourceSplit(id: "changes"), metrics: OperatorMetrics())
        func drain() throws {
            while true {
                if case .waiting(let pause) = try reader.next(maxRows: 1_000), pause > .zero { return }
            }
        }
        try drain()
        let position = reader.position
        for _ in 0..<4 { try history.commit(changes: 60) }
        reader = try source.reader(for: SourceSplit(id: "changes", position: position), metrics: OperatorMetrics())
        let error = #expect(throws: StreamError.self) { try drain() }
        #expect("\(try #require(error))".contains("clean.retain_commits"), "\(error!)")
    }
}
