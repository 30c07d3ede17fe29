import StreamCore

/// How a column is written as a field.
private struct ProtobufWriteField {
    let op: ProtobufField.Op
    let tag: UInt32
    let column: Int
    /// A list that is written with one tag for all elements.
    let isPacked: Bool
    let isRepeated: Bool
    /// Zero is left out.
    let isImplicit: Bool
    let isRequired: Bool
    /// Columns of the same oneof that stand later in the table, and so win.
    let rivals: UnsafeMutablePointer<Int32>
    let rivalCount: Int
    var fields: UnsafeMutablePointer<ProtobufWriteField>?
    var fieldCount = 0
    var symbols: UnsafeMutablePointer<AvroSymbol>?
    var symbolNumbers: UnsafeMutablePointer<Int32>?
    var symbolCount = 0
    var isClosed = false
    let label: Int
}

/// Writes rows as protobuf messages, fields by their numbers. NULL columns are left out; NULL elements of lists and maps become
/// the default of their type, as in Flink, and texts `protobuf.write-null-string-literal`.
final class ProtobufRecordEncoder: RecordEncoder {
    private let options: ProtobufOptions
    private let columnCount: Int
    private var fields: UnsafeMutablePointer<ProtobufWriteField>
    private var fieldCount = 0
    private var allocations: [UnsafeMutableRawPointer] = []
    private var paths: [String] = []
    private let nullText: [UInt8]

    private enum Failure { case required(Int), symbol(Int) }

    init(schema: Schema, options: ProtobufOptions) throws {
        self.options = options
        columnCount = schema.count
        nullText = Array(options.nullText.utf8)
        fields = .allocate(capacity: 1)
        allocations.append(UnsafeMutableRawPointer(fields))
        let made = try message(options.message, schema, "")
        (fields, fieldCount) = made
    }

    deinit { for memory in allocations { memory.deallocate() } }

