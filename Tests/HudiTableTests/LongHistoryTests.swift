import Foundation
import LakeTable
import StreamCore
import Testing

@testable import HudiTable

/// Everything that can happen to a table, in one history: inserts, updates, deletes, moves between partitions, new and widened columns,
/// writers that die at any step, cleans, clusterings, overwrites and dropped partitions. After each step the table equals a
/// dictionary, and so do all instants that can be read and random windows between them.
///
/// SWIFTWATER_HISTORY_STEPS = steps of each history (default 60), SWIFTWATER_HISTORY_SEEDS = how many histories (default 3).
@Suite("Long Hudi histories") struct LongHistoryTests {
    private static func setting(_ name: String, _ fallback: Int) -> Int { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? fallback }
    static let seeds = (1...max(1, setting("SWIFTWATER_HISTORY_SEEDS", 3))).map { UInt64($0) }
    static let steps = setting("SWIFTWATER_HISTORY_STEPS", 60)

    /// A table beside its model.
    final class History {
        struct State {
            var instant: String
            var schema: Schema
            /// By id; values by column.
            var rows: [Int64: [String: Value]]
            /// When each row was written last.
            var written: [Int64: String]
        }

        let path: String
        var random: SeededGenerator
        let options: [String: String]
        static let firstSchema = [Field("id", .bigint), Field("city", .string), Field("amount", .int), Field("note", .string)]
        var schema = firstSchema
        var states: [State] = []
        var deaths = 0, dead: [WriteStep] = []
        private let cities = ["oslo", "lima", "a b", "rome"]

        init(_ path: String, seed: UInt64) {
            self.path = path
            random = SeededGenerator(seed)
            options = [
                HudiOption.tableVersion: ["6", "8", "9"][Int(seed % 3)], HudiOption.retainCommits: "12", HudiOption.hiveStyle: "true",
                HudiOption.maxFileSize: "12 kb", HudiOption.smallFileLimit: seed % 2 == 0 ? "8 kb" : "1", HudiOption.globalIndex: "true",
            ]
        }

        func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }

        func table(_ operation: String = "upsert", _ schema: Schema? = nil, _ more: [String: String] = [:]) -> TestTable {
            TestTable(path, schema: schema ?? self.schema, key: ["id"], partitions: ["city"],
                      options: options.merging(more) { $1 }.merging(["write.operation": operation]) { $1 })
        }

        var rows: [Int64: [String: Value]] { states.last?.rows ?? [:] }

        static func values(_ schema: Schema, _ rows: [Int64: [String: Value]]) -> [[Value]] {
            rows.values.map { row in
                schema.map { field in
                    // A whole number reads as what its column has become.
                    if field.type == .double, case .int(let n)? = row[field.name] { return .double(Double(n)) }
                    return row[field.name] ?? .null
                }
            }
        }

        private func value(_ field: Field) -> Value {
            if below(5) == 0 { return .null }
            switch field.type {
            case .int: return .int(Int64(below(1_000)))
            case .bigint: return .int(Int64(bitPattern: random.next()))
            case .double: return .double(Double(below(1_000)) / 4)
            case .date: return .int(Int64(below(20_000)))
            case .boolean: return .bool(below(2) == 0)
            default: return .string("text \(below(500))")
            }
        }

        private func fresh(_ id: Int64, _ city: String? = nil) -> [String: Value] {
            var row: [String: Value] = ["id": .int(id), "city": .string(city ?? cities[below(4)])]
            for field in schema.dropFirst(2) { row[field.name] = value(field) }
            return row
        }

        /// Changes of random keys, with what they make of the model.
        private func changes(_ n: Int) -> (batch: [[Value]], kinds: [RowKind], rows: [Int64: [String: Value]], touched: [Int64]) {
            var after = rows, batch: [[Value]] = [], kinds: [RowKind] = [], touched: Set<Int64> = []
            for _ in 0..<n {
                let id = Int64(below(150))
                guard touched.insert(id).inserted else { continue }
                if let row = after[id], below(4) == 0 {
                    batch.append(Self.values(schema, [id: row])[0])
                    kinds.append(.delete)
                    after[id] = nil
                } else {
                    var row = fresh(id)
                    if let known = after[id], below(4) != 0 { row["city"] = known["city"] }
                    kinds.append(after[id] == nil ? .insert : .updateAfter)
                    after[id] = row
                    batch.append(Self.values(schema, [id: row])[0])
                }
            }
            return (batch, kinds, after, Array(touched))
        }

        /// Keeps what the table is, when a new commit has made it so.
        private func note(_ after: [Int64: [String: Value]], _ touched: [Int64]) throws {
            guard let properties = try TableProperties.load(try TableFiles(path: path)) else { return }
            let newest = try TableHistory(try TableFiles(path: path), properties).writes.last?.time
            guard let newest, newest != states.last?.instant else { return }
            var written = (states.last?.written ?? [:]).filter { after[$0.key] != nil }
            for id in touched where after[id] != nil { written[id] = newest }
            states.append(State(instant: newest, schema: schema, rows: after, written: written))
        }

        /// What a writer that died had begun: it might still come back, so that maintenance asks for a decision.
        private func giveUpPending() throws {
            for entry in try HudiTable.open(path).timeline where entry.state != "completed" && ["commit", "replacecommit", "clustering"].contains(entry.action) {
                _ = try TableMaintenance(path).rollback(entry.instant)
            }
        }

