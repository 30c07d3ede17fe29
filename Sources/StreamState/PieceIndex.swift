import StreamCore

/// Where one piece of state is.
struct PieceEntry: Sendable, Equatable {
    var unit: String
    var keyGroup: UInt16
    var name: String
    var rows: Int
    /// Number in the manifest's files.
    var file: Int
    var offset: Int
    /// Bytes in the file, which are an LZ4 frame, and before compression.
    var length: Int, rawLength: Int
    /// Of the bytes in the file.
    var crc32c: UInt32
}

/// The index of an operator subtask's pieces, one section of a state file:
///
///     "SWIX", version UInt16, 0 UInt16, texts, entries
///
/// Entries name units and pieces by their numbers in the texts.
enum PieceIndex {
    private static let magic: UInt32 = 0x5849_5753
    private static let version: UInt16 = 1

    static func encode(_ entries: [PieceEntry]) -> [UInt8] {
        var texts: [String] = [], numbers: [String: Int] = [:]
        func number(_ text: String) -> Int {
            if let known = numbers[text] { return known }
            numbers[text] = texts.count
            texts.append(text)
            return texts.count - 1
        }
        var list = ByteWriter()
        for entry in entries {
            list.varint(number(entry.unit))
            list.word(entry.keyGroup)
            for value in [number(entry.name), entry.rows, entry.file, entry.offset, entry.length, entry.rawLength] { list.varint(value) }
            list.word(entry.crc32c)
        }
        var out = ByteWriter()
        out.word(magic)
        out.word(version)
        out.word(UInt16(0))
        out.varint(texts.count)
        for text in texts { out.string(text) }
        out.varint(entries.count)
        return out.bytes + list.bytes
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) throws -> [PieceEntry] {
        var reader = ByteReader(bytes)
        guard try reader.word(UInt32.self) == magic else { throw Malformed("it does not begin as an index") }
        let found = try reader.word(UInt16.self)
        guard found == version else { throw Malformed("it has format \(found); this swiftwater reads format \(version)") }
        _ = try reader.word(UInt16.self)
        let texts = try (0..<reader.count()).map { _ in try reader.string() }
        func text(_ number: Int) throws -> String {
            guard texts.indices.contains(number) else { throw Malformed("it refers to text \(number) of \(texts.count)") }
            return texts[number]
        }
        return try (0..<reader.count()).map { _ in
            let unit = try text(reader.varint()), keyGroup = try reader.word(UInt16.self), name = try text(reader.varint())
            let rows = try reader.varint(), file = try reader.varint(), offset = try reader.varint()
            let length = try reader.varint(), rawLength = try reader.varint()
            guard min(rows, file, offset, length, rawLength) >= 0 else { throw Malformed("it has a negative number") }
            return PieceEntry(unit: unit, keyGroup: keyGroup, name: name, rows: rows, file: file, offset: offset, length: length,
                              rawLength: rawLength, crc32c: try reader.word(UInt32.self))
        }
    }
}
