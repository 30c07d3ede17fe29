import LakeTable
import StreamCore
import StreamFormats

/// `'format' = 'parquet'` of files: columns are found by their names, those that a file lacks are NULL.
///
/// Register it with ``FormatFactory/register(_:)``.
public struct ParquetFormat: FileFormat {
    public init() {}

    public var name: String { "parquet" }
    public var optionKeys: Set<String> { [ParquetFileEncoder.compressionKey, ParquetFileEncoder.rowGroupKey] }
    public var findsRowPartsByName: Bool { true }
    public var metadataKeys: [String: DataType] { [Self.row: .variant] }

    static let row = "row"

    public func readsWholeFiles(_ table: TableDescriptor) -> Bool { true }

    public func validateFiles(_ table: TableDescriptor) throws {
        try Parquet.require()
        _ = try ParquetFileEncoder.options(table)
    }

    public func fileReader(_ path: String, table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any FileReader {
        for key in metadata where key != Self.row {
            throw StreamError(.validate, "table \(table.name): format '\(name)' has no metadata '\(key)'", fix: "'\(Self.row)' is the one there is")
        }
        return try ParquetFileReader(path, wanted: projection.map { table.schema[$0] }, wholeRows: metadata.count, metrics: metrics)
    }

    public func fileEncoder(_ table: TableDescriptor) throws -> any FileEncoder { try ParquetFileEncoder(table) }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder { throw messages(table) }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder { throw messages(table) }

    private func messages(_ table: TableDescriptor) -> StreamError {
        StreamError(.validate, "table \(table.name): format 'parquet' is for files", fix: "use it with the connector 'filesystem'",
                    at: table.optionLocations["format"])
    }
}

/// Reads one Parquet file in the types of a table.
final class ParquetFileReader: FileReader {
    private let path: String
    private let wanted: Schema
    private let wholeRows: Int
    private let metrics: OperatorMetrics
    private var reader: ParquetReader?
    /// All columns of the file, or those that are read.
    private let read: Schema
    /// For each wanted column its place among those that are read; nil = the file lacks it.
    private let places: [Int?]
    private var pending: Batch?
    private var skipping = 0

    init(_ path: String, wanted: Schema, wholeRows: Int, metrics: OperatorMetrics) throws {
        (self.path, self.wanted, self.wholeRows, self.metrics) = (path, wanted, wholeRows, metrics)
        let reader = try ParquetReader(path: path), schema = reader.schema
        let found = wanted.map { field in
            schema.firstIndex { $0.name == field.name } ?? schema.firstIndex { $0.name.lowercased() == field.name.lowercased() }
        }
        var chosen = wholeRows > 0 ? Array(schema.indices) : Array(Set(found.compactMap { $0 })).sorted()
        // A file that has none of the columns must still tell how many rows there are.
        if chosen.isEmpty, !schema.isEmpty { chosen = [0] }
        places = found.map { column in column.map { chosen.firstIndex(of: $0)! } }
        read = chosen.map { schema[$0] }
        for (field, place) in zip(wanted, places) {
            guard let place, !ParquetConversion.canConvert(read[place].type, to: field.type) else { continue }
            throw StreamError(.validate, "\(path): column \(field.name) is stored as \(read[place].type), which cannot be read as \(field.type)",
                              fix: "declare the column as \(read[place].type)")
        }
        try reader.start(columns: chosen, batchRows: Batch.targetRows)
        self.reader = reader
    }

    func skip(rows count: Int) throws { skipping += count }

    func next(maxRows: Int) throws -> Batch? {
        while true {
            if let batch = pending {
                let count = min(max(maxRows, 1), batch.count)
                pending = count == batch.count ? nil : batch.slice(count..<batch.count)
                return count == batch.count ? batch.compacted() : batch.slice(0..<count).compacted()
            }
            guard let batch = try reader?.next() else { return nil }
            if skipping >= batch.physicalCount {
                skipping -= batch.physicalCount
                continue
            }
            let from = skipping
            skipping = 0
            let converted = try convert(batch)
            pending = from == 0 ? converted : converted.slice(from..<converted.count)
        }
    }

    private func convert(_ batch: Batch) throws -> Batch {
        let count = batch.physicalCount
        var columns = try zip(wanted, places).map { field, place in
            try place.map { try ParquetConversion.convert(batch.columns[$0], to: field.type, name: field.name, path: path) } ?? .nulls(type: field.type, count: count)
        }
        if wholeRows > 0 {
            let whole = VariantRows.objects(read.map(\.name), batch.columns, count: count)
            for _ in 0..<wholeRows { columns.append(whole) }
        }
        return Batch(columns: columns, physicalCount: count)
    }

    func close() {
        reader = nil
        pending = nil
    }
}
