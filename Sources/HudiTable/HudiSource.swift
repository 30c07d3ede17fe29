import LakeTable
import StreamCore
import Synchronization

/// Reads the newest committed snapshot; each live base file is a split.
final class HudiSource: TableSource {
    private let files: TableFiles
    private let table: TableDescriptor
    private let scan: ScanRequest
    private let snapshot = Mutex<[SourceSplit]?>(nil)

    init(files: TableFiles, table: TableDescriptor, scan: ScanRequest) {
        (self.files, self.table, self.scan) = (files, table, scan)
    }

    var isBounded: Bool { true }

    func splits() throws -> [SourceSplit] {
        if let splits = snapshot.withLock({ $0 }) { return splits }
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "table \(table.name): there is no Hudi table at \(files.root)",
                              fix: "check 'path', or write to the table first", at: table.optionLocations[HudiOption.path])
        }
        let pruning = try PartitionPruning(scan.partitionFilter, table: table, properties)
        let loaded = try TableSnapshot.load(files, properties, pruning)
        try checkColumns(loaded.schema ?? [])
        let splits = loaded.slices.filter { pruning.mayMatch($0.partition) }.map { SourceSplit(id: $0.path) }
        return snapshot.withLock { kept in
            kept = kept ?? splits
            return kept!
        }
    }

    private func checkColumns(_ stored: Schema) throws {
        for i in scan.projection {
            let field = table.schema[i]
            guard let column = stored.first(where: { $0.name == field.name }) else {
                throw StreamError(.validate, "table \(table.name): the Hudi table at \(files.root) has no column '\(field.name)'",
                                  fix: NearName.hint(for: field.name, in: stored.map(\.name)))
            }
            guard ColumnConversion.canRead(column.type, as: field.type) else {
                throw StreamError(.validate, "table \(table.name): column \(field.name) is \(column.type) in the Hudi table at \(files.root), "
                                  + "which cannot be read as \(field.type)", fix: "declare \(field.name) \(column.type)")
            }
        }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        let wanted = scan.projection.map { Field(table.schema[$0].name, table.schema[$0].type) }
            + scan.metadata.map { Field(table.metadata[$0].key, .string) }
        let types = scan.projection.map { table.schema[$0].type } + scan.metadata.map { table.metadata[$0].type }
        metrics.bytesIn.add(Int(files.size(split.id)))
        return try HudiSplitReader(path: files.absolute(split.id), wanted: wanted, types: types, position: split.position)
    }
}

/// Reads one base file. Its position is the number of rows handed out.
final class HudiSplitReader: SplitReader {
    private let reader: DataFileReader
    private let types: [DataType]
    private var batch: Batch?
    private var consumed = 0
    private var handedOut: Int64
    private var toSkip: Int64

    init(path: String, wanted: Schema, types: [DataType], position: String?) throws {
        reader = try DataFileReader(path: path, wanted: wanted, batchRows: Batch.targetRows)
        self.types = types
        guard let start = Int64(position ?? "0") else { throw StreamError(.corrupt, "\(path): '\(position!)' is not a row number") }
        (handedOut, toSkip) = (start, start)
    }

    var position: String { String(handedOut) }

    func next(maxRows: Int) throws -> ReadResult {
        while true {
            if let batch, consumed < batch.physicalCount {
                let n = min(maxRows, batch.physicalCount - consumed)
                defer {
                    consumed += n
                    handedOut += Int64(n)
                }
                return .batch(batch.slice(consumed..<consumed + n))
            }
            guard let read = try reader.next() else { return .endOfSplit }
            batch = Batch(columns: zip(read.columns, types).map { $0.type == $1 ? $0 : $0.retyped($1) }, physicalCount: read.physicalCount)
            consumed = Int(min(toSkip, Int64(read.physicalCount)))
            toSkip -= Int64(consumed)
        }
    }
}

/// Leaves out partitions that a query cannot want.
struct PartitionPruning {
    /// Level of the path -> names that are wanted.
    private var wanted: [Int: Set<String>] = [:]

    init(_ filter: [String: Set<Value>], table: TableDescriptor, _ properties: TableProperties) throws {
        for (level, name) in properties.partitionFields.enumerated() {
            guard let values = filter[name], let type = table.schema.first(where: { $0.name == name })?.type else { continue }
            var names: Set<String> = []
            for value in values {
                let builder = ColumnBuilder(type: type, capacity: 1)
                builder.append(value)
                let stored = try ColumnConversion.convert(builder.finish(), to: try StoredTypes.stored(type, column: name), name: name)
                let text = try TextColumn(stored, null: PartitionPath.defaultName, empty: PartitionPath.defaultName, what: name)
                // A value that cannot be a folder's name is in no partition.
                if let folder = try? PartitionPath.level(field: name, value: String(decoding: text.value(0), as: UTF8.self), properties.keyRules) { names.insert(folder) }
            }
            wanted[level] = names
        }
    }

    func mayMatch(_ path: String) -> Bool {
        let levels = path.split(separator: "/", omittingEmptySubsequences: false)
        return wanted.allSatisfy { level, names in level >= levels.count || names.contains(String(levels[level])) }
    }
}
