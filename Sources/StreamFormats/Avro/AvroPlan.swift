import StreamCore

/// One instruction for reading an Avro value: into a slot, or past it. Trivial, so that the loop over them touches no object.
struct AvroStep {
    enum Op: UInt8 {
        case boolean, int8, int16, int32, int64, int64FromInt, floatFromWhole, doubleFromWhole, float, double, doubleFromFloat
        /// `a` = bytes of a fixed type, -1 = a length goes before.
        case text, binary
        case enumeration
        /// `a` as above, `b` = digits to add to the scale.
        case decimal
        /// Milliseconds of the day; `b` = what a millisecond counts.
        case time
        /// `a` = factor, `b` = divisor.
        case timestamp
        case row, list, map
        case union
        case null
        /// Of a field that the writer does not have: no bytes are read.
        case missing, constant
        case skipWhole, skipBytes, skipFixed, skipArray, skipMap, skipUnion
        /// Past a value of the named type number `a`.
        case skipNamed
        /// A branch of a union that does not fit; `a` = index of the reason.
        case mismatch
    }

    var op: Op
    /// Which branch of a union of two is null; -1 = not such a union.
    var nullBranch: Int8 = -1
    /// NULL is refused.
    var isRequired = false
    /// Elements take no bytes, so that their number is bounded in another way.
    var hasEmptyElements = false
    /// Index into the plan's paths.
    var label: Int32 = 0
    var a = 0, b = 0
    var slot: UnsafeMutablePointer<Slot>?
    var steps: UnsafeMutablePointer<AvroStep>?
    var stepCount = 0
    /// Bytes of a constant, or the symbols of an enum.
    var data: UnsafeRawPointer?

    init(_ op: Op, slot: UnsafeMutablePointer<Slot>? = nil, a: Int = 0, b: Int = 0) {
        self.op = op
        self.slot = slot
        self.a = a
        self.b = b
    }
}

/// A name of an enum.
struct AvroSymbol {
    let bytes: UnsafePointer<UInt8>
    let count: Int
}

/// Why no record of a schema can be read as the table.
struct AvroMismatch: Error {
    var path: String
    var problem: String

    var text: String { path.isEmpty ? problem : "field \"\(path)\": \(problem)" }
}

/// How records of one writer's schema are read into the slots of a table: made once per schema, by Avro's rules of resolution.
///
/// Beyond those rules an enum is read as text and a fixed type as bytes, timestamps are converted between units, and decimals
/// between scales.
final class AvroPlan {
    let writer: AvroSchema
    private let reader: AvroSchema?
    private(set) var top: UnsafeMutablePointer<AvroStep>
    private(set) var topCount = 0
    /// How named types are skipped, by their number.
    let skips: UnsafeMutablePointer<(steps: UnsafeMutablePointer<AvroStep>?, count: Int)>
    private(set) var paths: [String] = []
    private(set) var reasons: [String] = []
    private var allocations: [UnsafeMutableRawPointer] = []
    private var constants: [Buffer] = []

    /// - Parameters:
    ///   - reader: an explicit schema for the table; its aliases and defaults count.
    ///   - fields: the wanted columns, one for each of `slots`, which outlive the plan.
    /// - Throws: ``AvroMismatch``
    init(writer: AvroSchema, reader: AvroSchema?, fields: Schema, slots: UnsafeMutablePointer<Slot>) throws {
        self.writer = writer
        self.reader = reader
        skips = .allocate(capacity: max(writer.named.count, 1))
        skips.initialize(repeating: (nil, 0), count: max(writer.named.count, 1))
        top = .allocate(capacity: 1)
        allocations.append(UnsafeMutableRawPointer(top))
        var node = writer.root
        var nullBranch: Int8 = -1
        // Debezium's envelopes may be unions with null.
        if case .union(let nodes) = node, nodes.count == 2, let null = nodes.firstIndex(where: { if case .null = $0 { true } else { false } }) {
            node = nodes[1 - null]
            nullBranch = Int8(null)
        }
        guard case .named(let number) = node, case .record(_, let written) = writer.named[number] else {
            throw AvroMismatch(path: "", problem: "it is of type \(writer.description(writer.root)), but a table's row is a record")
        }
        let steps = try record(written, fields, slots, reader.map { $0.root }, "")
        var step = AvroStep(.row)
        step.nullBranch = nullBranch
        step.label = label("")
        (step.steps, step.stepCount) = keep(steps)
        top.initialize(to: step)
        topCount = 1
    }

