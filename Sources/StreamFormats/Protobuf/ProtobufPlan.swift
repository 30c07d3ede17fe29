import StreamCore

/// How one field of a message is read into a slot.
struct ProtobufField {
    enum Op: UInt8 {
        case int32, int64, sint32, sint64, fixed32, fixed64, float, double, bool, text, binary
        /// Unsigned numbers of 32 bits as BIGINT.
        case wide32, wideFixed32
        case enumNumber, enumText
        case message, map
        /// Not wanted, but looked at: it may end another field of its oneof, or has to be there.
        case skip
    }

    /// What becomes of a field that is not there.
    enum Missing: UInt8 { case null, value, required }

    let op: Op
    let number: UInt32
    /// Number and wire type, as they stand before a value that is not packed.
    let tag: UInt32
    let isRepeated: Bool
    let missing: Missing
    let oneof: Int32
    var slot: UnsafeMutablePointer<Slot>?
    var message: UnsafeMutablePointer<ProtobufMessage>?
    /// Names of an enum, or the text of a default.
    var symbols: UnsafeMutablePointer<AvroSymbol>?
    var symbolNumbers: UnsafeMutablePointer<Int32>?
    var symbolCount = 0
    var isClosed = false
    var defaultBits: UInt64 = 0
    let label: Int32

    /// The message that this field was last seen in.
    var stamp: UInt64 = 0
    /// Where a list's elements end so far.
    var count = 0
}

/// How a message is read; also holds where its reading stands.
struct ProtobufMessage {
    var fields: UnsafeMutablePointer<ProtobufField>
    var count: Int
    /// For small field numbers, the index among the fields, -1 = none.
    var dense: UnsafeMutablePointer<Int16>
    var denseCount: Int
    var stamp: UInt64 = 0
    var hasOneofs: Bool
}

/// Makes the plan for a table, and owns its memory.
final class ProtobufPlan {
    let top: UnsafeMutablePointer<ProtobufMessage>
    private(set) var paths: [String] = []
    private var allocations: [UnsafeMutableRawPointer] = []
    private let options: ProtobufOptions

    /// - Parameter fields: the wanted columns, one for each of `slots`, which outlive the plan.
    init(_ options: ProtobufOptions, fields: Schema, slots: UnsafeMutablePointer<Slot>) throws {
        self.options = options
        top = .allocate(capacity: 1)
        allocations.append(UnsafeMutableRawPointer(top))
        top.initialize(to: try message(options.message, fields, slots, ""))
    }

    deinit { for memory in allocations { memory.deallocate() } }

    private func allocate<T>(_: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
        let memory = UnsafeMutablePointer<T>.allocate(capacity: max(count, 1))
        allocations.append(UnsafeMutableRawPointer(memory))
        return memory
    }

    private func message(_ type: ProtobufDescriptors.Message, _ columns: Schema, _ slots: UnsafeMutablePointer<Slot>, _ path: String) throws -> ProtobufMessage {
        var made: [ProtobufField] = [], wanted = Set<String>()
        for (i, column) in columns.enumerated() {
            guard let field = type.fields.first(where: { $0.name == column.name }) else {
                throw options.error(path + column.name, "is not in message \(type.name)", NearName.hint(for: column.name, in: type.fields.map(\.name)))
            }
            wanted.insert(field.name)
            made.append(try self.field(field, column.type, slots + i, path + column.name))
        }
        // Other members of a oneof push out the one that is wanted; required fields are missed even when nobody reads them.
        let oneofs = Set(type.fields.filter { wanted.contains($0.name) && $0.oneof >= 0 }.map(\.oneof))
        for field in type.fields where !wanted.contains(field.name) && (oneofs.contains(field.oneof) || field.isRequired) {
            made.append(ProtobufField(op: .skip, number: UInt32(field.number), tag: 0, isRepeated: false, missing: field.isRequired ? .required : .null,
                                      oneof: Int32(field.oneof), label: label(path + field.name)))
        }
        return built(made, hasOneofs: !oneofs.isEmpty)
    }

    private func built(_ made: [ProtobufField], hasOneofs: Bool) -> ProtobufMessage {
        let sorted = made.sorted { $0.number < $1.number }
        let fields = allocate(ProtobufField.self, sorted.count)
        for (i, field) in sorted.enumerated() { (fields + i).initialize(to: field) }
        let denseCount = Int(min(sorted.last?.number ?? 0, 4_095)) + 1
        let dense = allocate(Int16.self, denseCount)
        dense.initialize(repeating: -1, count: denseCount)
        for (i, field) in sorted.enumerated() where Int(field.number) < denseCount { dense[Int(field.number)] = Int16(i) }
        return ProtobufMessage(fields: fields, count: sorted.count, dense: dense, denseCount: denseCount, hasOneofs: hasOneofs)
    }

