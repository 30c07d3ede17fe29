import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState

/// Where Flink goes on with what a stopped job was reading, and what of the job's state it has to make anew.
public struct StartPositions: Sendable {
    /// How far back input has to be read for the state of a step to be whole again.
    public enum Distance: Hashable, Sendable {
        /// Milliseconds of event time before the step's watermark.
        case time(Int64)
        /// The time for which state is kept, in milliseconds of the clock.
        case timeToLive(Int64)
        /// As far back as the oldest session that is open, at least this many milliseconds.
        case session(Int64)
        case everything
    }

    /// A step with state that Flink does not get.
    public struct Rebuild: Hashable, Sendable {
        /// As the job names it: `HOP(10 s, 1 min) status: COUNT(*)`.
        public var step: String
        /// The tables that it reads from, directly or through other steps.
        public var tables: [String]
        public var distance: Distance
        /// The event time from which on rows have to be read, in milliseconds since 1970-01-01; nil when that is not known.
        public var since: Int64?

        /// One line for people.
        public var text: String {
            let from = tables.joined(separator: ", ")
            switch distance {
            case .time(let n): return "\(step): read \(from) \(StartPositions.length(n)) back" + (since.map { ", from event time \(StartPositions.time($0)) on" } ?? "")
            case .timeToLive(let n): return "\(step): read what came into \(from) within the last \(StartPositions.length(n)), for which its state is kept"
            case .session(let n): return "\(step): read \(from) from the begin of the oldest open session on, at least \(StartPositions.length(n)) back" + (since.map { " (event time \(StartPositions.time($0)))" } ?? "")
            case .everything: return "\(step): read \(from) from the beginning"
            }
        }
    }

    /// Options that take the place of a table's own, by the table's name; one without a value is to be left out.
    public var options: [String: [String: String]] = [:]
    /// Tables that the savepoint has positions of, by ``SourceTable/path``.
    public private(set) var covered: Set<String> = []
    /// Files that have been read to their end, by the table's name.
    public var files: [String: [String]] = [:]
    /// Steps with state, in the order of the plan.
    public var rebuild: [Rebuild] = []

    /// Reads the positions of a savepoint or checkpoint.
    ///
    /// - Parameters:
    ///   - directory: of the savepoint, or its manifest.
    ///   - graphs: the jobs that the script is planned as; the savepoint must be of one of them.
    ///   - tables: those that the script reads.
    ///   - stateTTL: [table.exec.state.ttl] in milliseconds; nil = state is kept for ever.
    ///   - lateness: [table.exec.emit.allow-lateness] in milliseconds.
    ///   - arrivalTime: when a record of a Kinesis stream arrived, in milliseconds since 1970-01-01: table, shard, sequence number; nil when that cannot be told.
    ///   - findings: gets what comes twice, and what cannot be gone on with.
    /// - Throws: `.io`, `.corrupt` or `.validate` when there is no such savepoint, or it is of another job.
    public init(savepoint directory: String, graphs: [JobGraph], tables: [SourceTable], stateTTL: Int64? = nil, lateness: Int64 = 0,
                arrivalTime: (_ table: SourceTable, _ shard: String, _ sequenceNumber: String) -> Int64? = { _, _, _ in nil }, findings: inout Findings) throws {
        try self.init(try CheckpointStorage.open(directory).manifest, directory, graphs, tables, stateTTL, lateness, arrivalTime, &findings)
    }