    deinit {
        for memory in allocations { memory.deallocate() }
        skips.deallocate()
    }

    private func keep(_ steps: [AvroStep]) -> (UnsafeMutablePointer<AvroStep>, Int) {
        let memory = UnsafeMutablePointer<AvroStep>.allocate(capacity: max(steps.count, 1))
        for (i, step) in steps.enumerated() { (memory + i).initialize(to: step) }
        allocations.append(UnsafeMutableRawPointer(memory))
        return (memory, steps.count)
    }

    private func label(_ path: String) -> Int32 {
        paths.append(path)
        return Int32(paths.count - 1)
    }

    // MARK: Records

    private func readerFields(_ node: AvroSchema.Node?) -> [AvroSchema.Field]? {
        guard let reader, var node else { return nil }
        if case .union(let nodes) = node { node = nodes.first { if case .null = $0 { false } else { true } } ?? .null }
        guard case .named(let number) = node, case .record(_, let fields) = reader.named[number] else { return nil }
        return fields
    }

    private func record(_ written: [AvroSchema.Field], _ fields: Schema, _ slots: UnsafeMutablePointer<Slot>, _ readerNode: AvroSchema.Node?,
                        _ path: String) throws -> [AvroStep] {
        let known = readerFields(readerNode)
        var wantedBy = [Int](repeating: -1, count: written.count)
        var missing: [AvroStep] = []
        for (i, field) in fields.enumerated() {
            let own = known?.first { $0.name == field.name }
            let names = [field.name] + (own?.aliases.map { $0.split(separator: ".").last.map(String.init) ?? $0 } ?? [])
            if let at = names.lazy.compactMap({ name in written.firstIndex { $0.name == name } }).first, wantedBy[at] < 0 {
                wantedBy[at] = i
                continue
            }
            missing.append(try absent(field, slots + i, own, path.isEmpty ? field.name : "\(path).\(field.name)"))
        }
        var steps: [AvroStep] = []
        for (at, field) in written.enumerated() {
            let i = wantedBy[at]
            guard i >= 0 else {
                add(skip(field.node), to: &steps)
                continue
            }
            let inner = known?.first { $0.name == fields[i].name }?.node
            steps.append(try resolve(field.node, fields[i].type, nullable: fields[i].nullable, slots + i, inner,
                                     path.isEmpty ? fields[i].name : "\(path).\(fields[i].name)"))
        }
        return steps + missing
    }

    /// Values of known sizes next to each other are skipped as one.
    private func add(_ step: AvroStep, to steps: inout [AvroStep]) {
        if step.op == .skipFixed, step.nullBranch < 0, let last = steps.indices.last, steps[last].op == .skipFixed, steps[last].nullBranch < 0 {
            steps[last].a += step.a
        } else if step.op != .skipFixed || step.a > 0 || step.nullBranch >= 0 {
            steps.append(step)
        }
    }

    private func absent(_ field: Field, _ slot: UnsafeMutablePointer<Slot>, _ own: AvroSchema.Field?, _ path: String) throws -> AvroStep {
        if let own, let value = own.defaultValue, let reader {
            if case .null = value {} else {
                var out = EncodedBytes(capacity: 64)
                do { try AvroDefault.encode(value, own.node, reader, into: &out) } catch {
                    throw AvroMismatch(path: path, problem: "its default does not fit its type: \(error)")
                }
                // Reading a constant is reading what a writer with the table's own schema would have written.
                let inner = try AvroPlan(constant: own.node, reader, field, slot, path)
                let bytes = Buffer(copying: out.bytes)
                constants.append(bytes)
                inners.append(inner)
                var step = AvroStep(.constant, slot: slot, a: out.count)
                step.data = UnsafeRawPointer(bytes.base)
                (step.steps, step.stepCount) = (inner.top, 1)
                step.label = label(path)
                return step
            }
        }
        guard field.nullable else {
            throw AvroMismatch(path: path, problem: "the column is NOT NULL, but the writer's schema has no such field, and there is no default")
        }
        return AvroStep(.missing, slot: slot)
    }