    private func label(_ path: String) -> Int32 {
        paths.append(path)
        return Int32(paths.count - 1)
    }

    private func field(_ field: ProtobufDescriptors.Field, _ type: DataType, _ slot: UnsafeMutablePointer<Slot>, _ path: String) throws -> ProtobufField {
        if let (key, value) = options.entry(field) {
            guard case .map(let keyType, let valueType) = type else { throw mismatch(field, type, path) }
            // What an entry leaves out has its default.
            let keyField = try single(key, keyType, slot.pointee.children!, path + " key", missing: .value)
            let valueField = try single(value, valueType, slot.pointee.children! + 1, path + "{}", missing: .value)
            var made = ProtobufField(op: .map, number: UInt32(field.number), tag: tag(field, 2), isRepeated: true, missing: missing(field), oneof: -1,
                                     slot: slot, label: label(path))
            made.message = allocate(ProtobufMessage.self, 1)
            made.message!.initialize(to: built([keyField, valueField], hasOneofs: false))
            return made
        }
        if field.isRepeated {
            guard case .array(let element) = type else { throw mismatch(field, type, path) }
            return try single(field, element, slot, path, missing: missing(field))
        }
        return try single(field, type, slot, path, missing: missing(field))
    }

    private func missing(_ field: ProtobufDescriptors.Field) -> ProtobufField.Missing {
        if field.isRequired { return .required }
        if options.readsDefaults { return .value }
        return field.isRepeated || field.hasPresence ? .null : .value
    }

    private func mismatch(_ field: ProtobufDescriptors.Field, _ type: DataType, _ path: String) -> StreamError {
        let map = options.entry(field) != nil
        let proto = map ? "a map" : (field.isRepeated ? "repeated " : "") + field.kind.name
        let fits = map ? "MAP" : field.isRepeated ? "ARRAY" : ProtobufTypes.fitting(field.kind)
        return options.error(path, "of type \(type) does not fit the field, which is \(proto)", "declare it as \(fits)")
    }

    private func tag(_ field: ProtobufDescriptors.Field, _ wire: UInt32) -> UInt32 { UInt32(field.number) << 3 | wire }

    /// `slot` is the list's for a repeated field, `type` that of its elements.
    private func single(_ field: ProtobufDescriptors.Field, _ type: DataType, _ slot: UnsafeMutablePointer<Slot>, _ path: String,
                        missing: ProtobufField.Missing) throws -> ProtobufField {
        guard let (op, wire) = ProtobufTypes.op(field.kind, type) else {
            if field.kind == .group {
                throw options.error(path, "is a group, which is not supported yet", "leave the column out: the group is skipped then")
            }
            throw mismatch(field, type, path)
        }
        var made = ProtobufField(op: op, number: UInt32(field.number), tag: tag(field, wire), isRepeated: field.isRepeated, missing: missing,
                                 oneof: Int32(field.oneof), slot: slot, label: label(path))
        switch field.kind {
        case .message:
            guard let inner = options.descriptors.messages[field.typeName], case .row(let parts) = type else {
                throw options.error(path, "is a message \(field.typeName) that the descriptor file does not hold", "write the file with protoc --include_imports")
            }
            let target = field.isRepeated ? slot.pointee.children! : slot
            made.message = allocate(ProtobufMessage.self, 1)
            made.message!.initialize(to: try message(inner, parts, target.pointee.children!, path + "."))
        case .enumeration:
            guard let type = options.descriptors.enumerations[field.typeName] else {
                throw options.error(path, "is an enum \(field.typeName) that the descriptor file does not hold", "write the file with protoc --include_imports")
            }
            made.isClosed = type.isClosed
            made.symbolCount = type.values.count
            made.symbols = allocate(AvroSymbol.self, type.values.count)
            made.symbolNumbers = allocate(Int32.self, type.values.count)
            for (i, value) in type.values.enumerated() {
                (made.symbols! + i).initialize(to: symbol(Array(value.name.utf8)))
                made.symbolNumbers![i] = value.number
            }
            let first = type.values.first { $0.name == field.defaultText } ?? type.values.first
            made.defaultBits = UInt64(bitPattern: Int64(first?.number ?? 0))
        case .string, .bytes:
            made.symbolCount = 1
            made.symbols = allocate(AvroSymbol.self, 1)
            let text = field.defaultText.map { field.kind == .bytes ? ProtobufTypes.unescaped($0) : Array($0.utf8) } ?? []
            made.symbols!.initialize(to: symbol(text))
        default: made.defaultBits = ProtobufTypes.bits(field)
        }
        return made
    }

