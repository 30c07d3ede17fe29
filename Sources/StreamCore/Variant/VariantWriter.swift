/// Puts a VARIANT together: the value that the `append` calls make, in the form that ``Variant`` describes.
public struct VariantWriter {
    public private(set) var bytes: [UInt8] = []
    /// Of the objects that are open, innermost last: the bytes of their keys so far, and where each key and value ends.
    private var keys: [UInt8] = []
    private var members: [(keyEnd: Int, valueEnd: Int)] = []
    private var scratch: [UInt8] = []

    public init() {}

    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        members.removeAll(keepingCapacity: true)
    }

    private mutating func put<T: BitwiseCopyable>(_ value: T) { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }
    private mutating func tag(_ kind: Variant.Kind) { bytes.append(kind.rawValue) }

    public mutating func appendNull() { tag(.null) }
    public mutating func append(_ value: Bool) { tag(value ? .true : .false) }

    public mutating func append(_ value: Int64) {
        tag(.integer)
        put(value)
    }

    public mutating func append(_ value: Double) {
        tag(.double)
        put(value.bitPattern)
    }

    public mutating func append(_ value: Float) {
        tag(.float)
        put(value.bitPattern)
    }

    /// Trailing zeros behind the point are dropped.
    public mutating func append(decimal unscaled: Int128, scale: Int) {
        var (unscaled, scale) = (unscaled, scale)
        while scale > 0, unscaled % 10 == 0 {
            unscaled /= 10
            scale -= 1
        }
        tag(.decimal)
        bytes.append(UInt8(scale))
        put(unscaled)
    }

    public mutating func append(string: UnsafeRawBufferPointer) {
        tag(.string)
        bytes.append(contentsOf: string)
    }

    public mutating func append(string: String) {
        tag(.string)
        bytes.append(contentsOf: string.utf8)
    }

    public mutating func append(binary: UnsafeRawBufferPointer) {
        tag(.binary)
        bytes.append(contentsOf: binary)
    }

    public mutating func append(days: Int32) {
        tag(.date)
        put(days)
    }

    public mutating func append(time: Int32) {
        tag(.time)
        put(time)
    }

    /// - Parameter isInstant: TIMESTAMP_LTZ.
    public mutating func append(timestamp: Int64, precision: Int, isInstant: Bool) {
        tag(isInstant ? .instant : .timestamp)
        bytes.append(UInt8(precision))
        put(timestamp)
    }

    public mutating func append(_ value: Variant) { bytes.append(contentsOf: value.bytes) }

    /// An array: `body` appends the elements and calls `next` behind each.
    public mutating func array<E: Error>(_ body: (inout VariantWriter, _ next: (inout VariantWriter) -> Void) throws(E) -> Void) throws(E) {
        let start = bytes.count
        var ends: [UInt32] = []
        try body(&self) { ends.append(UInt32($0.bytes.count - start)) }
        var head: [UInt8] = [Variant.Kind.array.rawValue]
        Self.put(UInt32(ends.count), &head)
        for end in ends { Self.put(end, &head) }
        bytes.insert(contentsOf: head, at: start)
    }

    /// An object: `body` appends the values and calls `next` with its key behind each. Of equal keys the last one stays.
    public mutating func object<E: Error>(
        _ body: (inout VariantWriter, _ next: (inout VariantWriter, [UInt8]) -> Void) throws(E) -> Void
    ) throws(E) {
        let object = beginObject()
        try body(&self) { writer, key in key.withUnsafeBytes { writer.endMember(key: $0) } }
        endObject(object)
    }

    /// An object that is being written.
    public struct OpenObject {
        fileprivate let start: Int, keyStart: Int, firstMember: Int
    }

    /// Begins an object. For each member append its value and call ``endMember(key:)``, then ``endObject(_:)``.
    public mutating func beginObject() -> OpenObject { OpenObject(start: bytes.count, keyStart: keys.count, firstMember: members.count) }

    /// The value that was appended last is the one under `key`.
    public mutating func endMember(key: UnsafeRawBufferPointer) {
        keys.append(contentsOf: key)
        members.append((keys.count, bytes.count))
    }

    /// Ends an object. Of equal keys the last one stays.
    public mutating func endObject(_ object: OpenObject) {
        let first = object.firstMember, count = members.count - first
        func key(_ i: Int) -> Range<Int> { (i == 0 ? object.keyStart : members[first + i - 1].keyEnd)..<members[first + i].keyEnd }
        func value(_ i: Int) -> Range<Int> { (i == 0 ? object.start : members[first + i - 1].valueEnd)..<members[first + i].valueEnd }
        scratch.removeAll(keepingCapacity: true)
        keys.withUnsafeBytes { keys in
            func compare(_ i: Int, _ j: Int) -> Int {
                ByteOrder.compare(UnsafeRawBufferPointer(rebasing: keys[key(i)]), UnsafeRawBufferPointer(rebasing: keys[key(j)]))
            }
            var order = Array(0..<count)
            if (1..<max(count, 1)).contains(where: { compare($0 - 1, $0) >= 0 }) {
                order.sort { i, j in
                    let result = compare(i, j)
                    return result == 0 ? i < j : result < 0
                }
                order = order.indices.filter { $0 + 1 == order.count || compare(order[$0], order[$0 + 1]) != 0 }.map { order[$0] }
            }
            scratch.append(Variant.Kind.object.rawValue)
            Self.put(UInt32(order.count), &scratch)
            var end: UInt32 = 0
            for i in order {
                end += UInt32(key(i).count)
                Self.put(end, &scratch)
            }
            end = 0
            for i in order {
                end += UInt32(value(i).count)
                Self.put(end, &scratch)
            }
            for i in order { scratch.append(contentsOf: keys[key(i)]) }
            bytes.withUnsafeBytes { bytes in for i in order { scratch.append(contentsOf: bytes[value(i)]) } }
        }
        bytes.removeSubrange(object.start...)
        bytes.append(contentsOf: scratch)
        keys.removeSubrange(object.keyStart...)
        members.removeSubrange(first...)
    }

    private static func put(_ value: UInt32, _ out: inout [UInt8]) { withUnsafeBytes(of: value) { out.append(contentsOf: $0) } }
}
