import StreamCore

/// One instruction for writing an Avro value from a column.
private struct AvroWriteStep {
    enum Op: UInt8 {
        case boolean, int, long, float, double, bytes
        case doubleFromFloat
        case enumeration
        /// `a` = size of a fixed type, -1 = bytes; `b` = digits to add to the scale.
        case fixed, decimal
        /// `a` = factor, `b` = divisor.
        case scaled
        case row, list, map, null
        /// Bytes of a default, for a field that the table does not have.
        case constant
    }

    var op: Op
    /// The branches of a union: -1 = none.
    var nullBranch = -1, valueBranch = -1
    /// Among the columns of the row.
    var column = 0
    var a = 0, b = 0
    var steps: UnsafeMutablePointer<AvroWriteStep>?
    var stepCount = 0
    var data: UnsafeRawPointer?
    var label = 0

    init(_ op: Op) { self.op = op }
}

/// Writes rows as Avro records of one schema, each behind the same few bytes.
final class AvroRecordEncoder: RecordEncoder {
    private let name: String
    private let columnCount: Int
    private let schema: AvroSchema
    private var steps: UnsafeMutablePointer<AvroWriteStep>
    private var stepCount = 0
    private var allocations: [UnsafeMutableRawPointer] = []
    private var paths: [(String, DataType)] = []
    /// Asked for once, before the first record.
    private let header: () throws -> [UInt8]
    private var headerBytes: [UInt8]?

    private enum Failure { case null(Int), range(Int), symbol(Int) }

    /// - Parameter writer: every column has its field in it.
    init(name: String, schema columns: Schema, writer: AvroSchema, header: @escaping () throws -> [UInt8] = { [] }) throws {
        self.name = name
        self.header = header
        schema = writer
        columnCount = columns.count
        steps = .allocate(capacity: 1)
        var node = writer.root, branches: (null: Int, value: Int)?
        if case .union(let nodes) = node, let value = nodes.firstIndex(where: { if case .named = $0 { true } else { false } }) {
            (node, branches) = (nodes[value], (-1, value))
        }
        guard case .named(let number) = node, case .record(_, let fields) = writer.named[number] else {
            throw StreamError(.validate, "format '\(name)': the schema is no record but \(writer.description(writer.root))")
        }
        let made = try record(fields, columns, "")
        var top = AvroWriteStep(.row)
        top.valueBranch = branches?.value ?? -1
        (top.steps, top.stepCount) = keep(made)
        steps.initialize(to: top)
        stepCount = 1
        allocations.append(UnsafeMutableRawPointer(steps))
    }

    deinit { for memory in allocations { memory.deallocate() } }