    private func symbol(_ bytes: [UInt8]) -> AvroSymbol {
        let memory = allocate(UInt8.self, bytes.count + 16)
        memory.initialize(repeating: 0, count: bytes.count + 16)
        for (i, byte) in bytes.enumerated() { memory[i] = byte }
        return AvroSymbol(bytes: UnsafePointer(memory), count: bytes.count)
    }
}

/// Which types of fields go with which types of columns, as in Flink; beside those, unsigned numbers of 32 bits may be BIGINT.
enum ProtobufTypes {
    /// How a field is read, and the wire type of one value.
    static func op(_ kind: ProtobufDescriptors.Kind, _ type: DataType) -> (ProtobufField.Op, wire: UInt32)? {
        switch (kind, SlotKind(type)) {
        case (.int32, .int32) where type == .int, (.uint32, .int32) where type == .int: (.int32, 0)
        case (.sint32, .int32) where type == .int: (.sint32, 0)
        case (.fixed32, .int32) where type == .int, (.sfixed32, .int32) where type == .int: (.fixed32, 5)
        case (.uint32, .int64) where type == .bigint: (.wide32, 0)
        case (.fixed32, .int64) where type == .bigint: (.wideFixed32, 5)
        case (.int64, .int64) where type == .bigint, (.uint64, .int64) where type == .bigint: (.int64, 0)
        case (.sint64, .int64) where type == .bigint: (.sint64, 0)
        case (.fixed64, .int64) where type == .bigint, (.sfixed64, .int64) where type == .bigint: (.fixed64, 1)
        case (.float, .float): (.float, 5)
        case (.double, .double): (.double, 1)
        case (.bool, .boolean): (.bool, 0)
        case (.string, .text): (.text, 2)
        case (.bytes, .binary): (.binary, 2)
        case (.message, .row): (.message, 2)
        case (.enumeration, .text): (.enumText, 0)
        case (.enumeration, .int8), (.enumeration, .int16), (.enumeration, .int64): (.enumNumber, 0)
        case (.enumeration, .int32) where type == .int: (.enumNumber, 0)
        default: nil
        }
    }

    static func fitting(_ kind: ProtobufDescriptors.Kind) -> String {
        switch kind {
        case .double: "DOUBLE"
        case .float: "FLOAT"
        case .int64, .uint64, .fixed64, .sfixed64, .sint64: "BIGINT"
        case .int32, .sfixed32, .sint32: "INT"
        case .uint32, .fixed32: "INT or BIGINT"
        case .bool: "BOOLEAN"
        case .string: "STRING"
        case .bytes: "BYTES"
        case .message, .group: "ROW"
        case .enumeration: "STRING or INT"
        }
    }

    /// The default of a number, as it lies in a slot.
    static func bits(_ field: ProtobufDescriptors.Field) -> UInt64 {
        guard let text = field.defaultText else { return 0 }
        switch field.kind {
        case .bool: return text == "true" ? 1 : 0
        case .float: return UInt64(Float(text)?.bitPattern ?? 0)
        case .double: return Double(text)?.bitPattern ?? 0
        default: return Int64(text).map { UInt64(bitPattern: $0) } ?? UInt64(text) ?? 0
        }
    }

    /// Bytes from the escapes of C in which descriptors write them.
    static func unescaped(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        var out: [UInt8] = [], i = 0
        while i < bytes.count {
            guard bytes[i] == UInt8(ascii: "\\"), i + 1 < bytes.count else {
                out.append(bytes[i])
                i += 1
                continue
            }
            i += 1
            switch bytes[i] {
            case UInt8(ascii: "n"): out.append(10)
            case UInt8(ascii: "r"): out.append(13)
            case UInt8(ascii: "t"): out.append(9)
            case UInt8(ascii: "a"): out.append(7)
            case UInt8(ascii: "b"): out.append(8)
            case UInt8(ascii: "f"): out.append(12)
            case UInt8(ascii: "v"): out.append(11)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                var value = 0, n = 0
                while n < 3, i < bytes.count, (48..<56).contains(bytes[i]) {
                    value = value * 8 + Int(bytes[i] - 48)
                    i += 1
                    n += 1
                }
                out.append(UInt8(truncatingIfNeeded: value))
                continue
            case UInt8(ascii: "x"):
                var value = 0
                while i + 1 < bytes.count, let digit = Character(Unicode.Scalar(bytes[i + 1])).hexDigitValue {
                    value = value * 16 + digit
                    i += 1
                }
                out.append(UInt8(truncatingIfNeeded: value))
            default: out.append(bytes[i])
            }
            i += 1
        }
        return out
    }
}
