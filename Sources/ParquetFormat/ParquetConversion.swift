import LakeTable
import StreamCore

/// Columns of a file in the types that a table declares: what lake tables convert, and beside that texts, decimals, and VARIANT.
enum ParquetConversion {
    static func canConvert(_ from: DataType, to type: DataType) -> Bool {
        if from == type || from == .null || type == .variant { return true }
        switch (from, type) {
        case (_, _) where from.isText && (type.isText || type.isTemporal || type.isNumeric || type == .boolean): return true
        case (_, _) where from.isText: if case .time = type { return true } else { return false }
        case (_, _) where from.isBinary && type.isBinary: return true
        case (_, _) where type.isText: return true
        case (_, _) where from.isTimestamp && type.isTimestamp: return true
        case (_, _) where from.isInteger && (type.isNumeric): return true
        case (.decimal, .decimal), (.float, .double), (.decimal, .double), (.time, .time), (.date, .timestamp): return true
        case (.array(let a), .array(let b)): return canConvert(a, to: b)
        case (.map(let k, let v), .map(let l, let w)): return canConvert(k, to: l) && canConvert(v, to: w)
        case (.row(let a), .row(let b)): return b.allSatisfy { part in a.first { $0.name == part.name }.map { canConvert($0.type, to: part.type) } ?? true }
        default: return false
        }
    }

    /// - Throws: `.runtime` for a value that does not fit.
    static func convert(_ column: Column, to type: DataType, name: String, path: String) throws -> Column {
        if column.type == type { return column }
        if column.type == .null { return .nulls(type: type, count: column.count) }
        if column.type.isText && type.isText || column.type.isBinary && type.isBinary { return column.retyped(type) }
        let column = column.flat()
        switch (column.type, type) {
        case (_, .variant):
            return built(column, type) { row, builder in
                var writer = VariantWriter()
                VariantRows.append(column, row, to: &writer)
                writer.bytes.withUnsafeBytes { builder.append(bytes: $0) }
            }
        case (.array, .array(let element)):
            return Column(type: type, count: column.count, validity: column.validity, values: column.values,
                          children: [try convert(column.children[0], to: element, name: name, path: path)])
        case (.map, .map(let key, let value)):
            return Column(type: type, count: column.count, validity: column.validity, values: column.values, children: [
                try convert(column.children[0], to: key, name: name, path: path), try convert(column.children[1], to: value, name: name, path: path),
            ])
        case (.row(let from), .row(let to)):
            let children = try to.map { part in
                guard let at = from.firstIndex(where: { $0.name == part.name }) else { return Column.nulls(type: part.type, count: column.count) }
                return try convert(column.children[at], to: part.type, name: "\(name).\(part.name)", path: path)
            }
            return Column(type: type, count: column.count, validity: column.validity, values: .empty, children: children)
        case (_, _) where column.type.isText: return try parsed(column, type, name, path)
        case (_, _) where type.isText: return written(column, type)
        case (_, .decimal(let precision, let scale)):
            return try built(column, type) { row, builder in
                let text = column.value(at: row).plainText(as: column.type)
                guard let value = decimal(text, precision, scale) else { throw misfit(text, type, name, path) }
                builder.append(fixed: value)
            }
        case (.decimal, .double):
            return built(column, type) { row, builder in builder.append(fixed: Double(column.value(at: row).plainText(as: column.type)) ?? 0) }
        case (.date, .timestamp(let precision)):
            let perDay = 86_400 * TimeUnit(precision: precision).perSecond
            return built(column, type) { row, builder in builder.append(fixed: Int64(column.pointer(as: Int32.self)[row]) * perDay) }
        case (_, _) where column.type.isInteger && type.isNumeric:
            return try built(column, type) { row, builder in
                guard case .int(let value) = column.value(at: row) else { return builder.appendNull() }
                switch type {
                case .tinyint where Int8(exactly: value) != nil, .smallint where Int16(exactly: value) != nil, .int where Int32(exactly: value) != nil, .bigint:
                    builder.append(.int(value))
                case .float: builder.append(fixed: Float(value))
                case .double: builder.append(fixed: Double(value))
                default: throw misfit("\(value)", type, name, path)
                }
            }
        default: return try ColumnConversion.convert(column, to: type, name: name)
        }
    }

    private static func built(_ column: Column, _ type: DataType, _ append: (Int, ColumnBuilder) throws -> Void) rethrows -> Column {
        let builder = ColumnBuilder(type: type, capacity: column.count)
        for row in 0..<column.count {
            if column.isValid(row) { try append(row, builder) } else { builder.appendNull() }
        }
        return builder.finish()
    }

    private static func misfit(_ text: String, _ type: DataType, _ name: String, _ path: String) -> StreamError {
        StreamError(.runtime, "\(path): column \(name): \(text.prefix(100)) cannot be read as \(type)", fix: "declare the column in a type that holds it")
    }

    private static func decimal(_ text: String, _ precision: Int, _ scale: Int) -> Int128? {
        var copy = text
        return copy.withUTF8 { NumberText.parseDecimal(UnsafeRawBufferPointer($0), precision: precision, scale: scale) }
    }

    /// Lists, maps and rows as JSON, others as they are cast to text.
    private static func written(_ column: Column, _ type: DataType) -> Column {
        built(column, type) { row, builder in
            switch column.type {
            case .array, .map, .row, .binary, .varbinary, .variant:
                var writer = VariantWriter()
                VariantRows.append(column, row, to: &writer)
                let text = writer.bytes.withUnsafeBytes { VariantJSON.text(Variant($0)) }
                builder.append(string: column.type.isBinary ? String(text.dropFirst().dropLast()) : text)
            default: builder.append(string: column.value(at: row).plainText(as: column.type))
            }
        }
    }

    private static func parsed(_ column: Column, _ type: DataType, _ name: String, _ path: String) throws -> Column {
        try built(column, type) { row, builder in
            let text = column.bytes(at: row)
            func forms(_ precision: Int) -> Int64? {
                [DateTimeText.Form.sql.zone(.optionalZ), .iso8601.zone(.optionalZ)].lazy
                    .compactMap { DateTimeText.parseTimestamp(text, precision: precision, form: $0) }.first
            }
            let value: Value? = switch type {
            case .boolean: text.elementsEqual("true".utf8) ? .bool(true) : text.elementsEqual("false".utf8) ? .bool(false) : nil
            case .tinyint: NumberText.parseInt64(text).flatMap { Int8(exactly: $0) }.map { .int(Int64($0)) }
            case .smallint: NumberText.parseInt64(text).flatMap { Int16(exactly: $0) }.map { .int(Int64($0)) }
            case .int: NumberText.parseInt64(text).flatMap { Int32(exactly: $0) }.map { .int(Int64($0)) }
            case .bigint: NumberText.parseInt64(text).map { .int($0) }
            case .float: NumberText.parseFloat(text).map { .float($0) }
            case .double: NumberText.parseDouble(text).map { .double($0) }
            case .decimal(let precision, let scale): NumberText.parseDecimal(text, precision: precision, scale: scale).map { .decimal($0) }
            case .date: DateTimeText.parseDate(text).map { .int(Int64($0)) }
            case .time(let precision): DateTimeText.parseTime(text, precision: precision).map { .int(Int64($0)) }
            case .timestamp(let precision), .timestampLTZ(let precision): forms(precision).map { .int($0) }
            default: nil
            }
            guard let value else { throw misfit(String(decoding: text, as: UTF8.self), type, name, path) }
            builder.append(value)
        }
    }
}
