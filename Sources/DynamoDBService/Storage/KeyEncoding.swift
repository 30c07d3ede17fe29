/// Where an item stands: its keys as bytes that order as the service orders keys.
struct ItemPosition: Hashable, Sendable {
    /// Spreads hash keys over the segments of a scan: 32 bits.
    var bucket: Int64
    var hash: [UInt8]
    var range: [UInt8]

    init(hash: [UInt8], range: [UInt8]) {
        (bucket, self.hash, self.range) = (Self.bucket(of: hash), hash, range)
    }

    /// nil when the item lacks an attribute of the key, or has one of another type: it is not in that index then.
    init?(_ item: Item, _ key: KeySchema) {
        guard let hash = KeyEncoding.bytes(item, key.hash), let range = KeyEncoding.bytes(item, key.range) else { return nil }
        self.init(hash: hash, range: range)
    }

    static let buckets: Int64 = 1 << 32

    /// FNV-1a, mixed so that keys that differ in their last byte alone fall far apart.
    private static func bucket(of bytes: [UInt8]) -> Int64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash ^= hash >> 33
        hash = hash &* 0xFF51_AFD7_ED55_8CCD
        hash ^= hash >> 33
        return Int64(hash >> 32)
    }
}

enum KeyEncoding {
    /// One attribute is its bytes as they are; of several, all but the last are ended by a zero, so that they order one after another.
    static func bytes(_ item: Item, _ attributes: [KeyAttribute]) -> [UInt8]? {
        var out: [UInt8] = []
        for (i, attribute) in attributes.enumerated() {
            guard let value = item[attribute.name], value.kind.rawValue == attribute.type.rawValue, let bytes = value.keyBytes else { return nil }
            if i == attributes.count - 1 {
                out += bytes
            } else {
                out += ended(bytes)
            }
        }
        return out
    }

    /// Zeros inside are followed by 0xFF; the end is a zero followed by 1.
    static func ended(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        for byte in bytes {
            out.append(byte)
            if byte == 0 { out.append(0xFF) }
        }
        return out + [0, 1]
    }

    /// The least bytes that are greater than all that begin with `prefix`; nil when there are none.
    static func after(prefix: [UInt8]) -> [UInt8]? {
        var out = prefix
        while let last = out.popLast() {
            if last < 0xFF { return out + [last + 1] }
        }
        return nil
    }
}

/// Range keys from `lower` up to, and without, `upper`.
struct ByteRange: Sendable {
    var lower: [UInt8] = []
    var upper: [UInt8]?

    static let all = ByteRange()
    static func equal(_ bytes: [UInt8]) -> ByteRange { ByteRange(lower: bytes, upper: bytes + [0]) }
    static func prefix(_ bytes: [UInt8]) -> ByteRange { ByteRange(lower: bytes, upper: KeyEncoding.after(prefix: bytes)) }
}