    init(_ manifest: CheckpointManifest, _ directory: String, _ graphs: [JobGraph], _ tables: [SourceTable], _ stateTTL: Int64?, _ lateness: Int64,
         _ arrivalTime: (SourceTable, String, String) -> Int64?, _ findings: inout Findings) throws {
        let entries = Dictionary(manifest.operators.map { ($0.id, $0) }) { first, _ in first }
        let scores = graphs.map { graph in graph.vertices.filter { entries[$0.operatorID] != nil }.count }
        guard let best = scores.indices.max(by: { scores[$0] < scores[$1] }), scores[best] > 0 else {
            throw StreamError(.validate, "\(directory) is of job \(manifest.jobName), none of whose steps the script has",
                              fix: "name a savepoint of a job that runs this very script")
        }
        let graph = graphs[best]
        let missing = graph.vertices.filter { vertex in
            if case .source = vertex.kind { entries[vertex.operatorID] == nil && Self.table(vertex, tables) != nil } else { false }
        }
        if let first = missing.first {
            throw StreamError(.validate, "\(directory) says nothing of '\(first.name)': the statements have changed since it was taken", fix: "export the script as it was when the job ran")
        }

        var splits: [String: [CheckpointManifest.SplitEntry]] = [:]
        for vertex in graph.vertices {
            guard case .source = vertex.kind, let entry = entries[vertex.operatorID], let table = Self.table(vertex, tables) else { continue }
            splits[table.name, default: []] += entry.splits
            covered.insert(table.path)
        }
        for table in tables {
            guard let found = splits[table.name] else { continue }
            start(table, found, arrivalTime, &findings)
        }
        for vertex in graph.vertices {
            guard case .transform = vertex.kind, let entry = entries[vertex.operatorID], entry.hasState, let distance = Self.distance(vertex.name, stateTTL: stateTTL, lateness: lateness) else { continue }
            let watermark = entry.subtasks.compactMap(\.watermark).min()
            let since: Int64? = switch distance {
            case .time(let n), .session(let n): watermark.map { $0 + 1 - n }
            default: nil
            }
            rebuild.append(Rebuild(step: vertex.name, tables: Self.sources(of: vertex.id, graph), distance: distance, since: since))
        }
    }

    // MARK: Sources

    /// The table that a source reads: `Source: orders (id, v)`.
    private static func table(_ vertex: JobVertex, _ tables: [SourceTable]) -> SourceTable? {
        let short = shortName(vertex.name)
        return tables.first { $0.path == short }
    }

    private static func shortName(_ source: String) -> String {
        guard source.hasPrefix("Source: ") else { return "" }
        let name = source.dropFirst(8)
        return String(name.range(of: " (").map { name[..<$0.lowerBound] } ?? name)
    }

    private static func sources(of vertex: Int, _ graph: JobGraph) -> [String] {
        var names: [String] = [], seen: Set<Int> = [], open = [vertex]
        while let id = open.popLast() {
            for edge in graph.edges where edge.to == id && seen.insert(edge.from).inserted {
                open.append(edge.from)
                if let before = graph.vertices.first(where: { $0.id == edge.from }), case .source = before.kind { names.append(shortName(before.name)) }
            }
        }
        return names.sorted()
    }

    private mutating func start(_ table: SourceTable, _ splits: [CheckpointManifest.SplitEntry], _ arrivalTime: (SourceTable, String, String) -> Int64?, _ findings: inout Findings) {
        let about = "table \(table.name)"
        switch table.connector {
        case "kafka": kafka(table, splits, &findings)
        case "upsert-kafka": findings.note("Flink reads all of the topic, as it always does, and so has the newest row of each key", about: about)
        case "kinesis": kinesis(table, splits, arrivalTime, &findings)
        case "hudi": hudi(table, splits, &findings)
        case "filesystem": filesystem(table, splits, &findings)
        default:
            if !splits.isEmpty { findings.note("connector '\(table.connector)' begins anew on Flink", about: about) }
        }
    }

    private func place(_ table: SourceTable) -> SourceLocation? { table.location }

