import StreamCore

/// Columns that a table gets by itself: the fields of a `row` VARIANT that comes with each row.
///
/// A field that no column has becomes a column when its first value other than null comes. Its type follows the value:
///
///     boolean            BOOLEAN            string             STRING
///     integer            BIGINT             binary             BYTES
///     float              FLOAT              date, time         DATE, TIME(3)
///     double             DOUBLE             timestamps         TIMESTAMP(6)
///     decimal            DOUBLE up to 15 digits, which it holds exactly; else DECIMAL(38, 18)
///     array, object      STRING, as JSON
///
/// An integer column that gets a number with a fraction widens to DOUBLE. What a column cannot hold is an error with its name.
package struct RowColumns {
    /// The key of the metadata column that sinks take: `` `row` VARIANT METADATA ``.
    package static let metadataKey = "row"

    /// The position of the row image among the columns that come to the sink of a table; nil when the table declares none.
    package static func position(in table: TableDescriptor) -> Int? {
        let written = table.metadata.filter { !$0.isVirtual }
        return written.firstIndex { $0.key == metadataKey }.map { table.schema.count + $0 }
    }

    private let tableName: String
    /// Names of columns that are declared: their values come in columns of their own.
    private let declared: Set<String>

    package init(tableName: String, declared: [String]) { (self.tableName, self.declared) = (tableName, Set(declared)) }

    /// What the values of one field in a batch need.
    private struct Need {
        var type: DataType
        /// Row of a value that made it so, for errors.
        var row: Int
    }

    /// The schema that holds the rows' fields, too: new columns at the end, in the order of the first row that has them and then
    /// by name.
    /// - Parameters:
    ///   - column: VARIANT; rows that are NULL have no fields.
    ///   - rows: how many there are.
    ///   - isWanted: false for rows that only delete.
    /// - Throws: `.runtime` with the field's name for values that a column cannot hold, and for images that are no objects.
    package func evolve(_ schema: Schema, _ column: Column, count rows: Int, isWanted: (Int) -> Bool) throws -> Schema {
        var needs: [String: Need] = [:], order: [String] = []
        var known: [[UInt8]: String] = [:]
        for row in 0..<rows where column.isValid(row) && isWanted(row) {
            let image = Variant(column.bytes(at: row))
            if image.kind == .null { continue }
            guard image.kind == .object else {
                throw StreamError(.runtime, "table \(tableName): the image of a row is \(image.kindName), not an object", fix: "write an object to `row`")
            }
            for i in 0..<image.count {
                let value = image.value(i)
                guard let type = Self.type(of: value) else { continue }
                let bytes = Array(image.key(i))
                let name = known[bytes] ?? String(decoding: bytes, as: UTF8.self)
                known[bytes] = name
                if declared.contains(name) { continue }
                if let need = needs[name] {
                    if need.type == type { continue }
                    guard let both = Self.common(need.type, type) else { throw mismatch(name, need.type, value) }
                    needs[name] = Need(type: both, row: row)
                } else {
                    needs[name] = Need(type: type, row: row)
                    order.append(name)
                }
            }
        }
        var out = schema
        for name in order {
            let need = needs[name]!
            if let at = out.firstIndex(where: { $0.name == name }) {
                let held = out[at].type
                if Self.holds(held, need.type) { continue }
                guard SchemaEvolution.widens(held, to: need.type) else {
                    throw mismatch(name, held, Variant(column.bytes(at: need.row)).member(name) ?? Variant(UnsafeRawBufferPointer(start: nil, count: 0)))
                }
                out[at] = Field(name, need.type)
            } else {
                if let other = out.first(where: { $0.name.lowercased() == name.lowercased() }) {
                    throw StreamError(.runtime, "table \(tableName): field '\(name)' differs from column \(other.name) only in case, which most engines cannot tell apart",
                                      fix: "rename one of them in the query")
                }
                out.append(Field(name, need.type))
            }
        }
        return out
    }

    private func mismatch(_ name: String, _ held: DataType, _ value: Variant) -> StreamError {
        StreamError(.runtime, "table \(tableName): field '\(name)' is \(value.kindName), \(VariantJSON.text(value).prefix(60)), but its column is \(held)",
                    fix: "declare \(name) with a type that holds all of its values, or cast it in the query")
    }

    /// The values of the fields that make column `field`, NULL where there are none.
    /// - Throws: `.runtime` for a value that the column cannot hold.
    package func column(_ field: Field, of images: Column, count rows: Int, isWanted: (Int) -> Bool) throws -> Column {
        let builder = ColumnBuilder(type: field.type, capacity: rows)
        var name = field.name
        try name.withUTF8 { key in
            let key = UnsafeRawBufferPointer(key)
            for row in 0..<rows {
                guard images.isValid(row), isWanted(row), let value = Variant(images.bytes(at: row)).member(key), value.kind != .null else {
                    builder.appendNull()
                    continue
                }
                guard Self.append(value, as: field.type, to: builder) else { throw mismatch(field.name, field.type, value) }
            }
        }
        return builder.finish()
    }

    // MARK: Types

    /// The type of a column for a value; nil for null.
    static func type(of value: Variant) -> DataType? {
        switch value.kind {
        case .null: nil
        case .true, .false: .boolean
        case .integer: .bigint
        case .float: .float
        case .double: .double
        case .decimal: fitsDouble(value.decimal.unscaled) ? .double : .decimal(precision: 38, scale: 18)
        case .string, .array, .object: .string
        case .binary: .bytes
        case .date: .date
        case .time: .time(3)
        case .timestamp, .instant: .timestamp(6)
        }
    }

    private static func fitsDouble(_ unscaled: Int128) -> Bool { unscaled.magnitude < 1_000_000_000_000_000 }

    /// A type for values of two types; nil = there is none.
    private static func common(_ a: DataType, _ b: DataType) -> DataType? {
        if holds(a, b) || a == b { return a }
        if holds(b, a) || SchemaEvolution.widens(a, to: b) { return b }
        return SchemaEvolution.widens(b, to: a) ? a : nil
    }

    /// A column of a type takes values of the other without changing.
    private static func holds(_ column: DataType, _ value: DataType) -> Bool {
        switch (column, value) {
        case (.int, .bigint), (.double, .bigint), (.float, .bigint), (.double, .float): true  // each value is looked at
        case (.float, .double): true
        case (.decimal, .bigint), (.decimal, .double), (.decimal, .decimal): true
        case (.timestamp, .timestamp), (.timestampLTZ, .timestamp): true
        default: SchemaEvolution.same(column, value) || column.isBinary && value.isBinary || column.isText && value.isText
        }
    }

    /// - Returns: false when the column cannot hold the value exactly.
    private static func append(_ value: Variant, as type: DataType, to builder: ColumnBuilder) -> Bool {
        switch type {
        case .boolean:
            guard value.kind == .true || value.kind == .false else { return false }
            builder.append(.bool(value.kind == .true))
        case .int:
            guard value.kind == .integer, let small = Int32(exactly: value.integer) else { return false }
            builder.append(fixed: small)
        case .bigint:
            guard value.kind == .integer else { return false }
            builder.append(fixed: value.integer)
        case .double:
            switch value.kind {
            case .double, .float: builder.append(fixed: value.number!)
            case .integer:
                guard Int64(exactly: Double(value.integer)) == value.integer else { return false }
                builder.append(fixed: Double(value.integer))
            case .decimal:
                guard fitsDouble(value.decimal.unscaled) else { return false }
                builder.append(fixed: value.number!)
            default: return false
            }
        case .float:
            guard let number = value.number, let narrow = Float(exactly: number) else { return false }
            builder.append(fixed: narrow)
        case .decimal(let precision, let scale):
            var (unscaled, have): (Int128, Int)
            switch value.kind {
            case .integer: (unscaled, have) = (Int128(value.integer), 0)
            case .decimal: (unscaled, have) = value.decimal
            default: return false
            }
            guard have <= scale else { return false }
            while have < scale {
                let (product, overflow) = unscaled.multipliedReportingOverflow(by: 10)
                if overflow { return false }
                unscaled = product
                have += 1
            }
            guard unscaled.magnitude < NumberText.int128PowersOfTen[precision].magnitude else { return false }
            builder.append(.decimal(unscaled))
        case .date:
            guard value.kind == .date else { return false }
            builder.append(fixed: value.int32)
        case .time:
            guard value.kind == .time else { return false }
            builder.append(fixed: value.int32)
        case .timestamp, .timestampLTZ:
            guard value.kind == .timestamp || value.kind == .instant else { return false }
            let (time, precision) = value.timestamp
            let from = TimeUnit(precision: precision).perSecond, to = type.timeUnit!.perSecond
            if from <= to {
                let (scaled, overflow) = time.multipliedReportingOverflow(by: Int64(to / from))
                if overflow { return false }
                builder.append(fixed: scaled)
            } else {
                let divisor = Int64(from / to)
                builder.append(fixed: time >= 0 ? time / divisor : -((divisor - 1 - time) / divisor))
            }
        case .binary, .varbinary:
            guard value.kind == .binary else { return false }
            builder.append(bytes: value.content)
        case .char, .varchar:
            switch value.kind {
            case .string: builder.append(bytes: value.content)
            case .array, .object: builder.append(string: VariantJSON.text(value))
            default: return false
            }
        default: return false
        }
        return true
    }
}

extension Variant {
    fileprivate func member(_ name: String) -> Variant? {
        var name = name
        return name.withUTF8 { member(UnsafeRawBufferPointer($0)) }
    }
}
