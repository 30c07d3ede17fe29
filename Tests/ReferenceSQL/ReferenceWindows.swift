import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL

/// Start and end of a window, in milliseconds.
struct WindowBounds: Hashable {
    var start: Int64, end: Int64
}

extension WindowSpec {
    /// The windows that a time is in.
    func windows(of time: Int64) -> [WindowBounds] {
        func floored(_ step: Int64, _ offset: Int64) -> Int64 {
            var rest = (time - offset) % step
            if rest < 0 { rest += step }
            return time - rest
        }
        switch self {
        case .tumble(let size, let offset):
            let start = floored(size, offset)
            return [WindowBounds(start: start, end: start + size)]
        case .hop(let slide, let size, let offset):
            var result: [WindowBounds] = []
            var start = floored(slide, offset)
            while start > time - size {
                result.append(WindowBounds(start: start, end: start + size))
                start -= slide
            }
            return result
        case .cumulate(let step, let size, let offset):
            let start = floored(size, offset)
            var result: [WindowBounds] = []
            var end = start + step
            while end <= start + size {
                if end > time { result.append(WindowBounds(start: start, end: end)) }
                end += step
            }
            return result
        case .session: return []
        }
    }
}

extension ReferenceInterpreter {
    /// The session of each event, as it is in the end; nil for a row that came after its session had ended.
    private func sessions(_ events: [Event], gap: Int64, time column: Int, keys: [Int]) throws -> [WindowBounds?] {
        final class Session {
            var bounds: WindowBounds
            var mergedInto: Session?
            init(_ bounds: WindowBounds) { self.bounds = bounds }
            var last: Session { mergedInto?.last ?? self }
        }
        var open: [[Value]: [Session]] = [:]
        var found: [Session?] = []
        for event in events {
            let key = keys.map { event.row[$0] }, time = try time(event.row[column])
            let live = (open[key] ?? []).filter { $0.bounds.end - 1 > event.watermark }
            let own = WindowBounds(start: time, end: time + gap)
            let touching = live.filter { $0.bounds.start <= own.end && own.start <= $0.bounds.end }
            let merged = Session(touching.reduce(own) { WindowBounds(start: min($0.start, $1.bounds.start), end: max($0.end, $1.bounds.end)) })
            guard merged.bounds.end - 1 > event.watermark else {
                found.append(nil)
                continue
            }
            for session in touching { session.mergedInto = merged }
            open[key] = live.filter { session in !touching.contains { $0 === session } } + [merged]
            found.append(merged)
        }
        return found.map { $0?.last.bounds }
    }

    private func time(_ value: Value) throws -> Int64 {
        guard let time = value.integer else { throw StreamError(.runtime, "the time attribute is null") }
        return time
    }

    private func checkZone(isLocal: Bool) throws {
        if isLocal, scalars.context.timeZone != "UTC" { throw Unsupported("windows in the time zone \(scalars.context.timeZone)") }
    }

    /// Each row once per window; rows that are late for a window are left to what comes behind.
    func windowTable(_ input: [Event], _ w: LogicalPlan.WindowTable, isLocal: Bool) throws -> [Event] {
        try checkZone(isLocal: isLocal)
        if case .session(let gap) = w.origin.window {
            return zip(input, try sessions(input, gap: gap, time: w.timeColumn, keys: w.partitionKeys)).compactMap { event, window in
                window.map { Event(kind: event.kind, row: event.row + [.int($0.start), .int($0.end), .int($0.end - 1)]) }
            }
        }
        return try input.flatMap { event in
            try w.origin.window.windows(of: time(event.row[w.timeColumn])).map { window in
                Event(kind: event.kind, row: event.row + [.int(window.start), .int(window.end), .int(window.end - 1)], watermark: event.watermark)
            }
        }
    }

    /// A window that has fired takes no more rows.
    func windowAggregate(_ input: [Event], _ columns: [PlanColumn], _ a: LogicalPlan.WindowAggregate) throws -> [Event] {
        var assigned: [(window: WindowBounds, event: Event)] = []
        var input = input
        if case .time(.session(let gap), let column) = a.assignment {
            for (event, window) in zip(input, try sessions(input, gap: gap, time: column, keys: a.keys)) { if let window { assigned.append((window, event)) } }
            input = []
        }
        for event in input {
            let windows: [WindowBounds]
            switch a.assignment {
            case .time(let spec, let column):
                try checkZone(isLocal: { if case .timestampLTZ = columns[column].type { true } else { false } }())
                windows = spec.windows(of: try time(event.row[column]))
            case .attached(_, let start, let end):
                windows = [WindowBounds(start: try time(event.row[start]), end: try time(event.row[end]))]
            }
            assigned += windows.filter { $0.end - 1 > event.watermark }.map { ($0, event) }
        }
        let byWindow = Groups(assigned) { [.int($0.window.end), .int($0.window.start)] }
        return try byWindow.keys.sorted { ($0[0].integer!, $0[1].integer!) < ($1[0].integer!, $1[1].integer!) }.flatMap { key in
            let window = byWindow[key][0].window
            let events = byWindow[key].map(\.event)
            // A row that was counted in a session which has ended may be taken back in a later one that reaches over its time.
            let taken = events.filter { !$0.kind.isAdd }.count
            guard net(events).count == events.count - 2 * taken else { throw Unsupported("rows that are taken back from another session than they were added to") }
            let groups = Groups(net(events)) { event in a.keys.map { event.row[$0] } }
            return try groups.map { keys, members in
                var row = keys + (try a.aggregates.map { try ReferenceAggregate($0).result(members.map(\.row)) })
                for property in a.properties {
                    switch property {
                    case .start: row.append(.int(window.start))
                    case .end: row.append(.int(window.end))
                    case .time: row.append(.int(window.end - 1))
                    }
                }
                return Event(row: row)
            }
        }
    }
}