    private mutating func kafka(_ table: SourceTable, _ splits: [CheckpointManifest.SplitEntry], _ findings: inout Findings) {
        let about = "table \(table.name)"
        var offsets: [Int: Int64] = [:], topics: Set<String> = [], ends: Set<Int> = []
        for split in splits {
            guard let hyphen = split.id.lastIndex(of: "-"), let partition = Int(split.id[split.id.index(after: hyphen)...]) else { continue }
            topics.insert(String(split.id[..<hyphen]))
            // `42`, or `42..100` for a read that ends.
            let first = (split.position ?? "earliest").split(separator: ".").first.map(String.init) ?? ""
            if first == "latest" {
                findings.refuse("\(about), partition \(partition)", reason: "the savepoint has no position of it: nothing had been read since the job began at its end",
                                instead: "take a savepoint once the job has run for a moment, or set 'scan.startup.mode' = 'timestamp'", at: place(table))
                return
            }
            let offset = first == "earliest" ? 0 : Int64(first) ?? 0
            if first == "earliest" { ends.insert(partition) }
            offsets[partition] = min(offsets[partition] ?? .max, offset)
        }
        guard !offsets.isEmpty else { return }
        guard topics.count == 1 else {
            return findings.refuse(about, reason: "it reads several topics (\(topics.sorted().joined(separator: ", "))), and Flink takes offsets for one only",
                                   instead: "make a table for each topic and read them with UNION ALL", at: place(table))
        }
        options[table.name] = [
            "scan.startup.mode": "specific-offsets",
            "scan.startup.specific-offsets": offsets.sorted { $0.key < $1.key }.map { "partition:\($0.key),offset:\($0.value)" }.joined(separator: ";"),
            "scan.startup.timestamp-millis": "",
        ]
        if !ends.isEmpty { findings.note("partitions \(ends.sorted().map(String.init).joined(separator: ", ")) had not been read: they begin at their first record", about: about) }
    }

    private mutating func kinesis(_ table: SourceTable, _ splits: [CheckpointManifest.SplitEntry], _ arrivalTime: (SourceTable, String, String) -> Int64?, _ findings: inout Findings) {
        let about = "table \(table.name)"
        var earliest: Int64?, isWhole = false, unknown: [String] = []
        for split in splits where !split.isFinished {
            let text = split.position ?? "TRIM_HORIZON"
            let time: Int64?
            if text == "TRIM_HORIZON" {
                isWhole = true
                continue
            } else if text.hasPrefix("AT_TIMESTAMP ") {
                time = Int64(text.dropFirst(13))
            } else {
                time = arrivalTime(table, split.id, text)
                if time == nil { unknown.append("\(split.id) at \(text)") }
            }
            if let time { earliest = min(earliest ?? .max, time) }
        }
        if isWhole || !unknown.isEmpty || earliest == nil {
            options[table.name] = ["source.init.position": "TRIM_HORIZON", "source.init.timestamp": "", "source.init.timestamp.format": ""]
            findings.note(unknown.isEmpty ? "a shard had not been read yet, so all shards are read from their first record: records of the others come again"
                : "it is not known when the records arrived up to which the job had read (\(unknown.joined(separator: ", "))), so all shards are read from their first record, and records come again", about: about)
        } else {
            options[table.name] = ["source.init.position": "AT_TIMESTAMP", "source.init.timestamp": Self.time(earliest!), "source.init.timestamp.format": ""]
            findings.note("Flink takes a time for all shards and no sequence numbers: what arrived from \(Self.time(earliest!)) on is read, of which the job had read some", about: about)
        }
        findings.note("records that come again change nothing in tables with a primary key, and are there twice in others", about: about)
    }

