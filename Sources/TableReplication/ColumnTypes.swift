import StreamCore
import StreamSQL

/// Types of columns that a replicated table needs and nobody declares: those that the target has already, else those of the first
/// record of the source that has them.
struct ColumnTypes {
    let table: ReplicatedTable
    let catalog: Catalog

    /// Records that are looked at.
    private static let records = 1_000

    /// SQL types of all of the columns.
    /// - Throws: `.validate` naming a column whose type cannot be told; errors of reading.
    func of(_ wanted: [String]) throws -> [String: String] {
        var types = try stored()
        var missing = wanted.filter { types[$0] == nil }
        if let column = table.source["dms.timestamp-column"], missing.contains(column) {
            types[column] = "TIMESTAMP(6)"
            missing.removeAll { $0 == column }
        }
        for source in [table.initial, table.source].compactMap({ $0 }) where !missing.isEmpty {
            try sample(source, missing) { types[$0] = $1 }
            missing.removeAll { types[$0] != nil }
        }
        guard missing.isEmpty else {
            throw StreamError(.validate, "table \(table.name): nothing tells the type of column \(missing.joined(separator: ", "))",
                              fix: "declare it under columns:, as in columns: {\(missing[0]): BIGINT}")
        }
        return types.filter { wanted.contains($0.key) }
    }

    /// Those of the target; none when it does not exist yet.
    private func stored() throws -> [String: String] {
        guard let connector = table.sink["connector"].flatMap({ catalog.connector($0) }) else { return [:] }
        let descriptor = TableDescriptor(name: table.table.table, schema: [], options: table.sink)
        let stored: StoredTable?
        do { stored = try connector.storedTable(for: descriptor) } catch let error as StreamError where error.code == .validate || error.code == .io { return [:] }
        return Dictionary(uniqueKeysWithValues: (stored?.schema ?? []).map { ($0.name, "\($0.type)") })
    }

    /// What the first records say, each field by its first value. Sources without an end are not waited for.
    private func sample(_ options: [String: String], _ wanted: [String], _ found: (String, String) -> Void) throws {
        guard options["connector"] == "filesystem", let connector = catalog.connector("filesystem") else { return }
        var options = options
        for key in ["source.monitor-interval", "source.new-files-on-restore"] { options[key] = nil }
        if options["format"] == "dms" { options["dms.changelog-mode"] = "append" }
        let declared = (table.settings.columns ?? []).compactMap { column in (try? SQLParser.parseType(column.type)).map { Field(column.name, $0.0) } }
        let descriptor = TableDescriptor(
            name: table.table.table, schema: declared.isEmpty ? wanted.map { Field($0, .string) } : declared,
            metadata: [.init(name: "row", key: "row", type: .variant, isVirtual: true)], options: options)
        let source = try connector.source(for: descriptor, scan: ScanRequest(projection: [], metadata: [0]))
        var missing = Set(wanted), left = Self.records
        for split in try source.splits() {
            let reader = try source.reader(for: split, metrics: OperatorMetrics())
            defer { reader.close() }
            while left > 0, !missing.isEmpty, case .batch(let batch) = try reader.next(maxRows: 64) {
                for row in 0..<batch.count where batch.columns[0].isValid(batch.row(row)) {
                    let record = batch.columns[0].flat().bytes(at: batch.row(row))
                    for name in missing {
                        guard let type = Self.type(of: name, in: Variant(UnsafeRawBufferPointer(record))) else { continue }
                        found(name, type)
                        missing.remove(name)
                    }
                }
                left -= batch.count
            }
            if left <= 0 || missing.isEmpty { return }
        }
    }

    /// Whole numbers may grow: they are BIGINT, whatever the first is. nil for NULL, and for what no column of its own holds.
    private static func type(of name: String, in record: Variant) -> String? {
        var name = name
        guard let value = name.withUTF8({ record.member(UnsafeRawBufferPointer($0)) }) else { return nil }
        switch value.kind {
        case .true, .false: return "BOOLEAN"
        case .integer: return "BIGINT"
        case .double: return "DOUBLE"
        case .float: return "FLOAT"
        case .decimal: return "DECIMAL(38, \(value.decimal.scale))"
        case .string: return "STRING"
        case .binary: return "BYTES"
        case .date: return "DATE"
        case .time: return "TIME(3)"
        case .timestamp: return "TIMESTAMP(\(value.timestamp.precision))"
        case .instant: return "TIMESTAMP_LTZ(\(value.timestamp.precision))"
        case .null, .array, .object: return nil
        }
    }
}