    private var inners: [AvroPlan] = []

    private init(constant node: AvroSchema.Node, _ schema: AvroSchema, _ field: Field, _ slot: UnsafeMutablePointer<Slot>, _ path: String) throws {
        writer = schema
        reader = nil
        skips = .allocate(capacity: max(schema.named.count, 1))
        skips.initialize(repeating: (nil, 0), count: max(schema.named.count, 1))
        top = .allocate(capacity: 1)
        allocations.append(UnsafeMutableRawPointer(top))
        top.initialize(to: try resolve(node, field.type, nullable: field.nullable, slot, nil, path))
        topCount = 1
    }

    // MARK: Values

    private func resolve(_ node: AvroSchema.Node, _ type: DataType, nullable: Bool, _ slot: UnsafeMutablePointer<Slot>, _ readerNode: AvroSchema.Node?,
                         _ path: String) throws -> AvroStep {
        guard case .union(let nodes) = node else {
            var step = try single(node, type, nullable: nullable, slot, readerNode, path)
            step.label = label(path)
            return step
        }
        if nodes.count == 2, let null = nodes.firstIndex(where: { if case .null = $0 { true } else { false } }) {
            if case .null = nodes[1 - null] {} else {
                var step = try single(nodes[1 - null], type, nullable: nullable, slot, readerNode, path)
                step.label = label(path)
                step.nullBranch = Int8(null)
                step.isRequired = !nullable
                return step
            }
        }
        var branches: [AvroStep] = [], first: AvroMismatch?, fits = false
        for branch in nodes {
            do {
                var step = try single(branch, type, nullable: nullable, slot, readerNode, path)
                step.label = label(path)
                branches.append(step)
                fits = true
            } catch let mismatch as AvroMismatch {
                first = first ?? mismatch
                var step = AvroStep(.mismatch, a: reasons.count)
                step.label = label(path)
                reasons.append(mismatch.text)
                branches.append(step)
            }
        }
        guard fits else { throw first ?? AvroMismatch(path: path, problem: "its union is empty") }
        var step = AvroStep(.union, slot: slot)
        (step.steps, step.stepCount) = keep(branches)
        step.label = label(path)
        return step
    }

    private func single(_ node: AvroSchema.Node, _ type: DataType, nullable: Bool, _ slot: UnsafeMutablePointer<Slot>, _ readerNode: AvroSchema.Node?,
                        _ path: String) throws -> AvroStep {
        func step(_ op: AvroStep.Op, a: Int = 0, b: Int = 0) -> AvroStep { AvroStep(op, slot: slot, a: a, b: b) }
        let kind = SlotKind(type)
        switch (node, kind) {
        case (.null, _) where nullable: return step(.null)
        case (.boolean, .boolean): return step(.boolean)
        case (.int, .int8): return step(.int8)
        case (.int, .int16): return step(.int16)
        case (.int, .int32), (.int, .date): return step(.int32)
        case (.int, .int64): return step(.int64FromInt)
        case (.long, .int64): return step(.int64)
        case (.int, .float), (.long, .float): return step(.floatFromWhole)
        case (.int, .double), (.long, .double): return step(.doubleFromWhole)
        case (.float, .float): return step(.float)
        case (.float, .double): return step(.doubleFromFloat)
        case (.double, .double): return step(.double)
        case (.string, .text), (.bytes, .text): return step(.text, a: -1)
        case (.string, .binary), (.bytes, .binary): return step(.binary, a: -1)
        case (.bytes(let logical), .decimal): return step(.decimal, a: -1, b: slot.pointee.scale - scale(logical, slot))
        case (.int, .time): return step(.time, b: 1)
        case (.long(.timeMicros), .time): return step(.time, b: 1_000)
        case (.long(let logical), .timestamp):
            let to = TimeUnit(precision: slot.pointee.precision)
            var from = to
            if case .timestamp(let unit) = logical { from = unit }
            return step(.timestamp, a: max(1, Int(to.perSecond / from.perSecond)), b: max(1, Int(from.perSecond / to.perSecond)))
        case (.array(let items), .array):
            guard case .array(let element) = type else { break }
            var inner: AvroSchema.Node?
            if case .array(let node)? = unwrapped(readerNode) { inner = node }
            let item = try resolve(items, element, nullable: true, slot.pointee.children!, inner, path + "[]")
            var made = step(.list)
            made.hasEmptyElements = writer.minimalSize(items) == 0
            (made.steps, made.stepCount) = keep([item])
            return made
        case (.map(let values), .map):
            guard case .map(_, let value) = type else { break }
            var inner: AvroSchema.Node?
            if case .map(let node)? = unwrapped(readerNode) { inner = node }
            var key = AvroStep(.text, slot: slot.pointee.children!, a: -1)
            key.label = label(path + " key")
            let item = try resolve(values, value, nullable: true, slot.pointee.children! + 1, inner, path + "{}")
            var made = step(.map)
            (made.steps, made.stepCount) = keep([key, item])
            return made
        case (.named(let number), _):
            switch (writer.named[number], kind) {
            case (.record(_, let written), .row):
                guard case .row(let fields) = type else { break }
                var made = step(.row)
                (made.steps, made.stepCount) = keep(try record(written, fields, slot.pointee.children!, readerNode, path))
                return made
            case (.enumeration(_, let symbols), .text):
                var made = step(.enumeration, a: symbols.count)
                made.data = keep(symbols)
                return made
            case (.fixed(_, let size, _), .binary): return step(.binary, a: size)
            case (.fixed(_, let size, let logical), .decimal): return step(.decimal, a: size, b: slot.pointee.scale - scale(logical, slot))
            default: break
            }
        default: break
        }
        if case .null = node { throw AvroMismatch(path: path, problem: "the column is NOT NULL, but the writer's schema says null") }
        throw AvroMismatch(path: path, problem: "the writer's schema says \(writer.description(node)), which cannot be read as \(type)")
    }

