import StreamCore
import Testing
@testable import StreamOperators

@Suite struct GroupTableTests {
    static let keyTypes: [[DataType]] = [
        [], [.int], [.bigint], [.string], [.timestamp(3)], [.boolean], [.double], [.decimal(precision: 20, scale: 2)],
        [.int, .int], [.int, .string], [.string, .string, .bigint], [.array(.int)], [.row([Field("a", .string), Field("b", .int)]), .int],
    ]

    func randomValue(_ type: DataType, spread: Int64, using random: inout SeededGenerator) -> Value {
        if random.chance(5) { return .null }
        let n = Int64.random(in: -spread...spread, using: &random)
        switch type {
        case .string: return .string(n % 2 == 0 ? "k\(n)" : "a key of more than twelve bytes \(n)")
        case .boolean: return .bool(n > 0)
        case .double: return .double(Double(n) / 4)
        case .decimal: return .decimal(Int128(n) * 1_000_000_000_000)
        case .array(let e): return .array((0..<abs(n) % 4).map { _ in randomValue(e, spread: 3, using: &random) })
        case .row(let fields): return .row(fields.map { randomValue($0.type, spread: 3, using: &random) })
        default: return .int(n)
        }
    }

    @Test(arguments: keyTypes.indices) func agreesWithDictionary(_ which: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let types = Self.keyTypes[which]
        let schema = types.enumerated().map { Field("k\($0.offset)", $0.element) }
        for spread in [3, 500, 1_000_000_000] as [Int64] {
            let table = GroupTable(types: types)
            var known: [[Value]: Int32] = [:], order: [[Value]] = []
            for round in 0..<12 {
                if round == 8, !order.isEmpty {
                    // Keep a third, in a mixed order.
                    let kept = (0..<Int32(order.count)).filter { _ in random.chance(33) }.shuffled(using: &random)
                    if types.isEmpty { continue }
                    table.keep(kept)
                    order = kept.map { order[Int($0)] }
                    known = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($0.element, Int32($0.offset)) })
                    #expect(table.count == order.count)
                }
                let rows = (0..<Int.random(in: 1...400, using: &random)).map { _ in types.map { randomValue($0, spread: spread, using: &random) } }
                var batch = types.isEmpty ? Batch(columns: [], physicalCount: rows.count) : randomForm(schema, rows, using: &random)
                if types.isEmpty { batch.physicalCount = rows.count }
                var ids = [Int32](repeating: -9, count: rows.count)
                ids.withUnsafeMutableBufferPointer {
                    table.lookup(batch.columns, rows: batch.selection?.rows, count: rows.count, into: $0.baseAddress!)
                }
                for (i, row) in rows.enumerated() {
                    if known[row] == nil {
                        known[row] = Int32(order.count)
                        order.append(row)
                    }
                    #expect(ids[i] == known[row]!, "seed \(seed) row \(row)")
                }
                #expect(table.count == order.count)
            }
            let all = Selection.all(order.count)
            let back = table.keyColumns(all.rows, count: order.count)
            #expect(back.map(\.type) == types)
            for g in order.indices { #expect(back.map { $0.value(at: g) } == order[g]) }
        }
    }

    @Test func widensDenseRangesAndTakesExtremes() {
        let table = GroupTable(types: [.bigint])
        var known: [Int64: Int32] = [:]
        // Dense from zero on, both ways, then far away, then the ends of the type.
        let batches: [[Int64]] = [
            Array(0..<100), (0..<70_000).map { $0 * 2 }, (0..<70_000).map { -$0 }, [1 << 40, 5, -(1 << 50)], [.max, .min, 0, .max - 1],
            Array(1_000_000..<1_300_000), [.min + 1, .max],
        ]
        for values in batches {
            var ids = [Int32](repeating: 0, count: values.count)
            let column = values.withUnsafeBufferPointer { Column.fixed(.bigint, $0.baseAddress!, count: $0.count) }
            ids.withUnsafeMutableBufferPointer { table.lookup([column], rows: nil, count: values.count, into: $0.baseAddress!) }
            var wrong = 0
            for (value, id) in zip(values, ids) {
                if known[value] == nil { known[value] = Int32(known.count) }
                if known[value] != id { wrong += 1 }
            }
            #expect(wrong == 0)
        }
    }

    @Test func widensFromTheTopOfTheType() {
        let table = GroupTable(types: [.bigint])
        for values: [Int64] in [[.max - 10, .max], [.max - 5_000], [.max - 100_000, .max - 1], [.min]] as [[Int64]] {
            var ids = [Int32](repeating: 0, count: values.count)
            let column = values.withUnsafeBufferPointer { Column.fixed(.bigint, $0.baseAddress!, count: $0.count) }
            ids.withUnsafeMutableBufferPointer { table.lookup([column], rows: nil, count: values.count, into: $0.baseAddress!) }
            #expect(Set(ids).count == values.count)
        }
        #expect(table.count == 6)
        let all = Selection.all(6)
        #expect(Set((0..<6).map { table.keyColumns(all.rows, count: 6)[0].value(at: $0) }).count == 6)
    }
}
