import StreamCore

/// Reads chosen columns of a data file in the types that are wanted, row groups that nobody wants left out.
package final class DataFileReader {
    private let reader: ParquetReader
    private let wanted: Schema
    /// Position among the columns that are read; nil = the file is older than the column.
    private var sources: [Int?] = []
    private var constants: [String: Value]
    /// Row groups of the file, and how many of them are read.
    package let groupCount: Int, groupsRead: Int
    /// The numbers, within the file, of the rows that are read; ascending.
    package let ranges: [Range<Int64>]

    /// All rows of a file; see the other initialiser.
    package convenience init(path: String, wanted: Schema, ids: [Int32?]? = nil, constants: [String: Value] = [:], fallbacks: [String: Value] = [:],
                             batchRows: Int = 65_536) throws {
        try self.init(ParquetReader(path: path), wanted: wanted, ids: ids, constants: constants, fallbacks: fallbacks, batchRows: batchRows)
    }

    /// - Parameters:
    ///   - reader: not started yet.
    ///   - wanted: names and types; columns that the file lacks come as NULL.
    ///   - ids: of the wanted columns, in files whose columns have ids: then these count, not the names.
    ///   - constants: the values of columns that are not read from the file.
    ///   - fallbacks: the values of columns that the file may lack.
    ///   - conditions: row groups whose statistics show that one of them holds for no row are left out.
    ///   - includes: asked with the range of a row group's rows within the file; false leaves it out.
    package init(_ reader: ParquetReader, wanted: Schema, ids: [Int32?]? = nil, constants: [String: Value] = [:], fallbacks: [String: Value] = [:],
                 batchRows: Int = 65_536, where conditions: [ColumnCondition] = [], includes: (Range<Int64>) -> Bool = { _ in true }) throws {
        self.reader = reader
        self.wanted = wanted
        self.constants = constants
        let rowGroups = reader.rowGroups
        var ranges: [Range<Int64>] = [], start: Int64 = 0
        for rows in rowGroups {
            ranges.append(start..<start + rows)
            start += rows
        }
        // Statistics say nothing of values that do not come from the file, and names nothing of columns that are found by their ids.
        let told = ids == nil ? conditions.filter { constants[$0.name] == nil && fallbacks[$0.name] == nil } : []
        let groups = try reader.groups(where: told, rowGroups: rowGroups).filter { includes(ranges[$0]) }
        (groupCount, groupsRead) = (rowGroups.count, groups.count)
        self.ranges = groups.map { ranges[$0] }
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
        if !groups.isEmpty { try reader.start(columns: chosen, groups: groups.count == groupCount ? nil : groups, batchRows: batchRows) }
    }

    /// All rows of the file, whether they are read or not.
    package var rows: Int64 { reader.rows }

    package func metadata(_ key: String) -> String? { reader.metadata(key) }

    package func next() throws -> Batch? {
        guard groupsRead > 0, let batch = try reader.next() else { return nil }
        let columns = try zip(wanted, sources).map { field, source in
            try source.map { try ColumnConversion.convert(batch.columns[$0], to: field.type, name: field.name) }
                ?? constants[field.name].map { .constant($0, type: field.type, count: batch.physicalCount) }
                ?? .nulls(type: field.type, count: batch.physicalCount)
        }
        return Batch(columns: columns, physicalCount: batch.physicalCount)
    }

    /// The number within the file of the row that comes after the first `count` rows read.
    package func fileRow(after count: Int64) -> Int64 {
        var left = count
        for range in ranges {
            let rows = range.upperBound - range.lowerBound
            if left < rows { return range.lowerBound + left }
            left -= rows
        }
        return ranges.last?.upperBound ?? 0
    }

    /// How many of the rows read come before a row of the file.
    package func rowsRead(before fileRow: Int64) -> Int64 {
        ranges.reduce(0) { $0 + max(0, min(fileRow, $1.upperBound) - $1.lowerBound) }
    }
}
