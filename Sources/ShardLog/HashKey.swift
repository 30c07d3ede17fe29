import CChecksum
import StreamCore

/// Where a record belongs among the shards of a stream: a point on 0 ... 2^128 - 1.
public enum HashKey {
    /// MD5 of the partition key's UTF-8 bytes, read as a big-endian number.
    public static func of(_ partitionKey: String) -> UInt128 {
        var key = partitionKey
        return key.withUTF8 { of(UnsafeRawBufferPointer($0)) }
    }

    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt128 {
        var digest = UInt128(0)
        withUnsafeMutableBytes(of: &digest) {
            sw_md5(bytes.baseAddress, bytes.count, $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
        }
        return UInt128(bigEndian: digest)
    }

    /// An explicit hash key in decimal, as the Kinesis API writes it.
    public static func parse(_ text: String) throws -> UInt128 {
        guard let key = UInt128(text), text.first != "+" else {
            throw StreamError(.validate, "explicit hash key \"\(text)\" is not a decimal number from 0 to \(UInt128.max)")
        }
        return key
    }
}

/// The part of the hash keys that one shard takes, both ends included.
public struct HashKeyRange: Hashable, Sendable {
    public var first: UInt128, last: UInt128
    public init(first: UInt128, last: UInt128) { (self.first, self.last) = (first, last) }

    public func contains(_ key: UInt128) -> Bool { key >= first && key <= last }

    /// `count` ranges as Kinesis cuts them: each 2^128 / count long, rounded down, the last one taking the rest.
    public static func even(_ count: Int) -> [HashKeyRange] {
        precondition(count >= 1, "a stream needs a shard")
        guard count > 1 else { return [HashKeyRange(first: 0, last: .max)] }
        let n = UInt128(count)
        let width = UInt128.max / n + (UInt128.max % n == n - 1 ? 1 : 0)
        return (0..<n).map { HashKeyRange(first: $0 * width, last: $0 == n - 1 ? .max : ($0 + 1) * width - 1) }
    }
}
