import StreamCore
import Testing
@testable import StreamOperators

private let schema = [Field("id", .int), Field("region", .string), Field("n", .bigint)]

/// A random changelog whose rows are taken back whole, cut into batches of a size.
private func changelog(_ random: inout SeededGenerator, rows: Int) -> [(RowKind, [Value])] {
    var live: [[Value]] = [], changes: [(RowKind, [Value])] = []
    for _ in 0..<rows {
        if !live.isEmpty, random.chance(40) {
            changes.append((random.chance(50) ? .delete : .updateBefore, live.remove(at: Int.random(in: 0..<live.count, using: &random))))
        } else {
            let id: Value = random.chance(10) ? .null : .int(Int64.random(in: 0..<6, using: &random))
            let row: [Value] = [id, .string("a region with a long name \(Int.random(in: 0..<3, using: &random))"), .int(Int64.random(in: 0..<4, using: &random))]
            live.append(row)
            changes.append((random.chance(50) ? .insert : .updateAfter, row))
        }
    }
    return changes
}

private func feed(_ changes: [(RowKind, [Value])], to driver: Driver, size: Int) throws {
    for start in stride(from: 0, to: changes.count, by: size) {
        let part = changes[start..<min(start + size, changes.count)]
        try driver.process(Batch(schema: schema, rows: part.map(\.1), kinds: part.map(\.0)))
    }
}

@Suite("Rows known by a primary key") struct UpsertOperatorTests {
    @Test("a sink sees the last row of a key that is left", arguments: UInt64(0)..<30)
    func materializer(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let changes = changelog(&random, rows: 400)
        // What is left of each key, in order of arrival.
        var lists: [Value: [[Value]]] = [:]
        var expected: [String] = []
        for (kind, row) in changes {
            var list = lists[row[0]] ?? []
            if kind.isAdd {
                expected.append("\(list.isEmpty ? RowKind.insert : .updateAfter) \(row)")
                list.append(row)
            } else if let i = list.firstIndex(of: row) {
                list.remove(at: i)
                if i == list.count { expected.append(list.last.map { "\(RowKind.updateAfter) \($0)" } ?? "\(RowKind.delete) \(row)") }
            }
            lists[row[0]] = list
        }
        for size in [1, 7, 400] {
            let driver = try Driver(Operators.sinkMaterializer(UpsertSpec(inputSchema: schema, keys: [0]))())
            try feed(changes, to: driver, size: size)
            #expect(driver.output.changes.map { "\($0.kind) \($0.row)" } == expected, "seed \(seed), batches of \(size)")
        }
    }

    @Test("rows by key become a changelog whose rows are taken back as they were given", arguments: UInt64(0)..<30, [false, true])
    func normalize(seed: UInt64, updateBefore: Bool) throws {
        var random = SeededGenerator(seed)
        let changes = changelog(&random, rows: 400)
        var known: [Value: [Value]] = [:]
        var expected: [String] = []
        for (kind, row) in changes {
            let before = known[row[0]]
            if kind.isAdd {
                if let before, before != row {
                    if updateBefore { expected.append("\(RowKind.updateBefore) \(before)") }
                    expected.append("\(RowKind.updateAfter) \(row)")
                } else if before == nil {
                    expected.append("\(RowKind.insert) \(row)")
                }
                known[row[0]] = row
            } else if let before {
                expected.append("\(RowKind.delete) \(before)")
                known[row[0]] = nil
            }
        }
        for size in [1, 7, 400] {
            let driver = try Driver(Operators.changelogNormalize(UpsertSpec(inputSchema: schema, keys: [0], emitUpdateBefore: updateBefore))())
            try feed(changes, to: driver, size: size)
            #expect(driver.output.changes.map { "\($0.kind) \($0.row)" } == expected, "seed \(seed), batches of \(size)")
        }
    }

    @Test("rows of an arena stay what they are while others come and go", arguments: UInt64(0)..<10)
    func arena(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let arena = RowArena(types: schema.map(\.type))
        var held: [Int32: [Value]] = [:]
        var frozen: (rows: FrozenRows, held: [Int32: [Value]])?
        for step in 0..<300 {
            let rows = (0..<Int.random(in: 1..<200, using: &random)).map { _ -> [Value] in
                [.int(Int64.random(in: 0..<9, using: &random)), .string(String(repeating: "é", count: Int.random(in: 0..<300, using: &random))), .null]
            }
            let batch = Batch(schema: schema, rows: rows)
            var ids = [Int32](repeating: 0, count: rows.count)
            ids.withUnsafeMutableBufferPointer { arena.add(batch.columns, rows: nil, count: rows.count, into: $0.baseAddress!) }
            for (id, row) in zip(ids, rows) {
                #expect(held[id] == nil, "seed \(seed): number \(id) was given twice")
                held[id] = row
            }
            var gone = held.keys.filter { _ in random.chance(random.chance(5) ? 95 : 45) }
            gone.sort()
            for id in gone { held[id] = nil }
            gone.withUnsafeBufferPointer { if let base = $0.baseAddress { arena.remove(base, count: $0.count) } }
            #expect(arena.count == held.count)
            if step % 50 == 20 { frozen = (arena.frozen(), held) }
            guard step % 10 == 0 else { continue }
            for (rows, held) in [(arena.frozen(), held)] + (frozen.map { [($0.rows, $0.held)] } ?? []) {
                let ids = held.keys.sorted(), columns = rows.columns(ids)
                for (i, id) in ids.enumerated() where columns.map({ $0.value(at: i) }) != held[id]! {
                    Issue.record("seed \(seed), step \(step): row \(id) differs")
                }
            }
        }
    }
}
