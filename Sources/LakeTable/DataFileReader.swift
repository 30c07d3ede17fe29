import StreamCore

/// Reads chosen columns of a data file in the types that are wanted.
package final class DataFileReader {
    private let reader: ParquetReader
    private let wanted: Schema
    /// Position among the columns that are read; nil = the file is older than the column.
    private var sources: [Int?] = []

    /// - Parameter wanted: names and types; columns that the file lacks come as NULL.
    package init(path: String, wanted: Schema, batchRows: Int = 65_536) throws {
        reader = try ParquetReader(path: path)
        self.wanted = wanted
        let present = wanted.map { field in reader.schema.firstIndex { $0.name == field.name } }
        var chosen = Array(Set(present.compactMap { $0 })).sorted()
        // A file that has none of the columns must still tell how many rows there are.
        if chosen.isEmpty, !reader.schema.isEmpty { chosen = [0] }
        sources = present.map { column in column.map { chosen.firstIndex(of: $0)! } }
        try reader.start(columns: chosen, batchRows: batchRows)
    }

    package var rows: Int64 { reader.rows }

    package func metadata(_ key: String) -> String? { reader.metadata(key) }

    package func next() throws -> Batch? {
        guard let batch = try reader.next() else { return nil }
        let columns = try zip(wanted, sources).map { field, source in
            try source.map { try ColumnConversion.convert(batch.columns[$0], to: field.type, name: field.name) }
                ?? .nulls(type: field.type, count: batch.physicalCount)
        }
        return Batch(columns: columns, physicalCount: batch.physicalCount)
    }
}
