import StreamCore
import StreamTesting

/// What a generated expression may be of.
public enum FuzzKind: CaseIterable, Sendable {
    case boolean, int, bigint, decimal, double, string, timestamp, date, array

    /// Of a column of a table.
    var type: DataType {
        switch self {
        case .boolean: .boolean
        case .int: .int
        case .bigint: .bigint
        case .decimal: .decimal(precision: 10, scale: 2)
        case .double: .double
        case .string: .string
        case .timestamp: .timestamp(3)
        case .date: .date
        case .array: .array(.int)
        }
    }

    static let scalars: [FuzzKind] = [.boolean, .int, .bigint, .decimal, .double, .string, .timestamp, .date]
    var isNumeric: Bool { [.int, .bigint, .decimal, .double].contains(self) }
}

/// A table of random rows. Column `id` is unique; `ts`, when there, is unique too and the time attribute.
public struct FuzzTable: Sendable {
    public var name: String
    public var columns: [(name: String, kind: FuzzKind)]
    /// Seconds that the watermark is behind; nil = no time attribute.
    public var delay: Int?
    public var rows: [[Value]] = []
    /// Nil = inserts only.
    public var kinds: [RowKind]?

    var contents: ReferenceInterpreter.Table { .init(rows: rows, kinds: kinds) }

    public var ddl: String {
        var parts = columns.map { "\($0.name) \($0.kind.type)" }
        if let delay { parts.append("WATERMARK FOR ts AS ts - INTERVAL '\(delay)' SECOND") }
        if kinds != nil { parts.append("PRIMARY KEY (id) NOT ENFORCED") }
        return "CREATE TABLE \(name) (\(parts.joined(separator: ", "))) WITH ('connector' = 'rows');"
    }

    /// 2024-01-01T00:00:00Z.
    static let epoch: Int64 = 1_704_067_200_000

    /// - Parameters:
    ///   - late: rows may come behind the watermark.
    ///   - changes: rows are updated and deleted later.
    static func random(_ name: String, late: Bool, changes: Bool, _ random: inout SeededRandom) -> FuzzTable {
        var table = FuzzTable(name: name, columns: [("id", .bigint)])
        var kinds: [FuzzKind] = [.int, .string]
        for _ in 0..<Int.random(in: 1...4, using: &random) { kinds.append(FuzzKind.allCases.randomElement(using: &random)!) }
        for (i, kind) in kinds.enumerated() { table.columns.append(("\("kscdefgh".map { $0 }[i])", kind)) }
        table.delay = Int.random(in: 0..<4, using: &random) > 0 ? [0, 1, 5, 30].randomElement(using: &random)! : nil
        if table.delay != nil { table.columns.append(("ts", .timestamp)) }
        let count = [0, 1, 3, 10, 30, 30, 60].randomElement(using: &random)!
        // Seconds in steps of a second or so, each once; how far they are out of order is bounded when none is to be late.
        let spread = late ? 40 : max(table.delay ?? 0, 0)
        let order = (0..<count).map { ($0, Double($0) + Double(Int.random(in: 0...max(spread, 0), using: &random)) * 0.49) }.sorted { $0.1 < $1.1 }.map(\.0)
        var live: [[Value]] = [], changed: [RowKind] = []
        for (i, place) in order.enumerated() {
            let row = table.columns.map { column -> Value in
                switch column.name {
                case "id": .int(Int64(i))
                case "ts": .int(epoch + Int64(place) * 1_000 + Int64(place % 3) * 100)
                default: value(column.kind, &random)
                }
            }
            table.rows.append(row)
            changed.append(.insert)
            live.append(row)
            // A change of a row is late when the row's time is: where none is to be late, only rows in front of the watermark change.
            if !late, let delay = table.delay, let time = table.columns.firstIndex(where: { $0.name == "ts" }) {
                let seen = table.rows.compactMap { if case .int(let t) = $0[time] { t } else { nil } }.max() ?? .min
                live.removeAll { if case .int(let t) = $0[time] { t <= seen - Int64(delay) * 1_000 } else { false } }
            }
            guard changes, Int.random(in: 0..<3, using: &random) == 0, let victim = live.indices.randomElement(using: &random) else { continue }
            let old = live[victim]
            table.rows.append(old)
            if Bool.random(using: &random) {
                changed.append(.delete)
                live.remove(at: victim)
            } else {
                changed.append(.updateBefore)
                var new = old
                for (c, column) in table.columns.enumerated() where column.name != "id" && column.name != "ts" && Bool.random(using: &random) {
                    new[c] = value(column.kind, &random)
                }
                live[victim] = new
                table.rows.append(new)
                changed.append(.updateAfter)
            }
        }
        if changes { table.kinds = changed }
        return table
    }

    /// Few distinct values, so that keys collide; fractions are exact in binary, so that the order of sums does not show.
    static func value(_ kind: FuzzKind, _ random: inout SeededRandom) -> Value {
        if Int.random(in: 0..<6, using: &random) == 0 { return .null }
        switch kind {
        case .boolean: return .bool(Bool.random(using: &random))
        case .int: return .int([-1, 0, 1, 2, 3, 7, 2_147_483_647].randomElement(using: &random)!)
        case .bigint: return .int([-5, 0, 1, 2, 10, 9_223_372_036_854_775_807].randomElement(using: &random)!)
        case .decimal: return .decimal([0, 100, 150, -225, 10_010, 99_999_999_99].randomElement(using: &random)!)
        case .double: return .double([0, 0.5, 1, -1.5, 2.25, 1_024].randomElement(using: &random)!)
        case .string: return .string(["a", "b", "ab", "A", "", "x y", "é"].randomElement(using: &random)!)
        case .timestamp: return .int(epoch + [0, 1, 1_500, 60_000, -1].randomElement(using: &random)!)
        case .date: return .int([19_723, 19_724, 0, -1].randomElement(using: &random)!)
        case .array: return .array((0..<Int.random(in: 0...3, using: &random)).map { _ in value(.int, &random) })
        }
    }
}