    private func scale(_ logical: AvroSchema.Logical, _ slot: UnsafeMutablePointer<Slot>) -> Int {
        if case .decimal(_, let scale) = logical { return scale }
        return slot.pointee.scale
    }

    private func unwrapped(_ node: AvroSchema.Node?) -> AvroSchema.Node? {
        guard case .union(let nodes)? = node else { return node }
        return nodes.first { if case .null = $0 { false } else { true } }
    }

    private func keep(_ symbols: [String]) -> UnsafeRawPointer {
        let table = UnsafeMutablePointer<AvroSymbol>.allocate(capacity: max(symbols.count, 1))
        allocations.append(UnsafeMutableRawPointer(table))
        for (i, symbol) in symbols.enumerated() {
            let bytes = Array(symbol.utf8)
            // Short views are read 12 bytes at a time.
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count + 16)
            memory.initialize(repeating: 0, count: bytes.count + 16)
            for (j, byte) in bytes.enumerated() { memory[j] = byte }
            allocations.append(UnsafeMutableRawPointer(memory))
            (table + i).initialize(to: AvroSymbol(bytes: UnsafePointer(memory), count: bytes.count))
        }
        return UnsafeRawPointer(table)
    }

    // MARK: Skipping

    private var skipsDone = Set<Int>()

    private func skip(_ node: AvroSchema.Node) -> AvroStep {
        switch node {
        case .null: return AvroStep(.skipFixed, a: 0)
        case .boolean: return AvroStep(.skipFixed, a: 1)
        case .int, .long: return AvroStep(.skipWhole)
        case .float: return AvroStep(.skipFixed, a: 4)
        case .double: return AvroStep(.skipFixed, a: 8)
        case .bytes, .string: return AvroStep(.skipBytes)
        case .array(let items), .map(let items):
            var step = AvroStep(.skipArray)
            if case .map = node { step.op = .skipMap }
            step.hasEmptyElements = step.op == .skipArray && writer.minimalSize(items) == 0
            (step.steps, step.stepCount) = keep([skip(items)])
            return step
        case .union(let nodes):
            if nodes.count == 2, let null = nodes.firstIndex(where: { if case .null = $0 { true } else { false } }) {
                var step = skip(nodes[1 - null])
                step.nullBranch = Int8(null)
                return step
            }
            var step = AvroStep(.skipUnion)
            (step.steps, step.stepCount) = keep(nodes.map { skip($0) })
            return step
        case .named(let number):
            switch writer.named[number] {
            case .enumeration: return AvroStep(.skipWhole)
            case .fixed(_, let size, _): return AvroStep(.skipFixed, a: size)
            case .open: return AvroStep(.skipFixed, a: 0)
            case .record(_, let fields):
                if skipsDone.insert(number).inserted {
                    var steps: [AvroStep] = []
                    for field in fields { add(skip(field.node), to: &steps) }
                    let (memory, count) = keep(steps)
                    skips[number] = (memory, count)
                }
                return AvroStep(.skipNamed, a: number)
            }
        }
    }
}

