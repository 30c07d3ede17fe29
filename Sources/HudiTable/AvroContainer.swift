import LakeTable
import StreamCore

/// Avro's binary encoding, as far as timeline files need it.
struct AvroWriter {
    var bytes: [UInt8] = []

    mutating func long(_ value: Int64) {
        var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func string(_ text: String) {
        long(Int64(text.utf8.count))
        bytes += Array(text.utf8)
    }

    /// An array or map: a block of items, then the empty block.
    mutating func items<T>(_ items: [T], _ write: (inout AvroWriter, T) -> Void) {
        if !items.isEmpty {
            long(Int64(items.count))
            for item in items { write(&self, item) }
        }
        long(0)
    }
}

struct AvroReader {
    let bytes: [UInt8]
    var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func damaged() -> StreamError { StreamError(.corrupt, "an Avro record ends too early or has an impossible length at byte \(at)") }

    mutating func long() throws -> Int64 {
        var value: UInt64 = 0, shift: UInt64 = 0
        while true {
            guard at < bytes.count, shift < 64 else { throw damaged() }
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
            shift += 7
        }
    }

    mutating func raw(_ count: Int64) throws -> ArraySlice<UInt8> {
        guard count >= 0, count <= Int64(bytes.count - at) else { throw damaged() }
        defer { at += Int(count) }
        return bytes[at..<at + Int(count)]
    }

    mutating func string() throws -> String { String(decoding: try raw(try long()), as: UTF8.self) }

    /// The items of an array or map.
    mutating func items(_ read: (inout AvroReader) throws -> Void) throws {
        while true {
            var count = try long()
            if count == 0 { return }
            if count < 0 {
                _ = try long()  // the block's size in bytes
                count = -count
            }
            for _ in 0..<count { try read(&self) }
        }
    }
}

/// An object container file with exactly one record and no compression, which is what timeline files are.
enum AvroContainer {
    private static let magic: [UInt8] = [0x4F, 0x62, 0x6A, 0x01]

    static func file(schema: String, record: [UInt8]) -> [UInt8] {
        // Any 16 bytes serve as the marker between blocks; taking them from the content keeps files reproducible.
        var marker = [UInt8](repeating: 0x5A, count: 16)
        for (i, byte) in record.enumerated() { marker[i & 15] = marker[i & 15] &* 31 &+ byte }
        var out = AvroWriter()
        out.bytes = magic
        out.items([("avro.codec", "null"), ("avro.schema", schema)]) { $0.string($1.0); $0.string($1.1) }
        out.bytes += marker
        out.long(1)
        out.long(Int64(record.count))
        return out.bytes + record + marker
    }

    /// The first record of a file.
    static func record(_ file: [UInt8]) throws -> AvroReader {
        var reader = AvroReader(file)
        guard try Array(reader.raw(4)) == magic else { throw StreamError(.corrupt, "not an Avro file") }
        var codec = "null"
        try reader.items {
            let key = try $0.string(), value = try $0.string()
            if key == "avro.codec" { codec = value }
        }
        guard codec == "null" else { throw StreamError(.validate, "an Avro file is compressed with \(codec); only uncompressed ones can be read") }
        _ = try reader.raw(16)
        _ = try reader.long()
        return AvroReader(Array(try reader.raw(try reader.long())))
    }
}
