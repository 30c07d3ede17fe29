import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL

extension ReferenceInterpreter {
    /// Each row with what functions give for it and the rows before it in the order of its partition.
    func over(_ input: [Event], _ columns: [PlanColumn], _ o: Over) throws -> [Event] {
        var rows = net(input), givenAt: (Event) -> Int64 = { _ in .min }
        if o.order.count == 1, columns[o.order[0].column].isTimeAttribute, !o.order[0].descending, input.allSatisfy({ $0.kind == .insert }) {
            // Without a limit the frame's state has gone as far as the watermark; with one, as far as the rows that were given.
            let column = o.order[0].column
            rows = o.frame.preceding == nil
                ? input.filter { ($0.row[column].integer ?? .min) > $0.watermark } : onTime(input, column: column, partition: o.partition)
            // What reads the rows has seen all watermarks but the one that gives a row: one that came late comes late there too.
            let marks = Set(input.map(\.watermark)).sorted()
            givenAt = { event in
                guard let time = event.row[column].integer, time > event.watermark else { return event.watermark }
                return marks.last { $0 < time } ?? .min
            }
        }
        // The newest row of a key by event time is, of rows of one time, the one that came last.
        let lastFirst = o.order.count == 1 && columns[o.order[0].column].isTimeAttribute && o.order[0].descending
        return try Groups(rows) { event in o.partition.map { event.row[$0] } }.flatMap { _, members in
            let sorted = members.indices.sorted { x, y in
                for key in o.order {
                    let order = Ordering.compare(
                        members[x].row[key.column], members[y].row[key.column], nullsFirst: key.nullsFirst, descending: key.descending)
                    if order != 0 { return order < 0 }
                }
                return lastFirst ? x > y : x < y
            }.map { members[$0] }
            let ordered = sorted.map(\.row)
            return try sorted.indices.map { i in
                Event(row: ordered[i] + (try o.calls.map { try value($0, at: i, of: ordered, o) }), watermark: givenAt(sorted[i]))
            }
        }.enumerated().sorted { ($0.element.watermark, $0.offset) < ($1.element.watermark, $1.offset) }.map(\.element)
    }

    /// Without rows that come when one of their time, or of a later one, has been given for their key already. A row that is due when it
    /// comes waits for the watermark to go on, as any other does.
    func onTime(_ input: [Event], column: Int, partition: [Int]) -> [Event] {
        var waiting: [[Value]: [(time: Int64, since: Int64)]] = [:], last: [[Value]: Int64] = [:]
        return input.filter { event in
            let key = partition.map { event.row[$0] }
            func isGiven(_ row: (time: Int64, since: Int64)) -> Bool { row.time <= event.watermark && row.since < event.watermark }
            for row in waiting[key] ?? [] where isGiven(row) { last[key] = max(last[key] ?? .min, row.time) }
            waiting[key]?.removeAll(where: isGiven)
            guard let time = event.row[column].integer, time > last[key] ?? .min else { return false }
            waiting[key, default: []].append((time, event.watermark))
            return true
        }
    }

    private func value(_ call: OverCall, at i: Int, of rows: [[Value]], _ o: Over) throws -> Value {
        func isTied(_ a: [Value], _ b: [Value]) -> Bool { o.order.allSatisfy { Ordering.isSame(a[$0.column], b[$0.column]) } }
        switch call {
        case .rowNumber: return .int(Int64(i + 1))
        case .rank: return .int(Int64(rows.firstIndex { isTied($0, rows[i]) }! + 1))
        case .denseRank:
            return .int(Int64(1 + (1...max(i, 1)).count { $0 <= i && !isTied(rows[$0 - 1], rows[$0]) }))
        case .lag(let column, _, let offset, let otherwise):
            // Rows of equal order have what the last of them has.
            let last = rows.lastIndex { isTied($0, rows[i]) }!
            if last >= offset { return rows[last - offset][column] }
            return otherwise.map { rows[last][$0] } ?? .null
        case .aggregate(let aggregate):
            var frame = rows[...i]
            if o.frame.isRange {
                frame = rows.prefix { row in isTied(row, rows[i]) || rows.firstIndex { isTied($0, row) }! <= i }
                if let preceding = o.frame.preceding, let time = o.order.first.flatMap({ rows[i][$0.column].integer }) {
                    let oldest = time - preceding, column = o.order[0].column
                    frame = frame.drop { ($0[column].integer ?? .min) < oldest }
                }
            } else if let preceding = o.frame.preceding {
                frame = frame.suffix(Int(preceding) + 1)
            }
            return try ReferenceAggregate(aggregate).result(Array(frame))
        }
    }

    /// Fails once a key has more than one row.
    func single(_ input: [Event], _ s: SingleRow) throws -> [Event] {
        var live: [[Value]: Int] = [:]
        for event in input {
            let key = s.keys.map { event.row[$0] }
            live[key, default: 0] += event.kind.isAdd ? 1 : -1
            if live[key]! > 1 { throw StreamError(.runtime, "a sub-query that stands for a value gives several rows") }
        }
        return input
    }
}
