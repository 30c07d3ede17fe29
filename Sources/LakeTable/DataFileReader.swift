import StreamCore

/// Reads chosen columns of a data file in the types that are wanted.
package final class DataFileReader {
    private let reader: ParquetReader
    private let wanted: Schema
    /// Position among the columns that are read; nil = the file is older than the column.
    private var sources: [Int?] = []
    private var constants: [String: Value]

    /// - Parameters:
    ///   - wanted: names and types; columns that the file lacks come as NULL.
    ///   - ids: of the wanted columns, in files whose columns have ids: then these count, not the names.
    ///   - constants: the values of columns that are not read from the file.
    ///   - fallbacks: the values of columns that the file may lack.
    package init(path: String, wanted: Schema, ids: [Int32?]? = nil, constants: [String: Value] = [:], fallbacks: [String: Value] = [:], batchRows: Int = 65_536) throws {
        reader = try ParquetReader(path: path)
        self.wanted = wanted
        self.constants = constants
        let stored = ids == nil ? [] : reader.fieldIDs, byID = stored.contains { $0 != nil }
        let present = wanted.enumerated().map { i, field -> Int? in
            if constants[field.name] != nil { return nil }
            if byID, let id = ids?[i] { return stored.firstIndex { $0 == id } }
            return reader.schema.firstIndex { $0.name == field.name }
        }
        for (i, field) in wanted.enumerated() where present[i] == nil {
            if let value = fallbacks[field.name], constants[field.name] == nil { self.constants[field.name] = value }
        }
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
                ?? constants[field.name].map { .constant($0, type: field.type, count: batch.physicalCount) }
                ?? .nulls(type: field.type, count: batch.physicalCount)
        }
        return Batch(columns: columns, physicalCount: batch.physicalCount)
    }
}
