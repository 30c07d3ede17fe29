import CRdKafka
import StreamCore

/// A record between the two ends of a mirror.
public enum MirrorRecord {
    static let topic = 0, partition = 1, offset = 2, timestamp = 3, key = 4, value = 5, headers = 6

    /// `timestamp` is in milliseconds, -1 = none; `headers` is null when there are none, and as ``Headers`` says otherwise.
    public static let schema: Schema = [
        Field("topic", .string), Field("partition", .int), Field("offset", .bigint), Field("timestamp", .bigint), Field("key", .bytes), Field("value", .bytes),
        Field("headers", .bytes),
    ]

    /// The header that says which clusters a record has come through; its value is a cluster's alias. There is one for each mirror
    /// with `naming: identity` that knows the aliases.
    public static let originHeader = "swiftwater.mirror.origin"
}

/// Headers as one run of bytes, in order, repetitions included:
///
///     name length UInt32 | name | value length Int32, -1 = null | value | next header ...
struct HeaderBytes: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 4_096) {
        base = .allocate(byteCount: capacity, alignment: 8)
        self.capacity = capacity
    }

    deinit { base.deallocate() }

    mutating func removeAll() { count = 0 }

    private mutating func reserve(_ more: Int) {
        guard count + more > capacity else { return }
        capacity = max(capacity * 2, count + more)
        let bigger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        bigger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = bigger
    }

    mutating func append(raw bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        reserve(bytes.count)
        (base + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    /// - Parameter value: nil = null.
    mutating func append(_ name: UnsafePointer<CChar>, _ value: UnsafeRawPointer?, _ length: Int) {
        var nameLength = 0
        while name[nameLength] != 0 { nameLength += 1 }
        reserve(8 + nameLength + length)
        base.storeBytes(of: UInt32(nameLength), toByteOffset: count, as: UInt32.self)
        (base + count + 4).copyMemory(from: name, byteCount: nameLength)
        count += 4 + nameLength
        base.storeBytes(of: value == nil ? -1 : Int32(length), toByteOffset: count, as: Int32.self)
        count += 4
        if let value {
            (base + count).copyMemory(from: value, byteCount: length)
            count += length
        }
    }

    /// Appends the headers of a message. - Returns: false when it has none.
    mutating func append(_ message: UnsafePointer<rd_kafka_message_t>) -> Bool {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else { return false }
        var i = 0, name: UnsafePointer<CChar>?, value: UnsafeRawPointer?, size = 0
        while rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            if let name { append(name, value, size) }
            i += 1
        }
        return i > 0
    }

    /// librdkafka's headers out of such bytes, and `extra` behind them; the caller frees them, or gives them to a message.
    static func make(_ bytes: UnsafeRawBufferPointer, extra: (name: String, value: String)?) -> OpaquePointer? {
        guard bytes.count > 0 || extra != nil else { return nil }
        let headers = rd_kafka_headers_new(8)
        var at = 0
        while at + 8 <= bytes.count {
            let nameLength = Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            let name = bytes.baseAddress! + at + 4
            at += 4 + nameLength
            let length = Int(bytes.loadUnaligned(fromByteOffset: at, as: Int32.self))
            at += 4
            rd_kafka_header_add(headers, name.assumingMemoryBound(to: CChar.self), nameLength, length < 0 ? nil : bytes.baseAddress! + at, max(length, 0))
            at += max(length, 0)
        }
        if let extra {
            var value = extra.value
            value.withUTF8 { _ = rd_kafka_header_add(headers, extra.name, -1, $0.baseAddress, $0.count) }
        }
        return headers
    }
}

/// Tells whether a message carries the mark of a cluster.
struct OriginMark {
    private let value: [UInt8]
    init(_ alias: String) { value = Array(alias.utf8) }

    func isOn(_ message: UnsafePointer<rd_kafka_message_t>) -> Bool {
        var headers: OpaquePointer?
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else { return false }
        var i = 0, found: UnsafeRawPointer?, size = 0
        while rd_kafka_header_get(headers, i, MirrorRecord.originHeader, &found, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            if let found, size == value.count, UnsafeRawBufferPointer(start: found, count: size).elementsEqual(value) { return true }
            i += 1
        }
        return false
    }
}