/// Default values of schemas as Avro bytes.
enum AvroDefault {
    /// Records whose defaults are such records again end here.
    private static let depthMax = 100

    static func encode(_ value: JSONTree, _ node: AvroSchema.Node, _ schema: AvroSchema, into out: inout EncodedBytes, depth: Int = 0) throws {
        guard depth < depthMax else { throw StreamError(.validate, "a default is nested deeper than \(depthMax) levels") }
        func bad() -> StreamError { StreamError(.validate, "a default is not of type \(schema.description(node))") }
        func bytes(_ text: String) throws -> [UInt8] {
            try text.unicodeScalars.map { scalar in
                guard scalar.value < 256 else { throw bad() }
                return UInt8(scalar.value)
            }
        }
        switch (node, value) {
        case (.null, .null): break
        case (.boolean, .bool(let flag)): out.append(flag ? 1 : 0)
        case (.int, .number(let text)), (.long, .number(let text)):
            guard let number = Int64(text) else { throw bad() }
            out.append(zigzag: number)
        case (.float, .number(let text)):
            guard let number = Float(text) else { throw bad() }
            withUnsafeBytes(of: number) { out.append($0) }
        case (.double, .number(let text)):
            guard let number = Double(text) else { throw bad() }
            withUnsafeBytes(of: number) { out.append($0) }
        case (.string, .string(let text)):
            out.append(zigzag: Int64(text.utf8.count))
            out.append(text)
        case (.bytes, .string(let text)):
            let all = try bytes(text)
            out.append(zigzag: Int64(all.count))
            out.append(all)
        case (.array(let items), .array(let elements)):
            if !elements.isEmpty { out.append(zigzag: Int64(elements.count)) }
            for element in elements { try encode(element, items, schema, into: &out, depth: depth + 1) }
            out.append(0)
        case (.map(let values), .object(let members)):
            if !members.isEmpty { out.append(zigzag: Int64(members.count)) }
            for member in members {
                out.append(zigzag: Int64(member.name.utf8.count))
                out.append(member.name)
                try encode(member.value, values, schema, into: &out, depth: depth + 1)
            }
            out.append(0)
        case (.union(let nodes), _):
            // Of the first branch that takes it: older versions of the specification allow only the very first.
            for (i, branch) in nodes.enumerated() {
                var trial = EncodedBytes(capacity: 64)
                guard (try? encode(value, branch, schema, into: &trial, depth: depth + 1)) != nil else { continue }
                out.append(zigzag: Int64(i))
                return out.append(trial.bytes)
            }
            throw bad()
        case (.named(let number), _):
            switch (schema.named[number], value) {
            case (.enumeration(_, let symbols), .string(let text)):
                guard let index = symbols.firstIndex(of: text) else { throw bad() }
                out.append(zigzag: Int64(index))
            case (.fixed(_, let size, _), .string(let text)):
                let all = try bytes(text)
                guard all.count == size else { throw bad() }
                out.append(all)
            case (.record(_, let fields), .object):
                for field in fields {
                    guard let part = value[field.name] ?? field.defaultValue else { throw bad() }
                    try encode(part, field.node, schema, into: &out, depth: depth + 1)
                }
            default: throw bad()
            }
        default: throw bad()
        }
    }
}

extension EncodedBytes {
    /// A whole number as Avro writes it, small ones of either sign in few bytes.
    @inline(__always)
    mutating func append(zigzag value: Int64) { append(varint: UInt64(bitPattern: value &<< 1 ^ value &>> 63)) }

    @inline(__always)
    mutating func append(varint value: UInt64) {
        let target = reserve(10)
        var rest = value, n = 0
        while rest >= 0x80 {
            target[n] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest &>>= 7
            n &+= 1
        }
        target[n] = UInt8(truncatingIfNeeded: rest)
        advance(n &+ 1)
    }
}
