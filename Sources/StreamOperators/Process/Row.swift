import StreamCore

/// What names a column: its name, or its number from 0. A number costs less; ``ProcessContext/column(_:input:)`` finds it once.
public protocol ColumnReference {
    func position(in layout: RowLayout) throws -> Int
}

extension Int: ColumnReference {
    public func position(in layout: RowLayout) throws -> Int {
        if layout.schema.indices.contains(self) { return self }
        throw StreamError(.validate, "there is no column \(self): the rows have \(layout.schema.count) columns",
                          fix: "columns count from 0; \(layout.schema.enumerated().map { "\($0.offset) is \($0.element.name)" }.joined(separator: ", "))")
    }
}

extension String: ColumnReference {
    public func position(in layout: RowLayout) throws -> Int {
        if let position = layout.positions[self] { return position }
        throw StreamError(.validate, "there is no column \"\(self)\"", fix: NearName.hint(for: self, in: layout.schema.map(\.name)))
    }
}

/// Columns of rows, found by name.
public final class RowLayout: Sendable {
    public let schema: Schema
    let positions: [String: Int]

    public init(_ schema: Schema) {
        self.schema = schema
        positions = Dictionary(schema.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }
}

/// One row of a batch. Reads from the batch's columns; nothing is copied until it is asked for.
///
/// Each access throws a `.validate` error when there is no such column or it is of another type, and gives nil for NULL.
public struct Row {
    public let layout: RowLayout
    /// What the row means in a changelog.
    public let kind: RowKind
    private let columns: [Column]
    private let row: Int

    /// - Parameter columns: none of them dictionary-coded.
    init(layout: RowLayout, columns: [Column], row: Int, kind: RowKind) {
        self.layout = layout
        self.columns = columns
        self.row = row
        self.kind = kind
    }

    private func mismatch(_ column: Column, _ reference: some ColumnReference, _ wanted: String) -> StreamError {
        let reader = switch column.type.physical {
        case .bool: "bool"
        case .int8, .int16, .int32, .int64: "int64"
        case .float, .double: "double"
        case .view: column.type.isText ? "string" : "bytes"
        default: "value"
        }
        return StreamError(.validate, "column \(reference) is \(column.type), not \(wanted)", fix: "read it with \(reader)(...)")
    }

    /// TINYINT to BIGINT, and dates, times and intervals in the unit of their type.
    public func int64(_ reference: some ColumnReference) throws -> Int64? {
        let column = columns[try reference.position(in: layout)]
        switch column.type.physical {
        case .int8: return column.isValid(row) ? Int64(column.pointer(as: Int8.self)[row]) : nil
        case .int16: return column.isValid(row) ? Int64(column.pointer(as: Int16.self)[row]) : nil
        case .int32: return column.isValid(row) ? Int64(column.pointer(as: Int32.self)[row]) : nil
        case .int64: return column.isValid(row) ? column.pointer(as: Int64.self)[row] : nil
        default: throw mismatch(column, reference, "an integer")
        }
    }

    /// DATE, TIMESTAMP and TIMESTAMP_LTZ as milliseconds since 1970-01-01, rounded down.
    public func time(_ reference: some ColumnReference) throws -> Int64? {
        let column = columns[try reference.position(in: layout)]
        if column.type == .date { return column.isValid(row) ? Int64(column.pointer(as: Int32.self)[row]) * 86_400_000 : nil }
        guard let unit = column.type.timeUnit else { throw mismatch(column, reference, "a date or timestamp") }
        guard column.isValid(row) else { return nil }
        let (whole, rest) = column.pointer(as: Int64.self)[row].quotientAndRemainder(dividingBy: unit.perMillisecond)
        return rest < 0 ? whole - 1 : whole
    }

    /// FLOAT and DOUBLE, and TINYINT to INT.
    public func double(_ reference: some ColumnReference) throws -> Double? {
        let column = columns[try reference.position(in: layout)]
        switch column.type {
        case .double: return column.isValid(row) ? column.pointer(as: Double.self)[row] : nil
        case .float: return column.isValid(row) ? Double(column.pointer(as: Float.self)[row]) : nil
        case .tinyint, .smallint, .int: return try int64(reference).map(Double.init)
        default: throw mismatch(column, reference, "a DOUBLE")
        }
    }

    public func bool(_ reference: some ColumnReference) throws -> Bool? {
        let column = columns[try reference.position(in: layout)]
        guard column.type == .boolean else { throw mismatch(column, reference, "a BOOLEAN") }
        return column.isValid(row) ? column.pointer(as: UInt8.self)[row] != 0 : nil
    }

    public func string(_ reference: some ColumnReference) throws -> String? {
        let column = columns[try reference.position(in: layout)]
        guard column.type.isText else { throw mismatch(column, reference, "text") }
        return column.isValid(row) ? String(decoding: column.bytes(at: row), as: UTF8.self) : nil
    }

    /// Binary values, and text as UTF-8.
    public func bytes(_ reference: some ColumnReference) throws -> [UInt8]? {
        let column = columns[try reference.position(in: layout)]
        guard column.type.physical == .view else { throw mismatch(column, reference, "BYTES") }
        return column.isValid(row) ? Array(column.bytes(at: row)) : nil
    }

    /// A value of any type, boxed.
    public func value(_ reference: some ColumnReference) throws -> Value { columns[try reference.position(in: layout)].value(at: row) }

    public func isNull(_ reference: some ColumnReference) throws -> Bool { !columns[try reference.position(in: layout)].isValid(row) }

    /// All values, boxed, in the order of the columns.
    public var values: [Value] { columns.map { $0.value(at: row) } }
}
