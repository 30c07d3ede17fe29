import Foundation
import Testing

/// A job of a workspace, as the tests of recovery look at it.
extension Workspace {
    /// What `swiftwater jobs` says of a running job; nil when it does not run.
    func status(of job: String) throws -> [String: Any]? {
        try ok("jobs", "--output", "json").objects().first { $0["name"] as? String == job }
    }

    /// Waits until a running job's sources have given so many rows since it was started.
    func waitForRows(_ count: Int, of job: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        var last: [String: Any]?
        do {
            try eventually("\(count) rows of \(job)", sourceLocation: sourceLocation) {
                last = try status(of: job)
                let operators = last?["operators"] as? [[String: Any]] ?? []
                return operators.filter { ($0["name"] as? String)?.hasPrefix("Source: ") ?? false }.reduce(0) { $0 + ($1["rowsOut"] as? Int ?? 0) } >= count
            }
        } catch {
            Issue.record("\(last ?? [:])", sourceLocation: sourceLocation)
            throw error
        }
    }

    /// Waits until a running job has completed so many checkpoints since this number.
    func waitForCheckpoint(above number: Int, of job: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try eventually("a checkpoint of \(job)", sourceLocation: sourceLocation) { try status(of: job)?["checkpoint"] as? Int ?? -1 > number }
    }

    /// Rows of a table as JSON lines, sorted, doubles cut to nine digits: sums of doubles depend on the order of the rows.
    func rows(table: String, _ query: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> [String] {
        Self.normal(try ok("table", "query", table, query, "--output", "json", sourceLocation: sourceLocation).objects())
    }

    /// Records of a stream, as ``rows(table:_:sourceLocation:)``.
    func records(stream: String) throws -> [String] {
        Self.normal(try ok("sql", "--output", "json", "-e", """
            CREATE TABLE s (status STRING, num INT, avg_current_temperature DOUBLE, hop_time STRING) WITH ('connector' = 'kinesis', 'stream' = '\(stream)',
              'scan.stream.initpos' = 'TRIM_HORIZON', 'scan.bounded.mode' = 'latest-offset', 'format' = 'json', 'log.directory' = '\(path("data"))');
            SELECT * FROM s
            """).objects())
    }

    private static func normal(_ objects: [[String: Any]]) -> [String] {
        objects.map { object in
            object.sorted { $0.key < $1.key }.map { key, value in
                if let number = value as? NSNumber, "\(number)".contains(".") { return "\(key)=\(String(format: "%.9g", number.doubleValue))" }
                return "\(key)=\(value)"
            }.joined(separator: " ")
        }.sorted()
    }
}

extension RunningCommand {
    /// kill -9, as a crash does.
    func crash() throws {
        signal(SIGKILL)
        #expect(try end(within: 30).status == 128 + SIGKILL)
    }
}
