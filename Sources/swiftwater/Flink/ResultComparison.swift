import FlinkExport
import Foundation
import StreamCore

/// What two engines wrote for one table or query, and where it differs.
struct ResultComparison {
    typealias Changes = [(kind: RowKind, row: [Value])]

    let result: BoundedForm.Result
    let ours: Side, theirs: Side
    /// Rows that one side has more often than the other, as text; at most `limit` of each.
    let onlyOurs: [String], onlyTheirs: [String]
    let differing: Int
    /// Of the changelogs, when they were asked for.
    let changelog: Changelog?

    struct Side { var rows: Int, changes: Int }
    enum Changelog: String { case equal = "equal", otherOrder = "equal, in another order", different = "different" }

    var isEqual: Bool { differing == 0 && changelog != .different }

    /// - Parameter limit: of the rows that are shown.
    init(_ result: BoundedForm.Result, ours: Changes, theirs: Changes, comparesChanges: Bool, limit: Int = 20) {
        self.result = result
        let types = result.columns.map(\.type)
        func normal(_ changes: Changes) -> Changes { changes.map { ($0.kind, zip($0.row, types).map { Self.normal($0, $1) }) } }
        let (a, b) = (normal(ours), normal(theirs))
        let (finalA, finalB) = (Self.final(a, result), Self.final(b, result))
        self.ours = Side(rows: finalA.values.reduce(0, +), changes: a.count)
        self.theirs = Side(rows: finalB.values.reduce(0, +), changes: b.count)
        func more(_ left: [[Value]: Int], _ right: [[Value]: Int]) -> [(row: [Value], count: Int)] {
            left.compactMap { row, count in count > right[row] ?? 0 ? (row, count - (right[row] ?? 0)) : nil }
        }
        func shown(_ rows: [(row: [Value], count: Int)]) -> [String] {
            let texts = rows.map { item in (item.count > 1 ? "\(item.count) times " : "") + "(" + zip(item.row, types).map { ValueText.text($0, $1) }.joined(separator: ", ") + ")" }.sorted()
            return Array(texts.prefix(limit))
        }
        let (left, right) = (more(finalA, finalB), more(finalB, finalA))
        (onlyOurs, onlyTheirs) = (shown(left), shown(right))
        differing = left.reduce(0) { $0 + $1.count } + right.reduce(0) { $0 + $1.count }
        guard comparesChanges else {
            changelog = nil
            return
        }
        func counts(_ changes: Changes) -> [[Value]: Int] { changes.reduce(into: [:]) { $0[[.string($1.kind.isAdd ? "+" : "-")] + $1.row, default: 0] += 1 } }
        let isSameOrder = a.count == b.count && zip(a, b).allSatisfy { $0.kind.isAdd == $1.kind.isAdd && $0.row == $1.row }
        changelog = isSameOrder ? .equal : counts(a) == counts(b) ? .otherOrder : .different
    }

    /// Rows that are there at the end, each with how often.
    private static func final(_ changes: Changes, _ result: BoundedForm.Result) -> [[Value]: Int] {
        var counts: [[Value]: Int] = [:], last: [[Value]: Int] = [:]
        for (i, (kind, row)) in changes.enumerated() {
            counts[row, default: 0] += kind.isAdd ? 1 : -1
            if kind.isAdd { last[row] = i }
        }
        counts = counts.filter { $0.value != 0 }
        let key = result.key.compactMap { name in result.columns.firstIndex { $0.name == name } }
        guard !result.key.isEmpty, key.count == result.key.count else { return counts }
        // The table keeps one row for each key: the one with the greatest ordering value, of those the last.
        let ordering = result.ordering.flatMap { name in result.columns.firstIndex { $0.name == name } }
        var newest: [[Value]: [Value]] = [:]
        for row in counts.keys where counts[row]! > 0 {
            let id = key.map { row[$0] }
            guard let other = newest[id] else {
                newest[id] = row
                continue
            }
            let order = ordering.map { compared(row[$0], other[$0]) } ?? 0
            if order > 0 || order == 0 && last[row]! > last[other]! { newest[id] = row }
        }
        // Rows that were taken away more often than they came are a fault that must not get lost.
        return Dictionary(uniqueKeysWithValues: newest.values.map { ($0, 1) } + counts.filter { $0.value < 0 }.map { ($0.key, $0.value) })
    }

    /// NULL is the smallest.
    private static func compared(_ a: Value, _ b: Value) -> Int {
        switch (a, b) {
        case (.null, .null): 0
        case (.null, _): -1
        case (_, .null): 1
        case (.int(let x), .int(let y)): x < y ? -1 : x > y ? 1 : 0
        case (.decimal(let x), .decimal(let y)): x < y ? -1 : x > y ? 1 : 0
        case (.float(let x), .float(let y)): x < y ? -1 : x > y ? 1 : 0
        case (.double(let x), .double(let y)): x < y ? -1 : x > y ? 1 : 0
        case (.string(let x), .string(let y)): x.utf8.lexicographicallyPrecedes(y.utf8) ? -1 : x == y ? 0 : 1
        default: 0
        }
    }

    /// Values that count as equal are made the same: floating-point numbers to 12 and 6 digits, maps whatever the order of their entries.
    private static func normal(_ value: Value, _ type: DataType) -> Value {
        switch (value, type) {
        case (.double(let v), _) where v.isFinite: .double(rounded(v, 12))
        case (.float(let v), _) where v.isFinite: .float(Float(rounded(Double(v), 6)))
        // No NaN equals another.
        case (.double(let v), _) where v.isNaN: .string("NaN")
        case (.float(let v), _) where v.isNaN: .string("NaN")
        case (.array(let items), .array(let element)): .array(items.map { normal($0, element) })
        case (.row(let items), .row(let fields)): .row(zip(items, fields).map { normal($0, $1.type) })
        case (.map(let entries), .map(let k, let v)):
            .map(entries.map { .init(normal($0.key, k), normal($0.value, v)) }.sorted { ValueText.text($0.key, k) < ValueText.text($1.key, k) })
        default: value
        }
    }

    private static func rounded(_ value: Double, _ digits: Int) -> Double {
        // -0 and 0 are one number.
        if value == 0 { return 0 }
        return Double(scientific(value, digits)) ?? value
    }

    private static func scientific(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits - 1)e", value) }
}
