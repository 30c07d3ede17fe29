import StreamCore

/// JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON, JSON_QUOTE and JSON_UNQUOTE.
extension FunctionRegistry {
    mutating func registerJsonBuildFunctions() {
        register("JSON_OBJECT") { args, options in
            guard args.count % 2 == 0 else {
                throw StreamError(.validate, "JSON_OBJECT takes pairs of key and value, \(args.count) arguments given", fix: "write JSON_OBJECT(KEY 'k' VALUE v)")
            }
            return try JsonBuild.bindObject(args, absent: options.nullOnNull == false)
        }
        register("JSON_ARRAY") { args, options in try JsonBuild.bindArray(args, absent: options.nullOnNull != true) }
        register("JSON_STRING") { args, _ in
            let bound = try Binding.arguments("JSON_STRING", args, [.any("value")])
            let shape = try JsonShape(bound[0].type, "JSON_STRING")
            return Binding.callLenient("JSON_STRING", .string, bound) { args, rows, _ in
                let value = JsonColumn(args[0], shape)
                return rows.text(.string) { row, out in
                    if value.isValid(row) { value.append(row, to: &out) } else { out.setNull() }
                }
            }
        }
        define("JSON", takes: [.text("JSON")], returns: .string) { args, rows, _ in
            let text = args[0].text
            var document = JsonDocument()
            return try rows.text(.string) { row, out in
                guard document.parse(text[row]) else {
                    throw StreamError(.runtime, "JSON was given '\(text[row].string)', which is not JSON", fix: "test it with IS JSON first")
                }
                document.append(0, to: &out)
            }
        }
        define("JSON_QUOTE", takes: [.text("string")], returns: .string) { args, rows, _ in
            let text = args[0].text
            return rows.text(.string) { row, out in JsonBuild.appendAsciiQuoted(text[row], to: &out) }
        }
        define("JSON_UNQUOTE", takes: [.text("string")], returns: .string) { args, rows, _ in
            let text = args[0].text
            return rows.text(.string) { row, out in
                let s = text[row]
                guard s.count >= 2, s[0] == UInt8(ascii: "\""), s[s.count - 1] == UInt8(ascii: "\"") else { return out.append(s) }
                let inner = Utf8Text.slice(s, 1, s.count - 1)
                // What is no JSON string stays as it is.
                var bytes: [UInt8] = []
                if JsonText.unescape(inner, { bytes.append($0) }) { bytes.withUnsafeBytes { out.append($0) } } else { out.append(s) }
            }
        }
    }
}

/// How values of a type are written as JSON; fields and keys are in the order of the output.
indirect enum JsonShape: Sendable {
    /// JSON already: the result of a nested JSON_OBJECT, JSON_ARRAY or JSON.
    case raw
    case text, binary, boolean, float, double, variant, null
    case integer(PhysicalType)
    case decimal(scale: Int)
    case timestamp(precision: Int, isUTC: Bool)
    case array(JsonShape)
    case map(JsonShape)
    /// Quoted name, number of the field, shape.
    case row([(name: [UInt8], field: Int, shape: JsonShape)])

    init(_ type: DataType, _ function: String) throws {
        switch type {
        case .char, .varchar: self = .text
        case .binary, .varbinary: self = .binary
        case .boolean: self = .boolean
        case .tinyint, .smallint, .int, .bigint: self = .integer(type.physical)
        case .float: self = .float
        case .double: self = .double
        case .decimal(_, let scale): self = .decimal(scale: scale)
        case .timestamp(let p): self = .timestamp(precision: p, isUTC: false)
        case .timestampLTZ(let p): self = .timestamp(precision: p, isUTC: true)
        case .array(let element): self = .array(try JsonShape(element, function))
        case .map(let key, let value):
            guard key.isText else {
                throw StreamError(.validate, "\(function) cannot write \(type): the keys of a map must be strings", fix: "make a map with CAST(... AS STRING) as its keys")
            }
            self = .map(try JsonShape(value, function))
        case .row(let fields):
            let order = fields.indices.sorted { Array(fields[$0].name.utf16).lexicographicallyPrecedes(Array(fields[$1].name.utf16)) }
            self = .row(try order.map { (JsonBuild.quoted(fields[$0].name), $0, try JsonShape(fields[$0].type, function)) })
        case .variant: self = .variant
        case .null: self = .null
        case .date, .time, .intervalYearMonth, .intervalDayTime:
            throw StreamError(.validate, "\(function) cannot write \(type) as JSON", fix: "write CAST(... AS STRING)")
        }
    }
}

