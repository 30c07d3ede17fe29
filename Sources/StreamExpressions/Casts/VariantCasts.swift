import StreamCore

/// Casts between VARIANT and other types, which Flink does not have. A null inside of a VARIANT becomes NULL.
enum VariantCasts {
    static func toVariant(_ mode: Casts.Mode) -> KernelBody? {
        guard canWrite(mode.from) else { return nil }
        return { args, rows, _ in
            let column = args[0].flat()
            var writer = VariantWriter()
            return rows.text(.variant) { row, out in
                writer.removeAll()
                write(column, row, mode.from, to: &writer)
                writer.bytes.withUnsafeBytes { out.append($0) }
            }
        }
    }

    private static func canWrite(_ type: DataType) -> Bool {
        switch type {
        case .intervalYearMonth, .intervalDayTime: false
        case .array(let element): canWrite(element)
        case .map(let key, let value): key.isText && canWrite(value)
        case .row(let fields): fields.allSatisfy { canWrite($0.type) }
        default: true
        }
    }

    /// Appends the value of a row, which may be null.
    static func write(_ column: Column, _ row: Int, _ type: DataType, to out: inout VariantWriter) {
        guard column.isValid(row) else { return out.appendNull() }
        if let dictionary = column.dictionary { return write(dictionary, Int(column.codes[row]), type, to: &out) }
        func fixed<T: BitwiseCopyable>(_: T.Type) -> T { column.pointer(as: T.self)[row] }
        switch type {
        case .boolean: out.append(fixed(UInt8.self) != 0)
        case .tinyint: out.append(Int64(fixed(Int8.self)))
        case .smallint: out.append(Int64(fixed(Int16.self)))
        case .int: out.append(Int64(fixed(Int32.self)))
        case .bigint, .intervalDayTime: out.append(fixed(Int64.self))
        case .intervalYearMonth: out.append(Int64(fixed(Int32.self)))
        case .float: out.append(fixed(Float.self))
        case .double: out.append(fixed(Double.self))
        case .decimal(_, let scale): out.append(decimal: fixed(Int128.self), scale: scale)
        case .char, .varchar: out.append(string: column.bytes(at: row))
        case .binary, .varbinary: out.append(binary: column.bytes(at: row))
        case .date: out.append(days: fixed(Int32.self))
        case .time: out.append(time: fixed(Int32.self))
        case .timestamp(let p): out.append(timestamp: fixed(Int64.self), precision: p, isInstant: false)
        case .timestampLTZ(let p): out.append(timestamp: fixed(Int64.self), precision: p, isInstant: true)
        case .variant: out.append(Variant(column.bytes(at: row)))
        case .array(let element):
            out.array { out, next in
                for i in column.codes[row]..<column.codes[row + 1] {
                    write(column.children[0], Int(i), element, to: &out)
                    next(&out)
                }
            }
        case .map(_, let value):
            let keys = column.children[0].flat()
            out.object { out, next in
                for i in column.codes[row]..<column.codes[row + 1] where keys.isValid(Int(i)) {
                    write(column.children[1], Int(i), value, to: &out)
                    next(&out, Array(keys.bytes(at: Int(i))))
                }
            }
        case .row(let fields):
            out.object { out, next in
                for (k, field) in fields.enumerated() {
                    write(column.children[k], row, field.type, to: &out)
                    next(&out, Array(field.name.utf8))
                }
            }
        case .null: out.appendNull()
        }
    }

    static func fromVariant(_ mode: Casts.Mode) -> KernelBody? {
        guard canRead(mode.to) else { return nil }
        let to = mode.to
        return { args, rows, context in
            let text = args[0].text
            return try rows.build(to) { row, builder in
                let value = Variant(text[row])
                guard let made = try Self.value(value, to, context) else {
                    guard mode.safe else {
                        throw StreamError(.runtime, "cannot cast the VARIANT \(VariantJSON.text(value)), \(value.kindName), to \(to)",
                                          fix: "write TRY_CAST(... AS \(to)) to get NULL for such values")
                    }
                    return builder.appendNull()
                }
                builder.append(made)
            }
        }
    }

    private static func canRead(_ type: DataType) -> Bool {
        switch type {
        case .intervalYearMonth, .intervalDayTime, .null: false
        case .array(let element): canRead(element)
        case .map(let key, let value): key.isText && canRead(value)
        case .row(let fields): fields.allSatisfy { canRead($0.type) }
        default: true
        }
    }