        func step() throws -> String {
            switch states.isEmpty ? 0 : below(14) {
            case 0...4:
                let change = changes(1 + below(40))
                try table().commit(change.batch, kinds: change.kinds)
                try note(change.rows, change.touched)
                return "commit"
            case 5...7:
                let steps = RecoveryTests.writeSteps + [.cleanRequested, .cleanInflight, .cleanFilesDeleted, .rollbackRequested, .rollbackInflight, .rollbackFilesDeleted]
                let step = steps[below(steps.count)], change = changes(1 + below(40)), death = RecoveryTests.Death(at: step, count: 1 + below(2))
                var table = table()
                table.connector = HudiConnector(reached: {
                    try death.stayDead()
                    try death.reached($0)
                })
                do { try table.commit(change.batch, kinds: change.kinds) } catch is RecoveryTests.Death.Error {
                    deaths += 1
                    dead.append(step)
                }
                try note(change.rows, change.touched)
                return "death at \(step)"
            case 8:
                if schema.count < 12, below(3) != 0 {
                    let types: [DataType] = [.bigint, .string, .double, .date, .boolean, .int]
                    schema.insert(Field("c\(schema.count)", types[below(types.count)]), at: 2 + below(schema.count - 1))
                } else if let at = schema.firstIndex(where: { $0.type == .int }) {
                    schema[at] = Field(schema[at].name, below(2) == 0 ? .bigint : .double)
                }
                let change = changes(1 + below(10))
                try table().commit(change.batch, kinds: change.kinds)
                try note(change.rows, change.touched)
                return "columns"
            case 9:
                let city = cities[below(4)]
                var after = rows.filter { $0.value["city"] != .string(city) }
                let ids = rows.keys.filter { rows[$0]!["city"] == .string(city) }.sorted().prefix(5) + (0..<4).map { 1_000 + Int64(states.count * 10 + $0) }
                for id in ids { after[id] = fresh(id, city) }
                try OperationTests.run(table("insert_overwrite"), [Self.values(schema, after.filter { ids.contains($0.key) })])
                try note(after, Array(ids))
                return "overwrite"
            case 10:
                try giveUpPending()
                let city = cities[below(4)]
                _ = try TableMaintenance(path).removePartitions(["city=\(city)"])
                try note(rows.filter { $0.value["city"] != .string(city) }, [])
                return "drop partition"
            case 11, 12:
                try giveUpPending()
                _ = try TableMaintenance(path).cluster(targetBytes: 16 << 10, smallFileBytes: 10 << 10, sortColumns: below(2) == 0 ? ["amount"] : [])
                try note(rows, [])
                return "cluster"
            default:
                _ = try TableMaintenance(path).clean(.commits(4 + below(8)))
                return "clean"
            }
        }
    }

    @Test("a table equals a dictionary after every commit, at every retained instant and in every window", arguments: seeds)
    func history(seed: UInt64) throws {
        let folder = try TemporaryFolder(), path = folder.path + "/table", history = History(path, seed: seed)
        print("long history: seed \(seed), \(Self.steps) steps")
        for turn in 0..<Self.steps {
            let what = try history.step()
            let label = "seed \(seed), turn \(turn): \(what)"
            guard !history.states.isEmpty else { continue }
            // Read with the columns that the table has got so far; a writer that died may not have added its own.
            let stored = history.states.last!.schema
            #expect(try history.table(schema: stored).read().canonical == History.values(stored, history.rows).canonical, "\(label)")
            if turn % 10 == 9 || turn == Self.steps - 1 { try past(history, label) }
        }
        try expectSound(path, rows: history.rows.count, key: "id", globalKeys: true)
        #expect(Self.steps < 60 || history.deaths > 0 && history.schema != History.firstSchema)
    }

    /// Instants and windows that can still be read.
    private func past(_ history: History, _ label: String) throws {
        // Columns of then, in the types that they have become.
        func columns(_ state: History.State) -> Schema { state.schema.map { field in history.schema.first { $0.name == field.name }! } }
        func read(_ state: History.State, _ options: [String: String]) throws -> [String]? {
            do { return try history.table("upsert", columns(state), options).read().canonical } catch let error as StreamError {
                // What cleaning took away is told, never left out in silence.
                #expect("\(error)".contains("clean"), "\(label): \(error)")
                return nil
            }
        }
        var readable: [Int] = []
        // Cleaning keeps twelve commits at most; of those before it some are enough.
        let older = max(0, history.states.count - 25)
        for i in Array(Set((0..<3).map { _ in history.below(max(1, older)) })).sorted().filter({ $0 < older }) + Array(older..<history.states.count) {
            let state = history.states[i]
            guard let rows = try read(state, [ReadOption.asOf: state.instant]) else { continue }
            #expect(rows == History.values(columns(state), state.rows).canonical, "\(label), as of \(state.instant)")
            readable.append(i)
        }
        #expect(readable.last == history.states.count - 1, "\(label)")
        for b in readable {
            let a = history.below(history.states.count)
            guard a < b else { continue }
            let (from, to) = (history.states[a], history.states[b])
            guard let rows = try read(to, [ReadOption.start: from.instant, ReadOption.end: to.instant]) else { continue }
            let wanted = to.rows.filter { to.written[$0.key]! > from.instant }
            #expect(rows == History.values(columns(to), wanted).canonical, "\(label), from \(from.instant) to \(to.instant)")
        }
    }
}

extension LongHistoryTests.History {
    func table(schema: Schema) -> TestTable { table("upsert", schema) }
}