/// A column that is written as JSON, with its children made ready once per batch.
struct JsonColumn {
    private let outer: Column
    private let values: Column
    private let step: Int
    private let shape: JsonShape
    private let children: [JsonColumn]

    init(_ column: Column, _ shape: JsonShape) {
        outer = column
        let plain = column.isConstant ? column.dictionary! : column.flat()
        values = plain
        step = column.isConstant ? 0 : 1
        self.shape = shape
        children = switch shape {
        case .array(let element): [JsonColumn(plain.children[0], element)]
        case .map(let value): [JsonColumn(plain.children[0], .text), JsonColumn(plain.children[1], value)]
        case .row(let fields): fields.map { JsonColumn(plain.children[$0.field], $0.shape) }
        default: []
        }
    }

    @inline(__always) func isValid(_ row: Int) -> Bool { outer.isValid(row) }

    func append(_ row: Int, to out: inout TextSink) {
        guard outer.isValid(row) else { return out.append("null") }
        let at = row * step
        switch shape {
        case .raw: out.append(values.bytes(at: at))
        case .text: JsonText.appendQuoted(values.bytes(at: at), to: &out)
        case .binary:
            out.append(UInt8(ascii: "\""))
            ByteText.appendBase64(values.bytes(at: at), to: &out)
            out.append(UInt8(ascii: "\""))
        case .boolean: out.append(values.pointer(as: UInt8.self)[at] != 0 ? "true" : "false")
        case .integer(let physical):
            let value: Int64 = switch physical {
            case .int8: Int64(values.pointer(as: Int8.self)[at])
            case .int16: Int64(values.pointer(as: Int16.self)[at])
            case .int32: Int64(values.pointer(as: Int32.self)[at])
            default: values.pointer(as: Int64.self)[at]
            }
            let to = out.spareText(NumberText.capacity)
            out.advance(NumberText.write(value, to: to))
        case .float: appendDouble(Double(values.pointer(as: Float.self)[at]), to: &out)
        case .double: appendDouble(values.pointer(as: Double.self)[at], to: &out)
        case .decimal(let scale):
            let value = values.pointer(as: Int128.self)[at]
            appendNumber(to: &out) { NumberText.write(decimal: value, scale: scale, to: $0) }
        case .timestamp(let precision, let isUTC):
            out.append(UInt8(ascii: "\""))
            let to = out.spareText(DateTimeText.capacity)
            out.advance(DateTimeText.writeTimestamp(values.pointer(as: Int64.self)[at], precision: precision, fraction: .trimmed,
                                                    separator: UInt8(ascii: "T"), to: to))
            out.append(isUTC ? "Z\"" : "\"")
        case .array:
            out.append(UInt8(ascii: "["))
            let range = values.codes[at]..<values.codes[at + 1]
            for i in range {
                if i > range.lowerBound { out.append(UInt8(ascii: ",")) }
                children[0].append(Int(i), to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map: appendMap(Int(values.codes[at])..<Int(values.codes[at + 1]), to: &out)
        case .row(let fields):
            out.append(UInt8(ascii: "{"))
            for (i, field) in fields.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                field.name.withUnsafeBytes { out.append($0) }
                out.append(UInt8(ascii: ":"))
                children[i].append(at, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        case .variant:
            var text: [UInt8] = []
            VariantJSON.write(Variant(values.bytes(at: at)), to: &text)
            text.withUnsafeBytes { out.append($0) }
        case .null: out.append("null")
        }
    }

    /// Entries in the order of their keys; of several with one key the last counts.
    private func appendMap(_ range: Range<Int>, to out: inout TextSink) {
        let keys = children[0]
        let order = range.sorted { a, b in
            let (x, y) = (keys.bytes(a), keys.bytes(b))
            return Utf8Text.equal(x, y) ? a < b : Utf8Text.javaOrder(x, y)
        }
        out.append(UInt8(ascii: "{"))
        var first = true
        for (i, entry) in order.enumerated() where i + 1 == order.count || !Utf8Text.equal(keys.bytes(order[i + 1]), keys.bytes(entry)) {
            if !first { out.append(UInt8(ascii: ",")) }
            first = false
            JsonText.appendQuoted(keys.bytes(entry), to: &out)
            out.append(UInt8(ascii: ":"))
            children[1].append(entry, to: &out)
        }
        out.append(UInt8(ascii: "}"))
    }

    func bytes(_ row: Int) -> UnsafeRawBufferPointer { values.bytes(at: row * step) }

    /// Through the text of the number, in the form of Java's BigDecimal.
    private func appendNumber(to out: inout TextSink, _ write: (UnsafeMutablePointer<UInt8>) -> Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: NumberText.capacity) { buffer in
            let n = write(buffer.baseAddress!)
            JsonText.appendNumber(UnsafeRawBufferPointer(start: buffer.baseAddress!, count: n), to: &out)
        }
    }

    private func appendDouble(_ value: Double, to out: inout TextSink) {
        if value.isFinite { return appendNumber(to: &out) { NumberText.write(value, to: $0) } }
        out.append(value.isNaN ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"")
    }
}

extension Expr {
    /// A call whose result is JSON, so that it is not quoted when it stands directly in another or in a JSON aggregate.
    public var isJsonCall: Bool {
        if case .call(let function, _) = self { return ["JSON_OBJECT", "JSON_ARRAY", "JSON"].contains(function.name) }
        return false
    }
}

enum JsonBuild {
    private static func shape(_ e: Expr, _ function: String) throws -> JsonShape { e.isJsonCall ? .raw : try JsonShape(e.type, function) }

    static func quoted(_ text: String) -> [UInt8] {
        let column = RowSet(nil, count: 1).text(.string) { _, out in
            var copy = text
            copy.withUTF8 { JsonText.appendQuoted(UnsafeRawBufferPointer($0), to: &out) }
        }
        return Array(column.bytes(at: 0))
    }

    static func bindArray(_ args: [Expr], absent: Bool) throws -> Expr {
        let shapes = try args.map { try shape($0, "JSON_ARRAY") }
        return Binding.callLenient("JSON_ARRAY", .string, args) { args, rows, _ in
            let values = zip(args, shapes).map { JsonColumn($0, $1) }
            return rows.text(.string) { row, out in
                out.append(UInt8(ascii: "["))
                var first = true
                for value in values where !absent || value.isValid(row) {
                    if !first { out.append(UInt8(ascii: ",")) }
                    first = false
                    value.append(row, to: &out)
                }
                out.append(UInt8(ascii: "]"))
            }
        }
    }

    /// Members come out in the order of their keys; of several with one key the last counts.
    static func bindObject(_ args: [Expr], absent: Bool) throws -> Expr {
        var keys: [Expr] = [], values: [Expr] = []
        for i in stride(from: 0, to: args.count, by: 2) {
            guard args[i].type.isText else {
                throw StreamError(.validate, "a key of JSON_OBJECT must be a string, but is \(Binding.describe(args[i]))", fix: "write CAST(... AS STRING)")
            }
            if case .literal(.null, _) = args[i] { throw StreamError(.validate, "a key of JSON_OBJECT is NULL", fix: "give every value a key") }
            keys.append(args[i])
            values.append(args[i + 1])
        }
        let shapes = try values.map { try shape($0, "JSON_OBJECT") }
        let constants = keys.compactMap { Binding.constantText($0) }
        let n = keys.count
        guard constants.count == n else { return dynamicObject(keys, values, shapes, absent: absent) }
        var members: [(name: [UInt8], value: Int)] = []
        for i in sorted(constants.map { Array($0.utf8) }) { members.append((quoted(constants[i]), i)) }
        let order = members
        return Binding.callLenient("JSON_OBJECT", .string, values) { args, rows, _ in
            let values = zip(args, shapes).map { JsonColumn($0, $1) }
            return rows.text(.string) { row, out in
                out.append(UInt8(ascii: "{"))
                var first = true
                for member in order where !absent || values[member.value].isValid(row) {
                    if !first { out.append(UInt8(ascii: ",")) }
                    first = false
                    member.name.withUnsafeBytes { out.append($0) }
                    out.append(UInt8(ascii: ":"))
                    values[member.value].append(row, to: &out)
                }
                out.append(UInt8(ascii: "}"))
            }
        }
    }

    /// Positions in the order of the names, the last only of each name.
    private static func sorted(_ names: [[UInt8]]) -> [Int] {
        let order = names.indices.sorted { a, b in
            if names[a] == names[b] { return a < b }
            return names[a].withUnsafeBytes { x in names[b].withUnsafeBytes { y in Utf8Text.javaOrder(x, y) } }
        }
        return order.enumerated().filter { $0.offset + 1 == order.count || names[order[$0.offset + 1]] != names[$0.element] }.map(\.element)
    }

    private static func dynamicObject(_ keys: [Expr], _ values: [Expr], _ shapes: [JsonShape], absent: Bool) -> Expr {
        let n = keys.count
        return Binding.callLenient("JSON_OBJECT", .string, keys + values) { args, rows, _ in
            let keyColumns = args[0..<n].map { (column: $0, text: $0.text) }
            let values = zip(args[n...], shapes).map { JsonColumn($0, $1) }
            return try rows.text(.string) { row, out in
                let names = try keyColumns.map { key -> [UInt8] in
                    guard key.column.isValid(row) else {
                        throw StreamError(.runtime, "a key of JSON_OBJECT is null", fix: "give every value a key, for example with COALESCE")
                    }
                    return Array(key.text[row])
                }
                out.append(UInt8(ascii: "{"))
                var first = true
                for i in sorted(names) where !absent || values[i].isValid(row) {
                    if !first { out.append(UInt8(ascii: ",")) }
                    first = false
                    names[i].withUnsafeBytes { JsonText.appendQuoted($0, to: &out) }
                    out.append(UInt8(ascii: ":"))
                    values[i].append(row, to: &out)
                }
                out.append(UInt8(ascii: "}"))
            }
        }
    }

    /// Everything beyond ASCII as `\uXXXX`, and the slash escaped: what JSON_QUOTE writes.
    static func appendAsciiQuoted(_ text: UnsafeRawBufferPointer, to out: inout TextSink) {
        out.append(UInt8(ascii: "\""))
        var at = 0
        while at < text.count {
            let (c, width) = Utf8Text.decode(text, at)
            at += width
            switch c {
            case 0x22, 0x5C, 0x2F:
                out.append(UInt8(ascii: "\\"))
                out.append(UInt8(c))
            case 0x08: out.append("\\b")
            case 0x09: out.append("\\t")
            case 0x0A: out.append("\\n")
            case 0x0C: out.append("\\f")
            case 0x0D: out.append("\\r")
            case 0..<0x80: out.append(UInt8(c))
            default:
                guard let scalar = Unicode.Scalar(c) else { continue }
                for unit in UTF16.encode(scalar)! {
                    out.append("\\u")
                    for shift in [12, 8, 4, 0] as [UInt16] { out.append(ByteText.hexDigit(UInt8(truncatingIfNeeded: unit >> shift & 15), upper: false)) }
                }
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