    /// The value as another type; nil when it is none of it. Text of other kinds is their JSON; other kinds come of their text.
    private static func value(_ v: Variant, _ type: DataType, _ context: EvaluationContext) throws -> Value? {
        if v.kind == .null { return .null }
        func through(_ scalar: Value, _ from: DataType) throws -> Value? {
            let cast = Expr.cast(.literal(scalar, from), to: type, safe: true)
            let result = try Evaluator.evaluateConstant(cast, context: context)
            return result == .null ? nil : result
        }
        switch type {
        case .variant: return .binary(Array(v.bytes))
        case .array(let element):
            guard v.kind == .array else { return nil }
            var items: [Value] = []
            for i in 0..<v.count {
                guard let item = try value(v.element(i), element, context) else { return nil }
                items.append(item)
            }
            return .array(items)
        case .map(let key, let inner):
            guard v.kind == .object else { return nil }
            var entries: [Value.MapEntry] = []
            for i in 0..<v.count {
                guard let item = try value(v.value(i), inner, context) else { return nil }
                let name = String(decoding: v.key(i), as: UTF8.self)
                entries.append(.init(try Evaluator.evaluateConstant(.cast(.literal(.string(name), .string), to: key, safe: false)), item))
            }
            return .map(entries)
        case .row(let fields):
            guard v.kind == .object else { return nil }
            var items: [Value] = []
            for field in fields {
                let name = Array(field.name.utf8)
                guard let member = name.withUnsafeBytes({ v.member($0) }) else {
                    items.append(.null)
                    continue
                }
                guard let item = try value(member, field.type, context) else { return nil }
                items.append(item)
            }
            return .row(items)
        case .char, .varchar:
            if v.kind == .string { return try through(.string(String(decoding: v.content, as: UTF8.self)), .string) }
            return try through(.string(VariantJSON.text(v)), .string)
        case .binary, .varbinary: return v.kind == .binary ? try through(.binary(Array(v.content)), .bytes) : nil
        case .boolean:
            switch v.kind {
            case .true: return .bool(true)
            case .false: return .bool(false)
            default: return nil
            }
        default: break
        }
        guard type.isNumeric || type.isTemporal else { return nil }
        switch v.kind {
        case .integer where type.isNumeric:
            // What does not fit is no value of the type, instead of wrapping around.
            return try exact(Value.int(v.integer), .bigint, type, through)
        case .decimal where type.isNumeric:
            return try exact(.decimal(v.decimal.unscaled), .decimal(precision: 38, scale: v.decimal.scale), type, through)
        case .double where type.isNumeric: return try exact(.double(v.double), .double, type, through)
        case .float where type.isNumeric: return try exact(.float(v.float), .float, type, through)
        case .date where type.isTemporal: return try through(.int(Int64(v.int32)), .date)
        case .time where type.isTemporal: return Casts.isSupported(.time(3), type) ? try through(.int(Int64(v.int32)), .time(3)) : nil
        case .timestamp where type.isTemporal: return try through(.int(v.timestamp.value), .timestamp(v.timestamp.precision))
        case .instant where type.isTemporal: return try through(.int(v.timestamp.value), .timestampLTZ(v.timestamp.precision))
        case .string where type.isTemporal: return try through(.string(String(decoding: v.content, as: UTF8.self)), .string)
        default: return nil
        }
    }

    /// A number as another numeric type; an integer type takes no number beyond its range.
    private static func exact(_ number: Value, _ from: DataType, _ to: DataType, _ through: (Value, DataType) throws -> Value?) throws -> Value? {
        guard let made = try through(number, from) else { return nil }
        guard to.isInteger, case .int(let n) = made else { return made }
        let wide = DataType.decimal(precision: 38, scale: 0)
        let whole = try Evaluator.evaluateConstant(.cast(.literal(number, from), to: .decimal(precision: 38, scale: 18), safe: true))
        let same = try Evaluator.evaluateConstant(.cast(.literal(.int(n), .bigint), to: wide, safe: true))
        guard case .decimal(let scaled) = whole, case .decimal(let unscaled) = same else { return nil }
        return scaled / NumberText.int128PowersOfTen[18] == unscaled ? made : nil
    }
}
