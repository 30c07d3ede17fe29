import Foundation
import StreamCore

/// When a part file ends.
struct RollingPolicy: Sendable {
    var bytes: Int
    /// Milliseconds since the file was begun, and since the last row.
    var rollover: Int64
    var inactivity: Int64
    /// Milliseconds between looks at the two.
    var check: Int64
    /// Every commit ends all files; otherwise they go on growing, and are seen once they end.
    var onCheckpoint: Bool

    static let keys: Set<String> = [
        "sink.rolling-policy.file-size", "sink.rolling-policy.rollover-interval", "sink.rolling-policy.inactivity-interval",
        "sink.rolling-policy.check-interval", "sink.rolling-policy.on-checkpoint",
    ]

    init(_ options: TableOptions) throws {
        bytes = try options.bytes("sink.rolling-policy.file-size") ?? 128 << 20
        guard bytes > 0 else { throw options.error("sink.rolling-policy.file-size", "is not positive") }
        func interval(_ name: String, _ otherwise: Int64) throws -> Int64 {
            let key = "sink.rolling-policy." + name
            guard let time = try options.milliseconds(key) else { return otherwise }
            guard time > 0 else { throw options.error(key, "is not positive") }
            return time
        }
        rollover = try interval("rollover-interval", 30 * 60_000)
        inactivity = try interval("inactivity-interval", 30 * 60_000)
        check = try interval("check-interval", 60_000)
        onCheckpoint = try options.bool("sink.rolling-policy.on-checkpoint") ?? true
    }

    /// Files of a delivery stream end by size and age alone.
    init(bytes: Int, rollover: Int64, check: Int64) {
        (self.bytes, self.rollover, self.check) = (bytes, rollover, check)
        inactivity = .max
        onCheckpoint = false
    }

    /// Rows of a file that has ended wait for a commit, so one is wanted as often as files may end.
    var commitInterval: Duration { .milliseconds(onCheckpoint ? rollover : min(check, rollover)) }
}

/// When a partition counts as complete, and what says so: a file in its folder.
struct PartitionCommit: Sendable {
    enum Trigger: Sendable {
        /// The clock has passed the partition's first file by the delay.
        case processTime
        /// The watermark has passed the time that the partition's values tell, by the delay.
        case partitionTime(PartitionTime)
    }

    var trigger: Trigger
    /// Milliseconds.
    var delay: Int64
    var successFile: String

    static let keys: Set<String> = Set([
        "sink.partition-commit.trigger", "sink.partition-commit.delay", "sink.partition-commit.policy.kind",
        "sink.partition-commit.success-file.name", "sink.partition-commit.watermark-time-zone",
    ]).union(PartitionTime.keys)

    /// nil when no policy is set, as in Flink.
    init?(_ options: TableOptions) throws {
        let table = options.table, kindKey = "sink.partition-commit.policy.kind", nameKey = "sink.partition-commit.success-file.name"
        let isPartitionTime = try options.choice("sink.partition-commit.trigger", ["process-time", "partition-time"]) == "partition-time"
        delay = try options.milliseconds("sink.partition-commit.delay") ?? 0
        successFile = options.string(nameKey) ?? "_SUCCESS"
        guard successFile.hasPrefix("_") || successFile.hasPrefix("."), !successFile.contains("/") else {
            throw options.error(nameKey, "would be read as data", fix: "begin the name with '_' or '.', without '/'")
        }
        let time = try PartitionTime(options)
        trigger = isPartitionTime ? .partitionTime(time) : .processTime
        guard let kinds = options.string(kindKey) else { return nil }
        for kind in kinds.split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces).lowercased() }) where kind != "success-file" {
            let known = ["metastore": "there is no metastore here", "custom": "classes cannot be loaded here"]
            throw options.error(kindKey, known[kind].map { "is not available: \($0)" } ?? "is not known here", fix: "use 'success-file'")
        }
        guard !table.partitionKeys.isEmpty else {
            throw options.error(kindKey, "needs a partitioned table", fix: "add PARTITIONED BY, or leave the option out")
        }
    }
}

/// Tells a partition's time from its values.
struct PartitionTime: Sendable {
    private let pattern: String
    private let formatter: String?
    private let zone: TimeZone
    private let keys: [String]

    static let keys: Set<String> = [
        "partition.time-extractor.kind", "partition.time-extractor.class", "partition.time-extractor.timestamp-pattern",
        "partition.time-extractor.timestamp-formatter",
    ]

    init(_ options: TableOptions) throws {
        if try options.choice("partition.time-extractor.kind", ["default", "custom"]) == "custom" || options.has("partition.time-extractor.class") {
            let key = options.has("partition.time-extractor.class") ? "partition.time-extractor.class" : "partition.time-extractor.kind"
            throw options.error(key, "is not available: classes cannot be loaded here", fix: "use 'partition.time-extractor.timestamp-pattern'")
        }
        // The longest first, so that $day is not read in $daytime.
        keys = options.table.partitionKeys.sorted { $0.count > $1.count }
        let patternKey = "partition.time-extractor.timestamp-pattern"
        pattern = options.string(patternKey) ?? options.table.partitionKeys.first.map { "$" + $0 } ?? ""
        formatter = options.string("partition.time-extractor.timestamp-formatter")
        if options.has(patternKey), !keys.contains(where: { [pattern] in pattern.contains("$" + $0) }) {
            throw options.error(patternKey, "names no partition column", fix: "write it as in '$\(keys.first ?? "day") 00:00:00'")
        }
        let zoneKey = "sink.partition-commit.watermark-time-zone"
        guard let zone = TimeZone(identifier: options.string(zoneKey) ?? "UTC") else {
            throw options.error(zoneKey, "is not a time zone", fix: "write it as in 'UTC' or 'Europe/Berlin'")
        }
        self.zone = zone
    }

    /// Milliseconds since 1970-01-01. Throws for values that tell no time.
    func milliseconds(_ values: [String: String], folder: String) throws -> Int64 {
        var text = pattern
        for key in keys { text = text.replacingOccurrences(of: "$" + key, with: values[key] ?? "") }
        guard let local = local(text) else {
            throw StreamError(.runtime, "partition \(folder) tells no time: '\(text)' does not follow \(formatter.map { "'\($0)'" } ?? "'yyyy-MM-dd HH:mm:ss'")",
                              fix: "set 'partition.time-extractor.timestamp-pattern' and '-formatter', or use the trigger 'process-time'")
        }
        // The zone's offset at a local time: from the offset a little off, corrected once.
        func offset(at time: Int64) -> Int64 { Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(time) / 1_000))) * 1_000 }
        return local - offset(at: local - offset(at: local))
    }

    private func local(_ text: String) -> Int64? {
        if let formatter {
            let reader = DateFormatter()
            reader.locale = Locale(identifier: "en_US_POSIX")
            reader.timeZone = TimeZone(identifier: "UTC")
            reader.isLenient = false
            reader.dateFormat = formatter
            return reader.date(from: text).map { Int64(($0.timeIntervalSince1970 * 1_000).rounded()) }
        }
        var copy = text
        return copy.withUTF8 { DateTimeText.parseTimestamp(UnsafeRawBufferPointer($0), precision: 3) }
    }
}
