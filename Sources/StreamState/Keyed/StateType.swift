import Foundation
import StreamCore

/// How values of a state are kept: their bytes, and how a snapshot shows them.
public struct StateType<T>: Sendable {
    package let layout: ElementLayout
    package let write: @Sendable (T, inout StateWriter) throws -> Void
    package let read: @Sendable (inout StateReader) throws -> T

    /// Values of a type of your own.
    public static func of(_ type: T.Type) -> StateType where T: StateCodable {
        StateType(name: T.stateTypeName, column: ElementLayout.column(of: type), text: { "\($0)" }, write: { $1.write($0) }, read: { try $0.read() })
    }

    /// Values of a `Codable` type, kept as JSON with sorted keys. Larger and slower than a ``StateCodable`` type, but fields
    /// that are optional may be added and removed later.
    public static func codable(_ type: T.Type) -> StateType where T: Codable & Sendable {
        StateType(
            name: "codable \(T.self)", column: .string,
            text: { try String(decoding: Self.json($0), as: UTF8.self) },
            write: { $1.write(String(decoding: try Self.json($0), as: UTF8.self)) },
            read: { reader in
                let text = try reader.read(String.self)
                do {
                    return try JSONDecoder().decode(T.self, from: Data(text.utf8))
                } catch {
                    throw StreamError(.corrupt, "stored JSON \(text.prefix(200)) is no \(T.self): \(error)",
                                      fix: "make fields that stored values lack optional")
                }
            })
    }

    private static func json(_ value: T) throws -> Data where T: Codable & Sendable {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try encoder.encode(value)
        } catch {
            throw StreamError(.runtime, "cannot keep \(value) as state: \(error)", fix: "JSON has no NaN and no infinity; use a StateCodable type")
        }
    }

    init(name: String, column: DataType?, text: @escaping @Sendable (T) throws -> String,
         write: @escaping @Sendable (T, inout StateWriter) throws -> Void, read: @escaping @Sendable (inout StateReader) throws -> T) {
        self.write = write
        self.read = read
        layout = ElementLayout(name: name, column: column) { bytes in
            var reader = StateReader(bytes)
            return try text(try read(&reader))
        }
    }
}

extension StateType where T == Int64 {
    public static var int64: Self { .of(Int64.self) }
    /// Milliseconds since 1970-01-01, shown as a timestamp.
    public static var time: Self {
        StateType(name: "time", column: .timestamp(3), text: { "\($0)" }, write: { $1.write($0) }, read: { try $0.read() })
    }
}
extension StateType where T == Int { public static var int: Self { .of(Int.self) } }
extension StateType where T == Double { public static var double: Self { .of(Double.self) } }
extension StateType where T == Bool { public static var bool: Self { .of(Bool.self) } }
extension StateType where T == String { public static var string: Self { .of(String.self) } }
extension StateType where T == [UInt8] { public static var bytes: Self { .of([UInt8].self) } }
extension StateType where T == Value { public static var value: Self { .of(Value.self) } }

/// What backends and snapshots must know of a value's type.
package struct ElementLayout: Sendable {
    package let name: String
    /// Column of a snapshot that holds the value exactly; nil = it is shown as text, and its bytes stand beside that.
    package let column: DataType?
    package let text: @Sendable ([UInt8]) throws -> String

    static func column(of type: Any.Type) -> DataType? {
        switch type {
        case is Int.Type, is Int64.Type, is Int32.Type, is Int16.Type, is Int8.Type, is UInt32.Type, is UInt16.Type, is UInt8.Type: .bigint
        case is Double.Type: .double
        case is Float.Type: .float
        case is Bool.Type: .boolean
        case is String.Type: .string
        case is [UInt8].Type: .bytes
        default: nil
        }
    }
}

/// How long state of a key is kept after it was last written, as Flink's StateTtlConfig. Counted in processing time.
public struct StateTTL: Sendable, Hashable {
    public enum UpdateType: Sendable, Hashable {
        /// Writing starts the time anew.
        case onCreateAndWrite
        /// Reading does so too.
        case onReadAndWrite
    }
    public var duration: Duration
    public var updateType: UpdateType

    /// An expired value is never returned. It is removed when it is met, and by steps of a sweep that goes on with the input.
    /// Elements of lists and entries of maps expire one by one.
    public init(_ duration: Duration, updateType: UpdateType = .onCreateAndWrite) {
        self.duration = duration
        self.updateType = updateType
    }

    var milliseconds: Int64 {
        let (whole, overflow) = duration.components.seconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : whole + duration.components.attoseconds / 1_000_000_000_000_000
    }
}
