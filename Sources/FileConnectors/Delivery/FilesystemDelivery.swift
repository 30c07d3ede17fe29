import Foundation
import StreamCore
import StreamFormats

/// How a filesystem table is written when `sink.delivery.stream` is set: as a delivery stream of Firehose writes.
///
/// A file takes rows until it has `sink.delivery.buffer-size` bytes (before compression) or is as old as `sink.delivery.buffer-interval`,
/// whichever comes first; then it appears, whole, as `<prefix><stream>-<version>-yyyy-MM-dd-HH-mm-ss-<uuid><extension>`.
/// Rows with different values in the PARTITIONED BY columns are in different files; those columns are only in the prefix.
struct FilesystemDelivery: Sendable {
    enum Compression: String, Sendable, CaseIterable {
        case none, gzip
    }

    var stream: String
    var version: Int
    var prefix: DeliveryPrefix
    var use: DeliveryPrefix.Use
    var bufferBytes: Int
    /// Milliseconds.
    var bufferInterval: Int64
    var compression: Compression
    var fileExtension: String
    var zone: TimeZone
    /// Written behind each record.
    var delimiter: [UInt8]
    /// For files of failed records: what the failure is called, unless the record says it.
    var errorCode: String
    /// Where the time of a record is among the columns of a batch; nil = none tells it.
    var arrivalColumn: Int?

    static let streamKey = "sink.delivery.stream"
    static let keys: Set<String> = [
        streamKey, "sink.delivery.version", "sink.delivery.prefix", "sink.delivery.error-type", "sink.delivery.error-code", "sink.delivery.buffer-size",
        "sink.delivery.buffer-interval", "sink.delivery.compression", "sink.delivery.file-extension", "sink.delivery.time-zone", "sink.delivery.record-delimiter",
    ]
    /// Metadata that can be written: when a record arrived. The oldest one of a file gives the times in its name.
    static let arrivalKey = "arrival-timestamp"
    /// What the folder of files that have not been delivered begins with.
    static let asidePrefix = ".delivery-"

    /// nil when the table is an ordinary one.
    init?(_ options: TableOptions, format: any Format) throws {
        guard let stream = options.string(Self.streamKey) else {
            if let other = Self.keys.sorted().first(where: { options.has($0) }) {
                throw options.error(other, "has no effect by itself", fix: "add '\(Self.streamKey)' = 'name', which the files are named after")
            }
            return nil
        }
        guard !stream.isEmpty, stream.utf8.count <= 64, stream.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F }) else {
            throw options.error(Self.streamKey, "cannot begin the names of files", fix: "use 1 to 64 letters, digits, '_', '-' and '.'")
        }
        self.stream = stream
        for key in RollingPolicy.keys.union(PartitionCommit.keys).sorted() where options.has(key) {
            throw options.error(key, "does not go with '\(Self.streamKey)'", fix: "use 'sink.delivery.buffer-size' and 'sink.delivery.buffer-interval'")
        }
        if format.producesChanges { throw options.error("format", "writes changes, which cannot be delivered", fix: "use 'raw' or 'json'") }
        version = try options.int("sink.delivery.version", in: 1...1_000_000_000) ?? 1
        use = options.string("sink.delivery.error-type").map { .errors($0) } ?? .records
        errorCode = options.string("sink.delivery.error-code") ?? "DataFormat.ParseError"
        do {
            prefix = try DeliveryPrefix(options.string("sink.delivery.prefix") ?? "").completed(for: use)
        } catch let error as StreamError {
            throw options.error("sink.delivery.prefix", error.problem, fix: error.fix)
        }
        if use == .records, prefix.hasErrorType {
            throw options.error("sink.delivery.prefix", "has !{firehose:error-output-type}, which only failed records have", fix: "leave it out")
        }
        let partitions = options.table.partitionKeys
        for key in prefix.keys where !partitions.contains(key) {
            throw options.error("sink.delivery.prefix", "names !{partitionKeyFromQuery:\(key)}, which the table is not partitioned by", fix: "add PARTITIONED BY (\(key))")
        }
        for key in partitions where !prefix.keys.contains(key) {
            throw options.error("sink.delivery.prefix", "does not name partition column \(key)", fix: "add !{partitionKeyFromQuery:\(key)} to it")
        }
        bufferBytes = try options.bytes("sink.delivery.buffer-size") ?? 5 << 20
        guard bufferBytes > 0 else { throw options.error("sink.delivery.buffer-size", "is not positive") }
        bufferInterval = try options.milliseconds("sink.delivery.buffer-interval") ?? 300_000
        guard bufferInterval >= 0 else { throw options.error("sink.delivery.buffer-interval", "is negative") }
        let given = (options.string("sink.delivery.compression") ?? "none").lowercased()
        guard let compression = Compression(rawValue: given == "uncompressed" ? "none" : given) else {
            throw options.error("sink.delivery.compression", "is not available here", fix: "use 'none' or 'gzip'")
        }
        self.compression = compression
        let ending = options.string("sink.delivery.file-extension") ?? ""
        guard ending.isEmpty || ending.hasPrefix("."), !ending.contains("/"), ending.utf8.count <= 60 else {
            throw options.error("sink.delivery.file-extension", "does not end a file's name", fix: "write it as in '.json'")
        }
        fileExtension = ending.isEmpty && compression == .gzip ? ".gz" : ending
        let zoneName = options.string("sink.delivery.time-zone") ?? "UTC"
        guard let zone = TimeZone(identifier: zoneName) else {
            throw options.error("sink.delivery.time-zone", "is not a time zone", fix: "write it as in 'UTC' or 'Asia/Tokyo'")
        }
        self.zone = zone
        delimiter = Array((options.string("sink.delivery.record-delimiter") ?? "\\n").replacingOccurrences(of: "\\n", with: "\n")
            .replacingOccurrences(of: "\\r", with: "\r").replacingOccurrences(of: "\\t", with: "\t").utf8)
        let written = options.table.metadata.filter { !$0.isVirtual }
        arrivalColumn = written.firstIndex { $0.key == Self.arrivalKey }.map { options.table.schema.count + $0 }
        if let column = written.first(where: { $0.key == Self.arrivalKey }), column.type != .timestampLTZ(3) {
            throw StreamError(.validate, "table \(options.table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(Self.arrivalKey)'",
                              fix: "declare it as TIMESTAMP_LTZ(3)")
        }
        if case .errors = use { try ErrorRecordEncoder.check(options.table) }
    }

    /// Files end as the stream says, and by themselves: a commit is looked for often enough for that.
    var rolling: RollingPolicy { RollingPolicy(bytes: bufferBytes, rollover: bufferInterval, check: min(1_000, max(bufferInterval / 4, 50))) }

    /// Folder and name of a file, relative to the destination.
    func name(oldest: Int64, keys: [String: String], host: StreamCore.Host) -> (folder: String, name: String) {
        let path = prefix.evaluated(time: oldest, zone: zone, keys: keys, use: use, host: host)
        let time = DeliveryPrefix.format(oldest, "yyyy-MM-dd-HH-mm-ss", zone)
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { String(path[..<$0]) } ?? "", start = slash.map { String(path[path.index(after: $0)...]) } ?? path
        var first = Substring(folder)
        while first.first == "/" { first.removeFirst() }
        return (String(first), "\(start)\(stream)-\(version)-\(time)-\(host.uuid())\(fileExtension)")
    }
}
