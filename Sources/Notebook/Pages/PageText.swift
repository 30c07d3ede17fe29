import StreamCore

/// What the pages write alike.
enum PageText {
    static func duration(_ milliseconds: Int64) -> String {
        switch milliseconds {
        case ..<1_000: "\(milliseconds) ms"
        case ..<60_000: ChartNumber.fixed(Double(milliseconds) / 1000, decimals: 1) + " s"
        default: "\(milliseconds / 60_000) min \(milliseconds % 60_000 / 1000) s"
        }
    }

    /// `3 rows`, `the newest 1,000 of 5,210 rows`.
    static func rows(_ table: ResultTable, most: Int = .max) -> String {
        let shown = Int64(min(table.rows.count, most))
        if table.total > shown { return "the newest \(ChartNumber.grouped(shown)) of \(ChartNumber.grouped(table.total)) rows" }
        return shown == 1 ? "1 row" : "\(ChartNumber.grouped(shown)) rows"
    }

    static func cell(_ value: JSON) -> String {
        switch value {
        case .null: "NULL"
        case .string(let s): s
        case let other: other.text()
        }
    }

    static func interpreter(_ interpreter: CellInterpreter) -> String {
        let properties = interpreter.properties.map { $0.value.isEmpty ? $0.name : "\($0.name)=\($0.value)" }
        return interpreter.name + (properties.isEmpty ? "" : "(\(properties.joined(separator: ", ")))")
    }

    static func time(_ milliseconds: Int64) -> String { ChartTime.date(milliseconds) + " " + ChartTime.clock(milliseconds, unit: 1000) + " UTC" }

    static func place(_ error: CellError) -> String? {
        error.line.map { "line \($0)" + (error.column.map { ", column \($0)" } ?? "") }
    }

    /// `9 cells ran in 4.2 s` and how many did not do what they should.
    static func summary(_ results: [CellResult]) -> String {
        guard !results.isEmpty else { return "not run" }
        let ran = results.filter { $0.state != .skipped }
        var out = "\(ran.count) \(ran.count == 1 ? "cell" : "cells") ran in \(duration(ran.reduce(0) { $0 + $1.milliseconds }))"
        for (state, word) in [(CellResult.State.failed, "failed"), (.stopped, "stopped"), (.skipped, "skipped")] {
            let count = results.count { $0.state == state }
            if count > 0 { out += ", \(count) \(word)" }
        }
        return out
    }

    /// The state of the whole: failed when a cell has, stopped when one was.
    static func state(_ results: [CellResult]) -> CellResult.State {
        results.contains { $0.state == .failed } ? .failed : results.contains { $0.state == .stopped } ? .stopped : .finished
    }

    /// Without a terminal's colours and cursor movements, which programs write.
    static func withoutEscapes(_ text: String) -> String {
        guard text.utf8.contains(0x1B) else { return text }
        var out = String.UnicodeScalarView(), rest = text.unicodeScalars[...]
        while let c = rest.popFirst() {
            guard c.value == 0x1B else {
                out.append(c)
                continue
            }
            switch rest.popFirst()?.value {
            case 0x5B: while let next = rest.popFirst(), !(0x40...0x7E).contains(next.value) {}
            case 0x5D: while let next = rest.popFirst(), next.value != 0x07, next.value != 0x1B {}
            default: break
            }
        }
        return String(out)
    }
}
