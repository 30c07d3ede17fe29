import StreamCore

/// A type whose values can be kept as keyed state.
///
/// Numbers, `Bool`, `String`, `[UInt8]`, ``StreamCore/Value``, optionals, arrays and dictionaries conform. A struct writes its
/// parts and reads them in the same order:
///
///     struct Reading: StateCodable {
///         var sensor: String, celsius: Double
///         func write(to state: inout StateWriter) {
///             state.write(sensor)
///             state.write(celsius)
///         }
///         init(from state: inout StateReader) throws {
///             sensor = try state.read()
///             celsius = try state.read()
///         }
///     }
///
/// As a key of a map state, values sort by their parts in the order they are written. For types that are only `Codable` see
/// ``StateType/codable(_:)``.
public protocol StateCodable: Sendable {
    func write(to state: inout StateWriter)
    init(from state: inout StateReader) throws
    /// Stands beside the state in snapshots: a snapshot with another name is refused. By default the type's name; give
    /// another one when what `write(to:)` writes changes.
    static var stateTypeName: String { get }
}

extension StateCodable {
    public static var stateTypeName: String { "\(Self.self)" }
}

extension StateCodable where Self: FixedWidthInteger {
    public func write(to state: inout StateWriter) { state.integer(self) }
    public init(from state: inout StateReader) throws { self = try state.integer(Self.self) }
}

extension Int: StateCodable {}
extension Int64: StateCodable {}
extension Int32: StateCodable {}
extension Int16: StateCodable {}
extension Int8: StateCodable {}
extension UInt64: StateCodable {}
extension UInt32: StateCodable {}
extension UInt16: StateCodable {}
extension UInt8: StateCodable {}
extension Int128: StateCodable {}

extension Double: StateCodable {
    public func write(to state: inout StateWriter) { state.double(self) }
    public init(from state: inout StateReader) throws { self = try state.double() }
}

extension Float: StateCodable {
    public func write(to state: inout StateWriter) { state.float(self) }
    public init(from state: inout StateReader) throws { self = try state.float() }
}

extension Bool: StateCodable {
    public func write(to state: inout StateWriter) { state.byte(self ? 1 : 0) }
    public init(from state: inout StateReader) throws {
        switch try state.byte() {
        case 0: self = false
        case 1: self = true
        case let other: throw state.damaged("no Bool is \(other)")
        }
    }
}

extension String: StateCodable {
    public func write(to state: inout StateWriter) {
        var copy = self
        copy.withUTF8 { state.escaped(UnsafeRawBufferPointer($0)) }
    }
    public init(from state: inout StateReader) throws { self = String(decoding: try state.escaped(), as: UTF8.self) }
}

/// Milliseconds since 1970-01-01.
extension EventTime: StateCodable {
    public func write(to state: inout StateWriter) { state.integer(milliseconds) }
    public init(from state: inout StateReader) throws { self.init(milliseconds: try state.integer(Int64.self)) }
}

extension Optional: StateCodable where Wrapped: StateCodable {
    public func write(to state: inout StateWriter) {
        state.byte(self == nil ? 0 : 1)
        if let self { state.write(self) }
    }
    public init(from state: inout StateReader) throws { self = try Bool(from: &state) ? try Wrapped(from: &state) : nil }
    public static var stateTypeName: String { Wrapped.stateTypeName + "?" }
}

/// `[UInt8]` is written as bytes, not as an array of numbers.
extension Array: StateCodable where Element: StateCodable {
    public func write(to state: inout StateWriter) {
        // The type is asked first, since an empty array of any type can be cast.
        if Element.self == UInt8.self, let raw = self as? [UInt8] { return raw.withUnsafeBytes { state.escaped($0) } }
        for element in self {
            state.byte(1)
            state.write(element)
        }
        state.byte(0)
    }

    public init(from state: inout StateReader) throws {
        self = []
        if Element.self == UInt8.self {
            let raw = try state.escaped()
            self = raw as? [Element] ?? []
            return
        }
        while try Bool(from: &state) { append(try Element(from: &state)) }
    }

    public static var stateTypeName: String { "[\(Element.stateTypeName)]" }
}

/// Entries are written in the order of their keys' bytes, so that equal dictionaries give equal bytes.
extension Dictionary: StateCodable where Key: StateCodable, Value: StateCodable {
    public func write(to state: inout StateWriter) {
        let entries = map { key, value -> (key: [UInt8], value: Value) in
            var writer = StateWriter()
            writer.write(key)
            return (writer.bytes, value)
        }
        for (key, value) in entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            state.byte(1)
            state.raw(key)
            state.write(value)
        }
        state.byte(0)
    }

    public init(from state: inout StateReader) throws {
        self = [:]
        while try Bool(from: &state) {
            let key = try Key(from: &state)
            self[key] = try Value(from: &state)
        }
    }

    public static var stateTypeName: String { "[\(Key.stateTypeName): \(Value.stateTypeName)]" }
}

extension StreamCore.Value: StateCodable {
    public func write(to state: inout StateWriter) {
        switch self {
        case .null: state.byte(0)
        case .bool(let v):
            state.byte(1)
            state.write(v)
        case .int(let v):
            state.byte(2)
            state.write(v)
        case .float(let v):
            state.byte(3)
            state.write(v)
        case .double(let v):
            state.byte(4)
            state.write(v)
        case .decimal(let v):
            state.byte(5)
            state.write(v)
        case .string(let v):
            state.byte(6)
            state.write(v)
        case .binary(let v):
            state.byte(7)
            state.write(v)
        case .array(let v):
            state.byte(8)
            state.write(v)
        case .map(let entries):
            state.byte(9)
            for entry in entries {
                state.byte(1)
                state.write(entry.key)
                state.write(entry.value)
            }
            state.byte(0)
        case .row(let v):
            state.byte(10)
            state.write(v)
        }
    }

    public init(from state: inout StateReader) throws {
        switch try state.byte() {
        case 0: self = .null
        case 1: self = .bool(try state.read())
        case 2: self = .int(try state.read())
        case 3: self = .float(try state.read())
        case 4: self = .double(try state.read())
        case 5: self = .decimal(try state.read())
        case 6: self = .string(try state.read())
        case 7: self = .binary(try state.read())
        case 8: self = .array(try state.read())
        case 9:
            var entries: [MapEntry] = []
            while try Bool(from: &state) {
                let key = try StreamCore.Value(from: &state)
                entries.append(MapEntry(key, try StreamCore.Value(from: &state)))
            }
            self = .map(entries)
        case 10: self = .row(try state.read())
        case let other: throw state.damaged("no kind of value is numbered \(other)")
        }
    }
}
