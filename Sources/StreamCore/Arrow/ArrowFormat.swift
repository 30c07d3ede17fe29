import CArrowData

/// How our types look in the Arrow C Data Interface.
public struct ArrowLayout: Hashable, Sendable {
    /// Text and binary as 16-byte views (no copy, "vu" and "vz") rather than offsets and bytes ("u" and "z").
    public var stringViews: Bool
    /// Every timestamp as microseconds UTC, whatever its precision; nanoseconds are floored.
    public var timestampsAsMicros: Bool
    /// TINYINT and SMALLINT as 32-bit integers.
    public var widenSmallIntegers: Bool
    /// With ``timestampsAsMicros``: TIMESTAMP stays one without a zone, only TIMESTAMP_LTZ is UTC.
    public var keepsLocalTimestamps = false
    /// TIME as 64-bit microseconds rather than 32-bit milliseconds.
    public var timesAsMicros = false

    public init(stringViews: Bool = false, timestampsAsMicros: Bool = false, widenSmallIntegers: Bool = false) {
        self.stringViews = stringViews
        self.timestampsAsMicros = timestampsAsMicros
        self.widenSmallIntegers = widenSmallIntegers
    }

    /// As stored in columns: nothing is copied but BOOLEAN.
    public static let native = ArrowLayout(stringViews: true)
    /// What lake table files hold.
    public static let lake = ArrowLayout(timestampsAsMicros: true, widenSmallIntegers: true)

    /// The format string of a type.
    public func format(of type: DataType) -> String {
        switch type {
        case .boolean: "b"
        case .tinyint: widenSmallIntegers ? "i" : "c"
        case .smallint: widenSmallIntegers ? "i" : "s"
        case .int: "i"
        case .bigint: "l"
        case .float: "f"
        case .double: "g"
        case .decimal(let p, let s): "d:\(p),\(s)"
        case .char, .varchar: stringViews ? "vu" : "u"
        case .binary, .varbinary, .variant: stringViews ? "vz" : "z"
        case .date: "tdD"
        case .time: timesAsMicros ? "ttu" : "ttm"
        case .timestamp where timestampsAsMicros && keepsLocalTimestamps: "tsu:"
        case .timestamp where timestampsAsMicros, .timestampLTZ where timestampsAsMicros: "tsu:UTC"
        case .timestamp: "ts\(unitLetter(type)):"
        case .timestampLTZ: "ts\(unitLetter(type)):UTC"
        case .intervalYearMonth: "tiM"
        case .intervalDayTime: "tDm"
        case .array: "+l"
        case .map: "+m"
        case .row: "+s"
        case .null: "n"
        }
    }

    private func unitLetter(_ type: DataType) -> String {
        switch type.timeUnit! {
        case .milliseconds: "m"
        case .microseconds: "u"
        case .nanoseconds: "n"
        }
    }

    /// A struct schema with these fields. The consumer calls its `release`.
    public func schema(_ fields: Schema) -> ArrowSchema {
        makeArrowSchema(format: "+s", name: "", nullable: false, children: fields.map { schema(name: $0.name, $0.type, nullable: $0.nullable) })
    }

    func schema(name: String, _ type: DataType, nullable: Bool) -> ArrowSchema {
        let children: [ArrowSchema] = switch type {
        case .array(let element): [schema(name: "element", element, nullable: true)]
        case .map(let key, let value):
            [makeArrowSchema(format: "+s", name: "key_value", nullable: false, children: [
                schema(name: "key", key, nullable: false), schema(name: "value", value, nullable: true),
            ])]
        case .row(let fields): fields.map { schema(name: $0.name, $0.type, nullable: $0.nullable) }
        default: []
        }
        return makeArrowSchema(format: format(of: type), name: name, nullable: nullable, children: children)
    }
}

