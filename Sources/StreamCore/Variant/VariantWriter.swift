/// Puts a VARIANT together: the value that the `append` calls make, in the form that ``Variant`` describes.
public struct VariantWriter {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

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
        let start = bytes.count
        var members: [(key: [UInt8], range: Range<Int>)] = []
        var at = start
        try body(&self) { writer, key in
            members.append((key, at..<writer.bytes.count))
            at = writer.bytes.count
        }
        let order = members.indices.sorted { i, j in
            members[i].key == members[j].key ? i < j : members[i].key.lexicographicallyPrecedes(members[j].key)
        }
        let kept = order.indices.filter { $0 + 1 == order.count || members[order[$0]].key != members[order[$0 + 1]].key }.map { members[order[$0]] }
        var made: [UInt8] = [Variant.Kind.object.rawValue]
        Self.put(UInt32(kept.count), &made)
        var end: UInt32 = 0
        for member in kept {
            end += UInt32(member.key.count)
            Self.put(end, &made)
        }
        end = 0
        for member in kept {
            end += UInt32(member.range.count)
            Self.put(end, &made)
        }
        for member in kept { made += member.key }
        for member in kept { made += bytes[member.range] }
        bytes.replaceSubrange(start..., with: made)
    }

    private static func put(_ value: UInt32, _ out: inout [UInt8]) { withUnsafeBytes(of: value) { out.append(contentsOf: $0) } }
}
