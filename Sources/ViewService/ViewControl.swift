import JobControl
import StreamCore
import ViewConnector

/// Answers what others ask of this process's views at the control sockets of its jobs.
public enum ViewControl {
    /// Seconds between two signs of life of a subscription to which nothing happens.
    static let aliveSeconds: UInt64 = 10

    /// To be called once, before jobs start.
    public static func install(_ reader: any ViewReader = ViewRegistry.shared) {
        ControlHandlers.set({ request, connection in answer(request.view, reader, connection) }, for: .view)
    }

    private static func answer(_ query: ViewQuery?, _ reader: any ViewReader, _ connection: ControlConnection) {
        do {
            guard let query else { throw ViewError(400, "a request for views does not say what it wants") }
            func name() throws -> String {
                guard let name = query.name else { throw ViewError(400, "the request names no view") }
                return name
            }
            switch query.operation {
            case .list: connection.write(ViewLines.json(ViewLines.ListLine(views: try reader.list())))
            case .get:
                let row = try reader.get(try name(), key: query.key ?? "")
                connection.write(row.map { ViewLines.line($0) } ?? ViewLines.end)
            case .scan:
                let page = try reader.scan(try name(), limit: query.limit ?? ViewLimits.defaultPage, after: query.after)
                var lines: [UInt8] = []
                for row in page.rows {
                    ViewLines.append(row, to: &lines)
                    lines.append(10)
                }
                connection.write(lines + ViewLines.json(ViewLines.EndLine(next: page.next)))
            case .changes:
                let changes = try reader.subscribe(try name(), key: query.key, since: query.since, snapshot: query.snapshot ?? false)
                defer { changes.close() }
                // Tells the other side that it is subscribed.
                guard connection.write(ViewLines.alive) else { return }
                try follow(changes, connection)
            }
        } catch {
            connection.write(ViewLines.failure(error))
        }
    }

    private static func follow(_ changes: any ViewSubscription, _ connection: ControlConnection) throws {
        var spokenAt = Clock.monotonicNanoseconds()
        while !connection.isClosed {
            guard let events = try changes.next(milliseconds: 500) else {
                connection.write(ViewLines.end)
                return
            }
            let now = Clock.monotonicNanoseconds()
            if !events.isEmpty {
                guard connection.write(Array(events.map { ViewLines.line($0) }.joined(separator: [10]))) else { return }
                spokenAt = now
            } else if now - spokenAt >= aliveSeconds * 1_000_000_000 {
                guard connection.write(ViewLines.alive) else { return }
                spokenAt = now
            }
        }
    }
}