/// Builds a schema node; it takes over the children and the dictionary.
/// - Parameter metadata: keys and values, in Arrow's form: see ``ArrowMetadata``.
package func makeArrowSchema(format: String, name: String, nullable: Bool, children: [ArrowSchema] = [],
                     dictionary: ArrowSchema? = nil, metadata: [(String, String)] = []) -> ArrowSchema {
    var out = ArrowSchema()
    if !metadata.isEmpty { out.metadata = UnsafePointer(ArrowMetadata.encode(metadata)) }
    out.format = UnsafePointer(copyCString(format))
    out.name = UnsafePointer(copyCString(name))
    out.flags = nullable ? 2 : 0
    out.n_children = Int64(children.count)
    if !children.isEmpty {
        out.children = .allocate(capacity: children.count)
        for (i, child) in children.enumerated() {
            let node = UnsafeMutablePointer<ArrowSchema>.allocate(capacity: 1)
            node.initialize(to: child)
            out.children[i] = node
        }
    }
    if let dictionary {
        out.dictionary = .allocate(capacity: 1)
        out.dictionary.initialize(to: dictionary)
    }
    out.release = { schema in
        guard let schema, schema.pointee.release != nil else { return }
        UnsafeMutablePointer(mutating: schema.pointee.format)?.deallocate()
        UnsafeMutablePointer(mutating: schema.pointee.name)?.deallocate()
        UnsafeMutablePointer(mutating: schema.pointee.metadata)?.deallocate()
        for i in 0..<Int(schema.pointee.n_children) {
            let child = schema.pointee.children[i]!
            child.pointee.release?(child)
            child.deallocate()
        }
        schema.pointee.children?.deallocate()
        if let dictionary = schema.pointee.dictionary {
            dictionary.pointee.release?(dictionary)
            dictionary.deallocate()
        }
        schema.pointee.release = nil
    }
    return out
}

/// Keys and values that belong to a schema node: a count, then lengths and bytes, all lengths 32 bits.
package enum ArrowMetadata {
    static func encode(_ pairs: [(String, String)]) -> UnsafeMutablePointer<CChar> {
        var bytes: [UInt8] = []
        func append(_ n: Int) { withUnsafeBytes(of: Int32(n)) { bytes += $0 } }
        append(pairs.count)
        for (key, value) in pairs {
            for text in [key, value] {
                append(text.utf8.count)
                bytes += Array(text.utf8)
            }
        }
        let out = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (i, byte) in bytes.enumerated() { out[i] = CChar(bitPattern: byte) }
        return out
    }

    /// The value of a key of a schema node; nil when it has none.
    package static func value(_ key: String, of schema: ArrowSchema) -> String? {
        guard let metadata = schema.metadata else { return nil }
        var at = UnsafeRawPointer(metadata)
        func length() -> Int {
            defer { at += 4 }
            return Int(at.loadUnaligned(as: Int32.self))
        }
        func text() -> String {
            let n = length()
            defer { at += n }
            return String(decoding: UnsafeRawBufferPointer(start: at, count: n), as: UTF8.self)
        }
        for _ in 0..<length() {
            let name = text(), value = text()
            if name == key { return value }
        }
        return nil
    }
}

private func copyCString(_ text: String) -> UnsafeMutablePointer<CChar> {
    let bytes = text.utf8CString
    let out = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    bytes.withUnsafeBufferPointer { out.initialize(from: $0.baseAddress!, count: $0.count) }
    return out
}

/// What keeps the memory behind an exported array alive until the consumer releases it.
final class ArrowArrayOwner {
    let owners: [AnyObject]
    let bufferPointers: UnsafeMutablePointer<UnsafeRawPointer?>

    init(owners: [AnyObject], buffers: [UnsafeRawPointer?]) {
        self.owners = owners
        bufferPointers = .allocate(capacity: max(buffers.count, 1))
        for (i, buffer) in buffers.enumerated() { bufferPointers[i] = buffer }
    }

    deinit { bufferPointers.deallocate() }
}

/// Builds an array node; `owners` live until it is released, and it takes over the children and the dictionary.
package func makeArrowArray(length: Int, nullCount: Int, buffers: [UnsafeRawPointer?], owners: [AnyObject],
                    children: [ArrowArray] = [], dictionary: ArrowArray? = nil) -> ArrowArray {
    let owner = ArrowArrayOwner(owners: owners, buffers: buffers)
    var out = ArrowArray()
    out.length = Int64(length)
    out.null_count = Int64(nullCount)
    out.n_buffers = Int64(buffers.count)
    out.buffers = owner.bufferPointers
    out.n_children = Int64(children.count)
    if !children.isEmpty {
        out.children = .allocate(capacity: children.count)
        for (i, child) in children.enumerated() {
            let node = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
            node.initialize(to: child)
            out.children[i] = node
        }
    }
    if let dictionary {
        out.dictionary = .allocate(capacity: 1)
        out.dictionary.initialize(to: dictionary)
    }
    out.private_data = Unmanaged.passRetained(owner).toOpaque()
    out.release = { array in
        guard let array, array.pointee.release != nil else { return }
        for i in 0..<Int(array.pointee.n_children) {
            let child = array.pointee.children[i]!
            child.pointee.release?(child)  // null when the consumer moved the child out
            child.deallocate()
        }
        array.pointee.children?.deallocate()
        if let dictionary = array.pointee.dictionary {
            dictionary.pointee.release?(dictionary)
            dictionary.deallocate()
        }
        Unmanaged<ArrowArrayOwner>.fromOpaque(array.pointee.private_data).release()
        array.pointee.release = nil
    }
    return out
}