    func encode(_ batch: Batch, into out: inout EncodedBytes) throws {
        throw StreamError(.runtime, "format 'protobuf' writes messages only: its records have no ends of their own", fix: "use it with a connector of messages, such as 'kafka'")
    }

    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        precondition(batch.columns.count == columnCount, "\(batch.columns.count) columns for a schema of \(columnCount)")
        let columns = ColumnPointerGroup(batch.columns)
        ends.reserveCapacity(ends.count + batch.count)
        for i in 0..<batch.count {
            switch write(fields, fieldCount, columns.all, batch.row(i), &out) {
            case nil: ends.append(out.count)
            case .required(let label)?:
                throw StreamError(.runtime, "format 'protobuf': column \(paths[label]) is NULL, but its field is required",
                                  fix: "filter such rows, or give them a value with COALESCE")
            case .symbol(let label)?:
                throw StreamError(.runtime, "format 'protobuf': a value of column \(paths[label]) is none of its enum's",
                                  fix: "write one of the names or numbers that the enum has")
            }
        }
        withExtendedLifetime(columns) {}
    }

    // MARK: The plan

    private func allocate<T>(_: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
        let memory = UnsafeMutablePointer<T>.allocate(capacity: max(count, 1))
        allocations.append(UnsafeMutableRawPointer(memory))
        return memory
    }

    private func message(_ type: ProtobufDescriptors.Message, _ columns: Schema, _ path: String) throws -> (UnsafeMutablePointer<ProtobufWriteField>, Int) {
        var made: [ProtobufWriteField] = []
        let found = try columns.map { column in
            guard let field = type.fields.first(where: { $0.name == column.name }) else {
                throw options.error(path + column.name, "is not in message \(type.name)", NearName.hint(for: column.name, in: type.fields.map(\.name)))
            }
            return field
        }
        for field in type.fields where field.isRequired && !found.contains(where: { $0.number == field.number }) {
            throw options.error(path + field.name, "does not exist, but message \(type.name) requires it", "add it to the table")
        }
        for (i, field) in found.enumerated() {
            let later = field.oneof < 0 ? [] : found.indices.filter { $0 > i && found[$0].oneof == field.oneof }
            made.append(try self.field(field, columns[i].type, column: i, rivals: later, path + columns[i].name))
        }
        made.sort { $0.tag < $1.tag }
        let memory = allocate(ProtobufWriteField.self, made.count)
        for (i, field) in made.enumerated() { (memory + i).initialize(to: field) }
        return (memory, made.count)
    }

    private func field(_ field: ProtobufDescriptors.Field, _ type: DataType, column: Int, rivals: [Int], isElement: Bool = false, _ path: String) throws
        -> ProtobufWriteField {
        paths.append(path)
        let label = paths.count - 1
        let table = allocate(Int32.self, rivals.count)
        for (i, rival) in rivals.enumerated() { table[i] = Int32(rival) }
        func mismatch() -> StreamError {
            options.error(path, "of type \(type) does not fit the field, which is \(field.isRepeated ? "repeated " : "")\(field.kind.name)",
                          "declare it as \(field.isRepeated ? "ARRAY or MAP" : ProtobufTypes.fitting(field.kind))")
        }
        if let (key, value) = options.entry(field) {
            guard case .map(let keyType, let valueType) = type else { throw mismatch() }
            let inner = allocate(ProtobufWriteField.self, 2)
            inner.initialize(to: try self.field(key, keyType, column: 0, rivals: [], isElement: true, path + " key"))
            (inner + 1).initialize(to: try self.field(value, valueType, column: 1, rivals: [], isElement: true, path + "{}"))
            return ProtobufWriteField(op: .map, tag: UInt32(field.number) << 3 | 2, column: column, isPacked: false, isRepeated: true, isImplicit: false,
                                      isRequired: false, rivals: table, rivalCount: 0, fields: inner, fieldCount: 2, label: label)
        }
        var own = type
        if field.isRepeated {
            guard case .array(let element) = type else { throw mismatch() }
            own = element
        }
        guard let (op, wire) = ProtobufTypes.op(field.kind, own) else { throw mismatch() }
        let isPacked = field.isRepeated && field.isPacked && wire != 2
        var made = ProtobufWriteField(
            op: op, tag: UInt32(field.number) << 3 | (isPacked ? 2 : wire), column: column, isPacked: isPacked, isRepeated: field.isRepeated,
            isImplicit: !isElement && !field.hasPresence && !field.isRepeated, isRequired: field.isRequired, rivals: table, rivalCount: rivals.count, label: label)
        if field.kind == .message {
            guard let inner = options.descriptors.messages[field.typeName], case .row(let parts) = own else { throw mismatch() }
            (made.fields, made.fieldCount) = try message(inner, parts, path + ".")
        }
        if field.kind == .enumeration, let type = options.descriptors.enumerations[field.typeName] {
            made.isClosed = type.isClosed
            made.symbolCount = type.values.count
            made.symbols = allocate(AvroSymbol.self, type.values.count)
            made.symbolNumbers = allocate(Int32.self, type.values.count)
            for (i, value) in type.values.enumerated() {
                let bytes = Array(value.name.utf8), memory = allocate(UInt8.self, bytes.count)
                memory.initialize(from: bytes, count: bytes.count)
                (made.symbols! + i).initialize(to: AvroSymbol(bytes: UnsafePointer(memory), count: bytes.count))
                made.symbolNumbers![i] = value.number
            }
        }
        return made
    }

    // MARK: Rows

    private typealias FieldPointer = UnsafeMutablePointer<ProtobufWriteField>
    private typealias ColumnPointer = UnsafeMutablePointer<ColumnPointers>

    private func write(_ fields: FieldPointer, _ count: Int, _ columns: ColumnPointer, _ row: Int, _ out: inout EncodedBytes) -> Failure? {
        for i in 0..<count {
            let field = fields + i, column = columns + field.pointee.column
            if column.pointee.isNull(row) {
                if field.pointee.isRequired { return .required(field.pointee.label) }
                continue
            }
            var isBeaten = false
            for j in 0..<field.pointee.rivalCount where !columns[Int(field.pointee.rivals[j])].isNull(row) { isBeaten = true }
            if isBeaten { continue }
            let failure: Failure?
            if field.pointee.isRepeated { failure = list(field, column, row, &out) } else { failure = single(field, column, row, &out) }
            if let failure { return failure }
        }
        return nil
    }

    private func list(_ field: FieldPointer, _ column: ColumnPointer, _ row: Int, _ out: inout EncodedBytes) -> Failure? {
        let range = column.pointee.range(row), element = column.pointee.children
        if range.isEmpty { return nil }
        if field.pointee.isPacked {
            out.append(varint: UInt64(field.pointee.tag))
            let start = Self.open(&out)
            for i in range { if let failure = content(field, element, i, &out) { return failure } }
            Self.close(start, &out)
            return nil
        }
        for i in range {
            if field.pointee.op == .map {
                out.append(varint: UInt64(field.pointee.tag))
                let start = Self.open(&out)
                for part in 0..<2 {
                    let inner = field.pointee.fields! + part
                    out.append(varint: UInt64(inner.pointee.tag))
                    if let failure = content(inner, element + part, i, &out) { return failure }
                }
                Self.close(start, &out)
            } else {
                out.append(varint: UInt64(field.pointee.tag))
                if let failure = content(field, element, i, &out) { return failure }
            }
        }
        return nil
    }

    private func single(_ field: FieldPointer, _ column: ColumnPointer, _ row: Int, _ out: inout EncodedBytes) -> Failure? {
        let before = out.count
        out.append(varint: UInt64(field.pointee.tag))
        let start = out.count
        if let failure = content(field, column, row, &out) { return failure }
        // Zero, an empty text: as if it were not there.
        if field.pointee.isImplicit, out.bytes[start...].allSatisfy({ $0 == 0 }), isZero(field, column, row) { out.removeLast(out.count - before) }
        return nil
    }

    private func isZero(_ field: FieldPointer, _ column: ColumnPointer, _ row: Int) -> Bool {
        switch field.pointee.op {
        case .text, .binary: column.pointee.bytes(row).isEmpty
        default: true
        }
    }

    /// A value without its tag; NULL as the default of its type.
    private func content(_ field: FieldPointer, _ column: ColumnPointer, _ row: Int, _ out: inout EncodedBytes) -> Failure? {
        let isNull = column.pointee.isNull(row)
        switch field.pointee.op {
        case .int32, .int64, .wide32:
            let value = isNull ? 0 : column.pointee.whole(row)
            out.append(varint: field.pointee.op == .wide32 ? UInt64(UInt32(truncatingIfNeeded: value)) : UInt64(bitPattern: value))
        case .sint32:
            let value = isNull ? 0 : Int32(truncatingIfNeeded: column.pointee.whole(row))
            out.append(varint: UInt64(UInt32(bitPattern: value &<< 1 ^ value &>> 31)))
        case .sint64: out.append(zigzag: isNull ? 0 : column.pointee.whole(row))
        case .fixed32, .wideFixed32:
            UnsafeMutableRawPointer(out.reserve(4)).storeBytes(of: Int32(truncatingIfNeeded: isNull ? 0 : column.pointee.whole(row)), as: Int32.self)
            out.advance(4)
        case .fixed64:
            UnsafeMutableRawPointer(out.reserve(8)).storeBytes(of: isNull ? 0 : column.pointee.whole(row), as: Int64.self)
            out.advance(8)
        case .float:
            UnsafeMutableRawPointer(out.reserve(4)).storeBytes(of: isNull ? 0 : column.pointee.get(Float.self, row), as: Float.self)
            out.advance(4)
        case .double:
            UnsafeMutableRawPointer(out.reserve(8)).storeBytes(of: isNull ? 0 : column.pointee.get(Double.self, row), as: Double.self)
            out.advance(8)
        case .bool: out.append(!isNull && column.pointee.get(UInt8.self, row) != 0 ? 1 : 0)
        case .text where isNull:
            out.append(varint: UInt64(nullText.count))
            out.append(nullText)
        case .text, .binary:
            let bytes = isNull ? UnsafeRawBufferPointer(start: nil, count: 0) : column.pointee.bytes(row)
            out.append(varint: UInt64(bytes.count))
            out.append(bytes)
        case .enumNumber, .enumText:
            guard !isNull else {
                out.append(varint: UInt64(bitPattern: Int64(field.pointee.symbolCount > 0 ? field.pointee.symbolNumbers![0] : 0)))
                return nil
            }
            guard let number = number(field, column, row) else { return .symbol(field.pointee.label) }
            out.append(varint: UInt64(bitPattern: number))
        case .message:
            let start = Self.open(&out)
            if !isNull, let failure = write(field.pointee.fields!, field.pointee.fieldCount, column.pointee.children, row, &out) { return failure }
            Self.close(start, &out)
        case .map, .skip: break
        }
        return nil
    }

    private func number(_ field: FieldPointer, _ column: ColumnPointer, _ row: Int) -> Int64? {
        if field.pointee.op == .enumText {
            let bytes = column.pointee.bytes(row)
            for i in 0..<field.pointee.symbolCount {
                let symbol = field.pointee.symbols![i]
                if UnsafeRawBufferPointer(start: symbol.bytes, count: symbol.count).elementsEqual(bytes) { return Int64(field.pointee.symbolNumbers![i]) }
            }
            return nil
        }
        let value = column.pointee.whole(row)
        guard Int32(exactly: value) != nil else { return nil }
        if field.pointee.isClosed {
            for i in 0..<field.pointee.symbolCount where Int64(field.pointee.symbolNumbers![i]) == value { return value }
            return nil
        }
        return value
    }

    // MARK: Lengths, which stand before what they measure

    /// Leaves a byte for a length, most of which are short.
    private static func open(_ out: inout EncodedBytes) -> Int {
        out.append(0)
        return out.count
    }

    private static func close(_ start: Int, _ out: inout EncodedBytes) {
        let length = out.count - start
        var size = 1, rest = length >> 7
        while rest > 0 {
            size += 1
            rest >>= 7
        }
        let end = out.reserve(size)
        let content = end - length
        if size > 1 { UnsafeMutableRawPointer(content + size - 1).copyMemory(from: content, byteCount: length) }
        out.advance(size - 1)
        let target = content - 1
        rest = length
        for i in 0..<size {
            target[i] = UInt8(truncatingIfNeeded: rest & 0x7F) | (i < size - 1 ? 0x80 : 0)
            rest >>= 7
        }
    }
}
