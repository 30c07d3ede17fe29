import StreamCore
import StreamFormats

/// Where reading begins and ends, and what becomes of records that are gone or broken: the options `scan.*` of a table.
struct KafkaSourceOptions: Sendable {
    enum Start: Sendable {
        case groupOffsets, earliest, latest
        /// Milliseconds since 1970-01-01.
        case timestamp(Int64)
        case specific([Int32: Int64])
    }

    enum End: Sendable {
        case unbounded, latest, groupOffsets
        case timestamp(Int64)
        case specific([Int32: Int64])
    }

    /// What to do when there is no record at the offset wanted, or no offset: `properties.auto.offset.reset`.
    enum Reset: Sendable { case earliest, latest, fail }

    let start: Start
    let end: End
    let reset: Reset
    /// nil = partitions are listed once.
    let discoveryInterval: Duration?
    let parallelism: Int?
    /// Offsets go to the group with each checkpoint.
    let commitsOffsets: Bool
    let onError: OnError

    static let keys: Set<String> = BadInput.optionKeys.union([
        KafkaDeadLetters.topicOption,
        "scan.startup.mode", "scan.startup.specific-offsets", "scan.startup.timestamp-millis", "scan.bounded.mode",
        "scan.bounded.specific-offsets", "scan.bounded.timestamp-millis", "scan.topic-partition-discovery.interval", "scan.parallelism",
    ])

    init(_ kafka: KafkaTable) throws {
        let options = TableOptions(kafka.table), configuration = kafka.configuration

        func milliseconds(_ key: String, for mode: String) throws -> Int64 {
            guard options.has(key) else { throw options.error(mode, "needs option '\(key)'", fix: "add it, in milliseconds since 1970-01-01 UTC") }
            return Int64(try options.int(key, in: 0...Int.max)!)
        }
        func offsets(_ key: String, for mode: String) throws -> [Int32: Int64] {
            guard options.has(key) else { throw options.error(mode, "needs option '\(key)'", fix: "add it, as in 'partition:0,offset:42;partition:1,offset:300'") }
            guard case .names(let names) = kafka.topics, names.count == 1 else {
                throw options.error(mode, "is possible for a single topic only", fix: "name one topic in 'topic', and make a table for each")
            }
            return try Self.offsets(options, key)
        }

        switch try options.choice("scan.startup.mode", ["group-offsets", "earliest-offset", "latest-offset", "timestamp", "specific-offsets"]) ?? (kafka.isUpsert ? "earliest-offset" : "group-offsets") {
        // A table of newest rows is all of its topic, as in Flink: it has no startup mode to choose.
        case "earliest-offset": start = .earliest
        case "latest-offset": start = .latest
        case "timestamp": start = .timestamp(try milliseconds("scan.startup.timestamp-millis", for: "scan.startup.mode"))
        case "specific-offsets": start = .specific(try offsets("scan.startup.specific-offsets", for: "scan.startup.mode"))
        default: start = .groupOffsets
        }
        switch try options.choice("scan.bounded.mode", ["unbounded", "latest-offset", "group-offsets", "timestamp", "specific-offsets"]) ?? "unbounded" {
        case "latest-offset": end = .latest
        case "group-offsets": end = .groupOffsets
        case "timestamp": end = .timestamp(try milliseconds("scan.bounded.timestamp-millis", for: "scan.bounded.mode"))
        case "specific-offsets": end = .specific(try offsets("scan.bounded.specific-offsets", for: "scan.bounded.mode"))
        default: end = .unbounded
        }
        reset = switch configuration["auto.offset.reset"] {
        case "earliest", "smallest", "beginning": .earliest
        case "latest", "largest", "end": .latest
        case nil:
            switch start {
            case .earliest, .specific: .earliest
            case .latest: .latest
            case .groupOffsets, .timestamp: .fail
            }
        default: .fail
        }
        let interval = try options.milliseconds("scan.topic-partition-discovery.interval") ?? 300_000
        discoveryInterval = if case .unbounded = end, interval > 0 { .milliseconds(interval) } else { nil }
        parallelism = try options.int("scan.parallelism", in: 1...65_536)
        commitsOffsets = try configuration["group.id"] != nil && options.bool("properties.commit.offsets.on.checkpoint") ?? true
        onError = try BadInput.onError(kafka.table, ignoresParseErrors: Self.ignoresParseErrors(kafka.valueTable), alternative: KafkaDeadLetters.topicOption)
    }

    /// What the format itself is told.
    static func ignoresParseErrors(_ table: TableDescriptor) throws -> Bool {
        guard let format = table.options["format"] else { return false }
        return try TableOptions(table).bool("\(format).ignore-parse-errors") ?? false
    }

    /// `partition:0,offset:42;partition:1,offset:300`
    private static func offsets(_ options: TableOptions, _ key: String) throws -> [Int32: Int64] {
        var result: [Int32: Int64] = [:]
        for entry in options.string(key)!.split(separator: ";") {
            let parts = entry.split(separator: ",").map { String($0).trimmed }
            guard parts.count == 2, parts[0].hasPrefix("partition:"), parts[1].hasPrefix("offset:"),
                  let partition = Int32(String(parts[0].dropFirst(10)).trimmed), let offset = Int64(String(parts[1].dropFirst(7)).trimmed), partition >= 0, offset >= 0
            else { throw options.error(key, "is not a list of offsets", fix: "write it as in 'partition:0,offset:42;partition:1,offset:300'") }
            result[partition] = offset
        }
        guard !result.isEmpty else { throw options.error(key, "has no offset", fix: "write it as in 'partition:0,offset:42;partition:1,offset:300'") }
        return result
    }

    var isBounded: Bool { if case .unbounded = end { false } else { true } }

    /// Reading cannot begin, or end, without a group.
    var needsGroup: String? {
        if case .groupOffsets = start { return "'scan.startup.mode' = 'group-offsets'" }
        if case .groupOffsets = end { return "'scan.bounded.mode' = 'group-offsets'" }
        return nil
    }
}

/// Where reading of a partition goes on, and where it ends: `42`, or `42..100` for a read that ends in front of offset 100.
struct KafkaPosition: Equatable {
    enum Next: Equatable { case earliest, latest, offset(Int64) }
    var next: Next
    var end: Int64?

    init(_ next: Next, end: Int64? = nil) { (self.next, self.end) = (next, end) }

    init(parsing text: String) throws {
        func failure() -> StreamError {
            StreamError(.runtime, "'\(text)' is no position in a partition", fix: "start the job from a checkpoint of the same plan")
        }
        let parts = text.split(separator: "..", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2 else { throw failure() }
        switch first {
        case "earliest": next = .earliest
        case "latest": next = .latest
        default:
            guard let offset = Int64(first), offset >= 0 else { throw failure() }
            next = .offset(offset)
        }
        if parts.count == 2 {
            guard let value = Int64(parts[1]), value >= 0 else { throw failure() }
            end = value
        }
    }

    var text: String {
        let start = switch next {
        case .earliest: "earliest"
        case .latest: "latest"
        case .offset(let offset): "\(offset)"
        }
        return end.map { "\(start)..\($0)" } ?? start
    }
}

extension TopicPartition {
    /// From a split's id; topics may have hyphens in their names.
    init?(splitID: String) {
        guard let hyphen = splitID.lastIndex(of: "-"), hyphen > splitID.startIndex,
              let partition = Int32(splitID[splitID.index(after: hyphen)...]), partition >= 0 else { return nil }
        self.init(String(splitID[..<hyphen]), partition)
    }
}
