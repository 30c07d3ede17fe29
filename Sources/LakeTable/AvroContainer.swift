import StreamCore

/// Avro's binary encoding, as far as table metadata needs it.
package struct AvroWriter {
    package var bytes: [UInt8] = []

    package init() {}

    package mutating func long(_ value: Int64) {
        var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func string(_ text: String) {
        long(Int64(text.utf8.count))
        bytes += Array(text.utf8)
    }

    /// A value of a union of null and a type, the null first.
    package mutating func optional<T>(_ value: T?, _ write: (inout AvroWriter, T) -> Void) {
        long(value == nil ? 0 : 1)
        if let value { write(&self, value) }
    }

    /// An array or map: a block of items, then the empty block.
    package mutating func items<T>(_ items: [T], _ write: (inout AvroWriter, T) -> Void) {
        if !items.isEmpty {
            long(Int64(items.count))
            for item in items { write(&self, item) }
        }
        long(0)
    }
}

package struct AvroReader {
    package let bytes: [UInt8]
    package var at = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func damaged() -> StreamError { StreamError(.corrupt, "an Avro record ends too early or has an impossible length at byte \(at)") }

    package mutating func long() throws -> Int64 {
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

    package mutating func raw(_ count: Int64) throws -> ArraySlice<UInt8> {
        guard count >= 0, count <= Int64(bytes.count - at) else { throw damaged() }
        defer { at += Int(count) }
        return bytes[at..<at + Int(count)]
    }

    package mutating func string() throws -> String { String(decoding: try raw(try long()), as: UTF8.self) }

    /// The items of an array or map.
    package mutating func items(_ read: (inout AvroReader) throws -> Void) throws {
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

/// Object container files: a header with entries of text, then blocks of records.
package enum AvroContainer {
    private static let magic: [UInt8] = [0x4F, 0x62, 0x6A, 0x01]

    /// A block: how many records it has, and their bytes, compressed as the header says.
    package struct Block {
        package var count: Int
        package var bytes: [UInt8]
        package init(count: Int, bytes: [UInt8]) { (self.count, self.bytes) = (count, bytes) }
    }

    /// A file with exactly one record and no compression.
    package static func file(schema: String, record: [UInt8]) -> [UInt8] {
        file([("avro.codec", "null"), ("avro.schema", schema)], [Block(count: 1, bytes: record)])
    }

    /// - Parameter header: with `avro.schema`, and with `avro.codec`, which the blocks are compressed with already.
    package static func file(_ header: [(String, String)], _ blocks: [Block]) -> [UInt8] {
        // Any 16 bytes serve as the marker between blocks; taking them from the content keeps files reproducible.
        var marker = [UInt8](repeating: 0x5A, count: 16)
        for block in blocks { for (i, byte) in block.bytes.enumerated() { marker[i & 15] = marker[i & 15] &* 31 &+ byte } }
        var out = AvroWriter()
        out.bytes = magic
        out.items(header) { $0.string($1.0); $0.string($1.1) }
        out.bytes += marker
        for block in blocks {
            out.long(Int64(block.count))
            out.long(Int64(block.bytes.count))
            out.bytes += block.bytes
            out.bytes += marker
        }
        return out.bytes
    }

    /// The header's entries and all blocks of a file.
    package static func read(_ file: [UInt8]) throws -> (header: [String: String], blocks: [Block]) {
        var reader = AvroReader(file), header: [String: String] = [:]
        guard try Array(reader.raw(4)) == magic else { throw StreamError(.corrupt, "not an Avro file") }
        try reader.items {
            let key = try $0.string()
            header[key] = try $0.string()
        }
        let marker = try reader.raw(16)
        var blocks: [Block] = []
        while reader.at < file.count {
            let count = try reader.long(), bytes = Array(try reader.raw(try reader.long()))
            guard try reader.raw(16) == marker else { throw StreamError(.corrupt, "an Avro file is damaged at byte \(reader.at)") }
            blocks.append(Block(count: Int(count), bytes: bytes))
        }
        return (header, blocks)
    }

    package static func isContainer(_ file: [UInt8]) -> Bool { file.starts(with: magic) }

    /// The first record of a file.
    package static func record(_ file: [UInt8]) throws -> AvroReader { try open(file).record }

    /// The first record of a file, and the schema that it was written with.
    package static func open(_ file: [UInt8]) throws -> (schema: String, record: AvroReader) {
        let (header, blocks) = try read(file)
        let codec = header["avro.codec"] ?? "null"
        guard codec == "null" else { throw StreamError(.validate, "an Avro file is compressed with \(codec); only uncompressed ones can be read") }
        guard let block = blocks.first else { throw StreamError(.corrupt, "an Avro file has no records") }
        return (header["avro.schema"] ?? "", AvroReader(block.bytes))
    }
}