    func encode(_ batch: Batch, into out: inout EncodedBytes) throws {
        throw StreamError(.runtime, "format '\(name)' writes messages only: its records have no ends of their own", fix: "use it with a connector of messages, such as 'kafka'")
    }

    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        precondition(batch.columns.count == columnCount, "\(batch.columns.count) columns for a schema of \(columnCount)")
        let header = try headerBytes ?? self.header()
        headerBytes = header
        let columns = ColumnPointerGroup(batch.columns)
        ends.reserveCapacity(ends.count + batch.count)
        for i in 0..<batch.count {
            out.append(header)
            if steps.pointee.valueBranch >= 0 { out.append(zigzag: Int64(steps.pointee.valueBranch)) }
            if let failure = Self.write(steps.pointee.steps!, steps.pointee.stepCount, columns.all, batch.row(i), &out) { throw error(failure) }
            ends.append(out.count)
        }
        withExtendedLifetime(columns) {}
    }

    private func error(_ failure: Failure) -> StreamError {
        switch failure {
        case .null(let label):
            StreamError(.runtime, "format '\(name)': column \(paths[label].0) is NULL, but the schema has no null for it",
                        fix: "filter such rows, give them a value with COALESCE, or declare the column without NOT NULL")
        case .range(let label):
            StreamError(.runtime, "format '\(name)': a value of column \(paths[label].0) of type \(paths[label].1) is too large for the schema")
        case .symbol(let label):
            StreamError(.runtime, "format '\(name)': a value of column \(paths[label].0) is none of its enum's symbols")
        }
    }

    // MARK: The plan

    private func keep(_ made: [AvroWriteStep]) -> (UnsafeMutablePointer<AvroWriteStep>, Int) {
        let memory = UnsafeMutablePointer<AvroWriteStep>.allocate(capacity: max(made.count, 1))
        for (i, step) in made.enumerated() { (memory + i).initialize(to: step) }
        allocations.append(UnsafeMutableRawPointer(memory))
        return (memory, made.count)
    }

    private func record(_ fields: [AvroSchema.Field], _ columns: Schema, _ path: String) throws -> [AvroWriteStep] {
        for column in columns where !fields.contains(where: { $0.name == column.name }) {
            throw StreamError(.validate, "format '\(name)': the schema has no field for column \(path + column.name)",
                              fix: NearName.hint(for: column.name, in: fields.map(\.name)))
        }
        return try fields.map { field in
            guard let index = columns.firstIndex(where: { $0.name == field.name }) else {
                guard let value = field.defaultValue else {
                    throw StreamError(.validate, "format '\(name)': the table has no column for the schema's field \(path + field.name), which has no default",
                                      fix: "add the column, or a default to the schema")
                }
                var out = EncodedBytes(capacity: 64)
                try AvroDefault.encode(value, field.node, schema, into: &out)
                var step = AvroWriteStep(.constant)
                step.a = out.count
                let memory = UnsafeMutableRawPointer.allocate(byteCount: max(out.count, 1), alignment: 1)
                memory.copyMemory(from: out.bytes.baseAddress!, byteCount: out.count)
                allocations.append(memory)
                step.data = UnsafeRawPointer(memory)
                return step
            }
            var step = try self.step(field.node, columns[index].type, path + field.name)
            step.column = index
            return step
        }
    }

    private func step(_ node: AvroSchema.Node, _ type: DataType, _ path: String) throws -> AvroWriteStep {
        paths.append((path, type))
        let label = paths.count - 1
        guard case .union(let nodes) = node else {
            guard var made = try plain(node, type, path) else { throw mismatch(node, type, path) }
            made.label = label
            return made
        }
        for (i, branch) in nodes.enumerated() {
            if case .null = branch, type != .null { continue }
            guard var made = try plain(branch, type, path) else { continue }
            made.label = label
            made.valueBranch = i
            made.nullBranch = nodes.firstIndex { if case .null = $0 { true } else { false } } ?? -1
            return made
        }
        throw mismatch(node, type, path)
    }

    private func mismatch(_ node: AvroSchema.Node, _ type: DataType, _ path: String) -> StreamError {
        StreamError(.validate, "format '\(name)': column \(path) of type \(type) cannot be written as \(schema.description(node))",
                    fix: "change the column's type, or the schema")
    }

    private func plain(_ node: AvroSchema.Node, _ type: DataType, _ path: String) throws -> AvroWriteStep? {
        let kind = SlotKind(type)
        switch (node, kind) {
        case (.null, .null): return AvroWriteStep(.null)
        case (.boolean, .boolean): return AvroWriteStep(.boolean)
        case (.int, .int8), (.int, .int16), (.int, .int32), (.int, .date), (.int, .time): return AvroWriteStep(.int)
        case (.long(.timeMicros), .time): return scaled(1_000, 1)
        case (.long, .int8), (.long, .int16), (.long, .int32), (.long, .int64): return AvroWriteStep(.long)
        case (.long(let logical), .timestamp):
            guard let from = type.timeUnit else { return nil }
            var to = from
            if case .timestamp(let unit) = logical { to = unit }
            return scaled(max(1, Int(to.perSecond / from.perSecond)), max(1, Int(from.perSecond / to.perSecond)))
        case (.float, .float): return AvroWriteStep(.float)
        case (.double, .double): return AvroWriteStep(.double)
        case (.double, .float): return AvroWriteStep(.doubleFromFloat)
        case (.float, .double): return nil
        case (.string, .text), (.bytes(.none), .binary), (.bytes(.none), .text): return AvroWriteStep(.bytes)
        case (.bytes(let logical), .decimal):
            guard case .decimal(_, let own) = type, case .decimal(_, let scale) = logical, (own...own + 38).contains(scale) else { return nil }
            var step = AvroWriteStep(.decimal)
            (step.a, step.b) = (-1, scale - own)
            return step
        case (.array(let items), .array):
            guard case .array(let element) = type else { return nil }
            var step = AvroWriteStep(.list)
            (step.steps, step.stepCount) = keep([try self.step(items, element, path + "[]")])
            return step
        case (.map(let values), .map):
            guard case .map(let key, let value) = type, key.isText else { return nil }
            var step = AvroWriteStep(.map)
            paths.append((path + " key", key))
            var keyStep = AvroWriteStep(.bytes)
            keyStep.label = paths.count - 1
            var item = try self.step(values, value, path + "{}")
            item.column = 1
            (step.steps, step.stepCount) = keep([keyStep, item])
            return step
        case (.named(let number), _):
            switch (schema.named[number], type) {
            case (.record(_, let fields), .row(let parts)):
                var step = AvroWriteStep(.row)
                (step.steps, step.stepCount) = keep(try record(fields, parts, path + "."))
                return step
            case (.enumeration(_, let symbols), _) where kind == .text:
                var step = AvroWriteStep(.enumeration)
                step.a = symbols.count
                step.data = keep(symbols)
                return step
            case (.fixed(_, let size, _), _) where kind == .binary:
                var step = AvroWriteStep(.fixed)
                step.a = size
                return step
            case (.fixed(_, let size, let logical), .decimal(_, let own)):
                guard case .decimal(_, let scale) = logical, (own...own + 38).contains(scale) else { return nil }
                var step = AvroWriteStep(.decimal)
                (step.a, step.b) = (size, scale - own)
                return step
            default: return nil
            }
        default: return nil
        }
    }

    private func scaled(_ factor: Int, _ divisor: Int) -> AvroWriteStep {
        var step = AvroWriteStep(.scaled)
        (step.a, step.b) = (factor, divisor)
        return step
    }

    private func keep(_ symbols: [String]) -> UnsafeRawPointer {
        let table = UnsafeMutablePointer<AvroSymbol>.allocate(capacity: max(symbols.count, 1))
        allocations.append(UnsafeMutableRawPointer(table))
        for (i, symbol) in symbols.enumerated() {
            let bytes = Array(symbol.utf8)
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(bytes.count, 1))
            memory.initialize(from: bytes, count: bytes.count)
            allocations.append(UnsafeMutableRawPointer(memory))
            (table + i).initialize(to: AvroSymbol(bytes: UnsafePointer(memory), count: bytes.count))
        }
        return UnsafeRawPointer(table)
    }

    // MARK: Rows

    private static func write(_ steps: UnsafeMutablePointer<AvroWriteStep>, _ count: Int, _ columns: UnsafeMutablePointer<ColumnPointers>, _ row: Int,
                              _ out: inout EncodedBytes) -> Failure? {
        for i in 0..<count {
            let step = steps + i
            if step.pointee.op == .constant {
                out.append(UnsafeRawBufferPointer(start: step.pointee.data, count: step.pointee.a))
                continue
            }
            let column = columns + step.pointee.column
            if column.pointee.isNull(row) {
                if step.pointee.op == .null, step.pointee.valueBranch < 0 { continue }
                guard step.pointee.nullBranch >= 0 else { return .null(step.pointee.label) }
                out.append(zigzag: Int64(step.pointee.nullBranch))
                continue
            }
            if step.pointee.valueBranch >= 0 { out.append(zigzag: Int64(step.pointee.valueBranch)) }
            switch step.pointee.op {
            case .boolean: out.append(column.pointee.get(UInt8.self, row))
            case .int, .long: out.append(zigzag: column.pointee.whole(row))
            case .float:
                UnsafeMutableRawPointer(out.reserve(4)).storeBytes(of: column.pointee.get(Float.self, row), as: Float.self)
                out.advance(4)
            case .double, .doubleFromFloat:
                let value = step.pointee.op == .double ? column.pointee.get(Double.self, row) : Double(column.pointee.get(Float.self, row))
                UnsafeMutableRawPointer(out.reserve(8)).storeBytes(of: value, as: Double.self)
                out.advance(8)
            case .bytes:
                let bytes = column.pointee.bytes(row)
                out.append(zigzag: Int64(bytes.count))
                out.append(bytes)
            case .fixed:
                let bytes = column.pointee.bytes(row)
                guard bytes.count == step.pointee.a else { return .range(step.pointee.label) }
                out.append(bytes)
            case .enumeration:
                let bytes = column.pointee.bytes(row)
                let symbols = step.pointee.data!.assumingMemoryBound(to: AvroSymbol.self)
                var found = -1
                for j in 0..<step.pointee.a where UnsafeRawBufferPointer(start: symbols[j].bytes, count: symbols[j].count).elementsEqual(bytes) {
                    found = j
                    break
                }
                guard found >= 0 else { return .symbol(step.pointee.label) }
                out.append(zigzag: Int64(found))
            case .scaled:
                let value = column.pointee.whole(row)
                if step.pointee.a > 1 {
                    let (product, overflow) = value.multipliedReportingOverflow(by: Int64(step.pointee.a))
                    if overflow { return .range(step.pointee.label) }
                    out.append(zigzag: product)
                } else {
                    let by = Int64(step.pointee.b), quotient = value / by
                    out.append(zigzag: value % by < 0 ? quotient - 1 : quotient)
                }
            case .decimal:
                if !decimal(column.pointee.get(Int128.self, row), step.pointee.a, step.pointee.b, &out) { return .range(step.pointee.label) }
            case .row:
                if let failure = write(step.pointee.steps!, step.pointee.stepCount, column.pointee.children, row, &out) { return failure }
            case .list, .map:
                let range = column.pointee.range(row)
                if !range.isEmpty {
                    out.append(zigzag: Int64(range.count))
                    for element in range {
                        if let failure = write(step.pointee.steps!, step.pointee.stepCount, column.pointee.children, element, &out) { return failure }
                    }
                }
                out.append(0)
            case .null, .constant: break
            }
        }
        return nil
    }

    /// Two's complement, the highest byte first; as few bytes as hold the sign, or exactly `size`.
    private static func decimal(_ unscaled: Int128, _ size: Int, _ shift: Int, _ out: inout EncodedBytes) -> Bool {
        let (value, overflow) = unscaled.multipliedReportingOverflow(by: NumberText.int128PowersOfTen[shift])
        if overflow { return false }
        let sign: UInt8 = value < 0 ? 0xFF : 0
        var count = 16
        while count > 1 {
            let high = UInt8(truncatingIfNeeded: value >> Int128((count - 1) * 8)), next = UInt8(truncatingIfNeeded: value >> Int128((count - 2) * 8))
            guard high == sign, (next ^ sign) & 0x80 == 0 else { break }
            count -= 1
        }
        if size < 0 { out.append(zigzag: Int64(count)) } else if size < count { return false } else {
            for _ in count..<size { out.append(sign) }
        }
        for i in stride(from: count - 1, through: 0, by: -1) { out.append(UInt8(truncatingIfNeeded: value >> Int128(i * 8))) }
        return true
    }
}
