import StreamCore

/// What can be given to ``RowCollector/emit(_:kind:)``.
public protocol RowValue {
    var rowValue: Value { get }
}

extension Int: RowValue { public var rowValue: Value { .int(Int64(self)) } }
extension Int64: RowValue { public var rowValue: Value { .int(self) } }
extension Int32: RowValue { public var rowValue: Value { .int(Int64(self)) } }
extension Double: RowValue { public var rowValue: Value { .double(self) } }
extension Float: RowValue { public var rowValue: Value { .float(self) } }
extension Bool: RowValue { public var rowValue: Value { .bool(self) } }
extension String: RowValue { public var rowValue: Value { .string(self) } }
extension Array: RowValue where Element == UInt8 { public var rowValue: Value { .binary(self) } }
extension Value: RowValue { public var rowValue: Value { self } }

/// Takes the rows that a process function emits and hands them on in batches.
public final class RowCollector {
    public let schema: Schema
    private var builders: [ColumnBuilder] = []
    private var kinds: [UInt8] = []
    private var changes = false
    /// Set while the function runs.
    private(set) var output: (any Output)?
    /// A full batch went out and the output wants no more for now.
    private(set) var isBlocked = false

    init(_ schema: Schema) {
        self.schema = schema
        renew()
    }

    private func renew() {
        builders = schema.map { ColumnBuilder(type: $0.type) }
        kinds.removeAll(keepingCapacity: true)
        changes = false
    }

    /// Emits a row: a value per output column, nil for NULL.
    ///
    ///     out.emit(sensor, 21.5, nil)
    ///
    /// - Throws: `.validate` when the number of values or the type of one does not fit the output columns.
    public func emit(_ values: (any RowValue)?..., kind: RowKind = .insert) throws { try emit(row: values.map { $0?.rowValue ?? .null }, kind: kind) }

    /// Emits a row of boxed values.
    public func emit(row: [Value], kind: RowKind = .insert) throws {
        guard row.count == schema.count else {
            throw StreamError(.validate, "a row of \(row.count) values is emitted, but there are \(schema.count) output columns: \(schema.map(\.name).joined(separator: ", "))",
                              fix: "emit one value per output column, nil for NULL")
        }
        // All are checked before the first is taken: builders must stay of equal length.
        let fitted = try zip(schema, row).map { field, value in try Self.fitted(value, field) }
        for (builder, value) in zip(builders, fitted) { builder.append(value) }
        kinds.append(kind.rawValue)
        changes = changes || kind != .insert
        if kinds.count >= Batch.targetRows { try flush() }
    }

    private static func fitted(_ value: Value, _ field: Field) throws -> Value {
        if value == .null, field.nullable { return .null }
        if case .int(let number) = value, field.type == .double, let exact = Double(exactly: number) { return .double(exact) }
        guard value != .null, fits(value, field.type) else {
            throw StreamError(.validate, "\(value) is emitted for column \"\(field.name)\", which is \(field.type)\(field.nullable ? "" : " NOT NULL")",
                              fix: "emit a value of the column's type, or change the output schema")
        }
        return value
    }

    private static func fits(_ value: Value, _ type: DataType) -> Bool {
        switch (value, type) {
        case (.null, _): true
        case (.int(let v), _):
            switch type.physical {
            case .int8: Int8(exactly: v) != nil
            case .int16: Int16(exactly: v) != nil
            case .int32: Int32(exactly: v) != nil
            case .int64: true
            default: false
            }
        case (.array(let items), .array(let element)): items.allSatisfy { fits($0, element) }
        case (.map(let entries), .map(let key, let item)): entries.allSatisfy { fits($0.key, key) && fits($0.value, item) }
        case (.row(let items), .row(let fields)): items.count == fields.count && zip(items, fields).allSatisfy { fits($0, $1.type) }
        case (.bool, _): type == .boolean
        case (.float, _): type == .float
        case (.double, _): type == .double
        case (.decimal, _): type.isDecimal
        case (.string, _): type.isText
        case (.binary, _): type.isBinary || type == .variant
        default: false
        }
    }

    // MARK: For the operator

    func begin(_ output: any Output) {
        self.output = output
        isBlocked = false
    }

    func end() { output = nil }

    func flush() throws {
        guard !kinds.isEmpty, let output else { return }
        let rowKinds = changes ? kinds.withUnsafeBytes { Buffer(copying: $0) } : nil
        let batch = Batch(columns: builders.map { $0.finish() }, physicalCount: kinds.count, rowKinds: rowKinds)
        renew()
        try output.emit(batch)
        isBlocked = !output.isReady
    }
}
