import StreamCore

/// The queries of the benchmark as scripts, from the folder `Benchmarks/Nexmark/queries`.
public struct NexmarkQueries: Sendable {
    /// The queries that Flink was measured with here, in order.
    public static let names = [
        "q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q9", "q11", "q12", "q15", "q16", "q17", "q18", "q19", "q20", "q21", "q22",
    ]

    public var folder: String

    public init(folder: String) { self.folder = folder }

    /// The tables and views over the events in a file, and a query that writes to a sink with options `sink`.
    ///
    /// - Throws: `.io` when there is no such query.
    public func script(_ query: String, events: String, sink: String = "'connector' = 'blackhole'") throws -> String {
        func read(_ name: String) throws -> String { String(decoding: try Host.read("\(folder)/\(name).sql"), as: UTF8.self) }
        return (try read("tables") + "\n" + (try read(query))).replacingText("${EVENTS}", events).replacingText("${SINK}", sink)
    }
}

extension String {
    fileprivate func replacingText(_ part: String, _ new: String) -> String {
        var result = ""
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            result += rest[..<range.lowerBound]
            result += new
            rest = rest[range.upperBound...]
        }
        return result + rest
    }
}
