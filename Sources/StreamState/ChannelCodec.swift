import StreamCore

/// Elements in flight on one input of a subtask at a barrier, oldest first.
public struct ChannelState: Sendable {
    /// Number of the subtask's input channel.
    public var channel: Int
    /// Batches, watermarks and idleness only.
    public var elements: [StreamElement]
    public init(channel: Int, elements: [StreamElement]) { (self.channel, self.elements) = (channel, elements) }
}

/// Elements in flight, before compression:
///
///     "SWCH", version UInt16, 0 UInt16, length of the list UInt64, list, batches (``PieceFormat``) at multiples of 64
///
/// The list holds per channel its number and its elements: a tag, and for batches offset and length, for watermarks
/// milliseconds.
enum ChannelCodec {
    private static let magic: UInt32 = 0x4843_5753
    private static let version: UInt16 = 1
    private static let preambleBytes = 16
    private enum Tag { static let batch: UInt8 = 0, watermark: UInt8 = 1, idle: UInt8 = 2, active: UInt8 = 3 }

    /// - Returns: the encoded bytes.
    static func encode(_ channels: [ChannelState]) throws -> GrowingBuffer {
        // Batches come first here, as the list says where they are; it is put in front of them at the end.
        let batches = GrowingBuffer()
        let encoder = PieceEncoder(batches)
        var list = ByteWriter()
        list.varint(channels.count)
        for channel in channels {
            list.varint(channel.channel)
            list.varint(channel.elements.count)
            for element in channel.elements {
                switch element {
                case .batch(let batch):
                    batches.align()
                    let start = batches.count
                    try encoder.encode(batch, columns: [])
                    list.byte(Tag.batch)
                    list.varint(start)
                    list.varint(batches.count - start)
                case .watermark(let time):
                    list.byte(Tag.watermark)
                    list.word(time.milliseconds)
                case .idle(let isIdle): list.byte(isIdle ? Tag.idle : Tag.active)
                case .barrier, .latencyMarker, .endOfInput:
                    throw StreamError(.runtime, "barriers, latency markers and ends of input cannot be part of the elements in flight of a checkpoint")
                }
            }
        }
        var preamble = ByteWriter()
        preamble.word(magic)
        preamble.word(version)
        preamble.word(UInt16(0))
        preamble.word(UInt64(list.bytes.count))
        let out = GrowingBuffer(capacity: preambleBytes + list.bytes.count + Buffer.alignment + batches.count)
        preamble.bytes.withUnsafeBytes { out.append($0) }
        list.bytes.withUnsafeBytes { out.append($0) }
        out.align()
        out.append(batches.bytes)
        return out
    }

    static func decode(_ buffer: Buffer) throws -> [ChannelState] {
        let all = UnsafeRawBufferPointer(start: buffer.base, count: buffer.capacity)
        var preamble = ByteReader(all)
        guard try preamble.word(UInt32.self) == magic else { throw Malformed("it does not begin as elements in flight") }
        let found = try preamble.word(UInt16.self)
        guard found == version else { throw Malformed("it has format \(found); this swiftwater reads format \(version)") }
        _ = try preamble.word(UInt16.self)
        let length = try preamble.word(UInt64.self)
        guard length <= UInt64(all.count - preambleBytes) else { throw Malformed("it is cut off") }
        let end = preambleBytes + Int(length)
        let batches = (end + Buffer.alignment - 1) & ~(Buffer.alignment - 1)
        var list = ByteReader(UnsafeRawBufferPointer(rebasing: all[preambleBytes..<end]))
        return try (0..<list.count()).map { _ in
            let channel = try list.varint()
            return ChannelState(channel: channel, elements: try (0..<list.count()).map { _ in
                switch try list.byte() {
                case Tag.batch:
                    let (offset, length) = (try list.varint(), try list.varint())
                    guard offset >= 0, offset <= all.count, offset % Buffer.alignment == 0 else { throw Malformed("a batch in it is misplaced") }
                    return .batch(try PieceDecoder.decode(buffer, offset: batches + offset, length: length).batch)
                case Tag.watermark: return .watermark(EventTime(milliseconds: try list.word(Int64.self)))
                case Tag.idle: return .idle(true)
                case Tag.active: return .idle(false)
                case let tag: throw Malformed("it has an element with the unknown tag \(tag)")
                }
            })
        }
    }
}