    private mutating func hudi(_ table: SourceTable, _ splits: [CheckpointManifest.SplitEntry], _ findings: inout Findings) {
        let about = "table \(table.name)"
        guard table.declaration.options["read.streaming.enabled"]?.trimmed.lowercased() == "true" else {
            return findings.note("Flink reads the table from its newest snapshot", about: about)
        }
        // 1|stage|floor|beyond|instant|rows: all writes up to `floor` have been handed out.
        for split in splits {
            let parts = (split.position ?? "").split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 6, parts[0] == "1", parts[1] == "c", !parts[2].isEmpty else {
                options[table.name] = ["read.start-commit": "earliest"]
                findings.note("its snapshot had not been read to the end: it is read again from the beginning", about: about)
                continue
            }
            options[table.name] = ["read.start-commit": parts[2]]
            findings.note("'read.start-commit' is inclusive in Flink: rows of commit \(parts[2]) come again" + (parts[3].isEmpty && parts[4].isEmpty ? "" : ", and those of commits after it that had been read in part"), about: about)
        }
    }

    private mutating func filesystem(_ table: SourceTable, _ splits: [CheckpointManifest.SplitEntry], _ findings: inout Findings) {
        let about = "table \(table.name)"
        let begun = splits.filter { $0.isFinished || $0.position != nil }
        files[table.name] = splits.filter(\.isFinished).map(\.id).sorted()
        guard table.declaration.options["source.monitor-interval"] != nil else {
            return findings.note("Flink reads its files again from the beginning", about: about)
        }
        guard !begun.isEmpty else { return }
        let shown = begun.prefix(5).map { $0.isFinished ? $0.id : "\($0.id) up to byte \($0.position!)" }.joined(separator: ", ")
        findings.refuse(about, reason: "\(begun.count) \(begun.count == 1 ? "file has" : "files have") been read (\(shown)\(begun.count > 5 ? ", ..." : "")), which Flink would read again",
                        instead: "move these files to another folder before the job begins on Flink, or let it write to tables with a primary key and leave --from-savepoint out", at: place(table))
    }

    // MARK: State

    /// What the name of a step tells of its state; nil for a step whose state need not be made again.
    static func distance(_ name: String, stateTTL: Int64?, lateness: Int64) -> Distance? {
        let kept: Distance = stateTTL.map { .timeToLive($0) } ?? .everything
        if name.hasPrefix("IntervalJoin(") {
            guard let between = name.range(of: " BETWEEN ") else { return kept }
            let bounds = name[between.upperBound...].matches(of: /[-+] (\d+) (d|h|min|s|ms)\b/).compactMap { milliseconds($0.1, $0.2) }
            return .time((bounds.max() ?? 0) + lateness)
        }
        if name.contains("Over(") {
            if let range = name.firstMatch(of: /range (\d+) (d|h|min|s|ms)\b/), let time = milliseconds(range.1, range.2) { return .time(time + lateness) }
            return kept
        }
        if name.hasPrefix("Match"), let within = name.firstMatch(of: /(?i)within (\d+) (d|h|min|s|ms)\b/), let time = milliseconds(within.1, within.2) { return .time(time) }
        if let window = name.firstMatch(of: /(TUMBLE|HOP|CUMULATE|SESSION)\(([^)]*)\)/) {
            let lengths = window.2.matches(of: /(\d+) (d|h|min|s|ms)\b/).compactMap { milliseconds($0.1, $0.2) }
            let size = window.1 == "TUMBLE" || window.1 == "SESSION" ? lengths.first : lengths.dropFirst().first
            guard let size else { return kept }
            return window.1 == "SESSION" ? .session(size + lateness) : .time(size + lateness)
        }
        if name.hasPrefix("TemporalSort") { return .time(0) }
        return kept
    }

    private static func milliseconds(_ number: Substring, _ unit: Substring) -> Int64? {
        let units: [Substring: Int64] = ["d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1_000, "ms": 1]
        return Int64(number).flatMap { n in units[unit].map { n * $0 } }
    }

    // MARK: Texts

    static func length(_ milliseconds: Int64) -> String {
        for (unit, n) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] as [(String, Int64)] where milliseconds != 0 && milliseconds % n == 0 {
            return "\(milliseconds / n) \(unit)"
        }
        return "\(milliseconds) ms"
    }

    /// `2024-05-04T19:58:46.480Z`
    static func time(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1_000).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
