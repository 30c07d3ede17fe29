import Foundation
import LakeTable
import StreamCore
import Synchronization

/// Reads one version of a table; each live file is a split.
final class DeltaSource: TableSource {
    private let files: TableFiles
    private let table: TableDescriptor
    private let scan: ScanRequest
    private let asOf: DeltaOptions.AsOf
    private let kept = Mutex<[SourceSplit]?>(nil)

    init(files: TableFiles, table: TableDescriptor, scan: ScanRequest, asOf: DeltaOptions.AsOf) {
        (self.files, self.table, self.scan, self.asOf) = (files, table, scan, asOf)
    }

    var isBounded: Bool { true }

    func splits() throws -> [SourceSplit] {
        if let splits = kept.withLock({ $0 }) { return splits }
        let snapshot = try Self.snapshot(files, asOf, table: table)
        let stored = try snapshot.schema().columns
        try checkColumns(stored)
        let skipping = FileSkipping(scan, schema: table.schema, partitions: snapshot.metadata.partitionColumns)
        let wanted = scan.wantedPartitions
        let partitions = snapshot.metadata.partitionColumns.map { name in
            (name: name, type: table.schema.first { $0.name == name }?.type)
        }
        let splits = try snapshot.files.sorted { $0.key < $1.key }.compactMap { path, file -> SourceSplit? in
            for (name, type) in partitions {
                guard let type, wanted.restricts(name) else { continue }
                let value = try PartitionValues.value(file.partitionValues[name] ?? nil, type: type, column: name, table: files.root)
                if !wanted.admits(value, for: name) { return nil }
            }
            guard skipping.mayHold(file) else { return nil }
            return SourceSplit(id: DeltaSplit(path: path, partitions: partitions.map { ($0.name, file.partitionValues[$0.name] ?? nil) }).id)
        }
        return kept.withLock { kept in
            kept = kept ?? splits
            return kept!
        }
    }

    /// The version of a table that is asked for.
    static func snapshot(_ files: TableFiles, _ asOf: DeltaOptions.AsOf, table: TableDescriptor) throws -> DeltaSnapshot {
        let version: Int64? = switch asOf {
        case .newest: nil
        case .version(let version): version
        case .time(let time): try Self.version(at: time, files, table: table)
        }
        guard let snapshot = try DeltaSnapshot.load(files, version: version) else {
            throw StreamError(.validate, "table \(table.name): there is no Delta table at \(files.root)", fix: "check 'path', or write to the table first",
                              at: table.optionLocations[LakeOptions.path])
        }
        try ProtocolCheck.requireReadable(snapshot, table: files.root)
        return snapshot
    }

    /// The newest version that was committed at a time or before.
    private static func version(at time: Int64, _ files: TableFiles, table: TableDescriptor) throws -> Int64? {
        let versions = try LogListing(files).versions
        guard let first = versions.first else { return nil }
        // Times grow with versions.
        var low = 0, high = versions.count
        while low < high {
            let middle = (low + high) / 2
            if (try LogListing.timestamp(versions[middle], files) ?? 0) <= time { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else {
            let oldest = try LogListing.timestamp(first, files) ?? 0
            throw StreamError(.validate, "table \(table.name): the Delta table at \(files.root) cannot be read as of \(DateTimeText.timestamp(time, precision: 3)): "
                              + "its oldest version \(first) is from \(DateTimeText.timestamp(oldest, precision: 3))",
                              fix: "ask for a later time", at: table.optionLocations[DeltaOption.timestampAsOf])
        }
        return versions[low - 1]
    }

    private func checkColumns(_ stored: Schema) throws {
        for i in scan.projection {
            let field = table.schema[i]
            guard let column = stored.first(where: { $0.name == field.name }) else {
                throw StreamError(.validate, "table \(table.name): the Delta table at \(files.root) has no column '\(field.name)'",
                                  fix: NearName.hint(for: field.name, in: stored.map(\.name)))
            }
            guard ColumnConversion.canRead(column.type, as: field.type) else {
                throw StreamError(.validate, "table \(table.name): column \(field.name) is \(column.type) in the Delta table at \(files.root), "
                                  + "which cannot be read as \(field.type)", fix: "declare \(field.name) \(column.type)")
            }
        }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        let file = try DeltaSplit(id: split.id, table: files.root)
        let wanted = scan.projection.map { Field(table.schema[$0].name, table.schema[$0].type) }
        var constants: [String: Value] = [:]
        for (name, text) in file.partitions {
            guard let type = wanted.first(where: { $0.name == name })?.type else { continue }
            constants[name] = try PartitionValues.value(text, type: type, column: name, table: files.root)
        }
        metrics.bytesIn.add(Int(files.size(file.path)))
        return try DataFileSplitReader(
            DataFileReader(path: files.absolute(file.path), wanted: wanted, constants: constants, batchRows: Batch.targetRows), path: files.absolute(file.path), position: split.position)
    }
}

/// What the id of a split says: a file and the values of its partition, `path?column=value&column`, percent-encoded; a column without
/// a value is NULL.
struct DeltaSplit {
    var path: String
    var partitions: [(name: String, text: String?)]

    init(path: String, partitions: [(String, String?)]) { (self.path, self.partitions) = (path, partitions.map { (name: $0.0, text: $0.1) }) }

    var id: String {
        let path = ActionPath.encode(path)
        if partitions.isEmpty { return path }
        return path + "?" + partitions.map { Self.escape($0.name) + ($0.text.map { "=" + Self.escape($0) } ?? "") }.joined(separator: "&")
    }

    private static func escape(_ text: String) -> String {
        ActionPath.encode(text).replacingOccurrences(of: "&", with: "%26").replacingOccurrences(of: "=", with: "%3D")
    }

    init(id: String, table: String) throws {
        let parts = id.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        func plain(_ text: Substring) throws -> String {
            guard let plain = text.removingPercentEncoding else { throw StreamError(.corrupt, "Delta table \(table): '\(id)' is not the id of a split of it") }
            return plain
        }
        path = try plain(parts[0])
        partitions = parts.count == 1 ? [] : try parts[1].split(separator: "&").map { part in
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: try plain(sides[0]), text: sides.count == 2 ? try plain(sides[1]) : nil)
        }
    }
}
