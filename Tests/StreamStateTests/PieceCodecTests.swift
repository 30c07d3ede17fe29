import StreamCore
import StreamTesting
import Testing

@testable import StreamState

@Suite struct PieceCodecTests {
    private func encoded(_ batch: Batch, columns: [String] = []) throws -> Buffer {
        let out = GrowingBuffer(capacity: 16)
        try PieceEncoder(out).encode(batch, columns: columns)
        return Buffer(copying: out.bytes)
    }

    @Test func batchesOfAllTypesComeBack() throws {
        let first = UInt64.random(in: 0...UInt64.max / 2)
        for seed in first..<first + 400 {
            var data = RandomData(seed)
            let batch = data.batch(), names = batch.columns.indices.map { "column \($0)" }
            let buffer = try encoded(batch, columns: names)
            let (back, backNames) = try PieceDecoder.decode(buffer, length: buffer.capacity)
            #expect(Rows(back) == Rows(batch), "seed \(seed)")
            #expect(back.columns.map(\.type) == batch.columns.map(\.type), "seed \(seed)")
            #expect(back.insertOnly == batch.insertOnly && back.selection == nil && backNames == names, "seed \(seed)")
            // What came back is as good as the first: it can be written again.
            let again = try encoded(back, columns: names)
            let third = try PieceDecoder.decode(again, length: again.capacity).batch
            #expect(Rows(third) == Rows(batch), "seed \(seed)")
        }
    }

    @Test func damagedBytesNeverLeadOutsideOfTheMemory() throws {
        let first = UInt64.random(in: 0...UInt64.max / 2)
        for seed in first..<first + 300 {
            var data = RandomData(seed)
            let buffer = try encoded(data.batch())
            for _ in 0..<4 {
                let copy = Buffer(copying: UnsafeRawBufferPointer(start: buffer.base, count: buffer.capacity))
                (copy.base + data.int(0...copy.capacity - 1)).storeBytes(of: UInt8(data.int(0...255)), as: UInt8.self)
                let length = data.chance(20) ? data.int(0...copy.capacity) : copy.capacity
                // Whatever it says, reading it must be safe. Checksums are what finds damage to plain values.
                if let batch = try? PieceDecoder.decode(copy, length: length).batch { _ = Rows(batch) }
            }
        }
    }

    @Test func onlyTheBytesInUseOfHeapsAreStored() throws {
        let builder = ColumnBuilder(type: .string)
        for i in 0..<1_000 { builder.append(string: "a text that is much too long to be inside of its view \(i)") }
        var batch = Batch(columns: [builder.finish()], physicalCount: 1_000)
        let all = try encoded(batch).capacity
        batch.selection = Selection([5, 700, 701])
        let (few, neighbours) = (try encoded(batch), try encoded(batch.slice(1..<3)))
        #expect(all > 50_000 && few.capacity < 600 && neighbours.capacity < 500)
        #expect(try PieceDecoder.decode(few, length: few.capacity).batch.rows() == batch.rows())
    }

    @Test func valuesOfADictionaryAreStoredOnce() throws {
        let builder = ColumnBuilder(type: .string)
        for i in 0..<4 { builder.append(string: "an entry of a dictionary, with some length, number \(i)") }
        let codes = (0..<1_000).map { Int32($0 % 4) }.withUnsafeBytes { Buffer(copying: $0) }
        let column = Column(type: .string, count: 1_000, values: codes, dictionary: builder.finish())
        let bytes = try encoded(Batch(columns: [column], physicalCount: 1_000))
        #expect(bytes.capacity < 17_000)
        #expect(try PieceDecoder.decode(bytes, length: bytes.capacity).batch.rows() == (0..<1_000).map { [column.value(at: $0)] })
    }

    @Test func listsInTheMiddleOfAColumnBeginAtZero() throws {
        let batch = Batch(schema: [Field("list", .array(.string))], rows: (0..<50).map { i in
            [i % 7 == 3 ? .null : .array((0..<i % 4).map { .string("element \($0) of a list, number \(i)") })]
        })
        let part = batch.slice(13..<37)
        let bytes = try encoded(part)
        let back = try PieceDecoder.decode(bytes, length: bytes.capacity).batch
        #expect(back.rows() == part.rows())
        #expect(back.columns[0].codes[0] == 0)
    }

    @Test func everyTypeComesBack() throws {
        let types: [DataType] = [
            .boolean, .tinyint, .smallint, .int, .bigint, .float, .double, .decimal(precision: 38, scale: 18), .char(1), .varchar(7), .string,
            .binary(3), .varbinary(9), .bytes, .date, .time(3), .timestamp(9), .timestampLTZ(0), .intervalYearMonth, .intervalDayTime, .null,
            .array(.array(.int)), .map(key: .string, value: .row([Field("a b", .double), Field("", .null, nullable: false)])), .row([]),
        ]
        for type in types {
            var writer = ByteWriter()
            writer.type(type)
            let back = try writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let type = try reader.type()
                #expect(reader.isAtEnd)
                return type
            }
            #expect(back == type)
        }
    }

    @Test func numbersComeBack() throws {
        var writer = ByteWriter()
        let numbers = [0, 1, 127, 128, 16_383, 16_384, .max, -1, .min]
        for number in numbers { writer.varint(number) }
        try writer.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            for number in numbers {
                let back = try reader.varint()
                #expect(back == number)
            }
            #expect(throws: Malformed.self) { try reader.varint() }
        }
    }

    @Test func framesComeBack() throws {
        var data = RandomData(7)
        for count in [0, 1, 100, 70_000, 3_000_000] {
            let bytes = (0..<count).map { _ in UInt8(data.random.next() & 15) }
            let out = Buffer(capacity: LZ4Frame.bound(count)), back = Buffer(capacity: count)
            let length = try bytes.withUnsafeBytes { try LZ4Frame.compress($0, into: out.base, capacity: out.capacity) }
            let frame = UnsafeRawBufferPointer(start: out.base, count: length)
            try LZ4Frame.decompress(frame, into: back)
            #expect(bytes.elementsEqual(UnsafeRawBufferPointer(start: back.base, count: count)))
            #expect(throws: Malformed.self) { try LZ4Frame.decompress(frame, into: Buffer(capacity: count + 1)) }
            #expect(throws: Malformed.self) { try LZ4Frame.decompress(UnsafeRawBufferPointer(rebasing: frame[..<(length - 1)]), into: back) }
        }
    }

    @Test func elementsInFlightComeBack() throws {
        let first = UInt64.random(in: 0...UInt64.max / 2)
        for seed in first..<first + 100 {
            var data = RandomData(seed)
            let channels = (0..<data.int(0...4)).map { channel in
                ChannelState(channel: channel * 3, elements: (0..<data.int(0...5)).map { _ in
                    switch data.int(0...3) {
                    case 0: .watermark([.min, .max, EventTime(milliseconds: Int64(data.int(-5...5)))][data.int(0...2)])
                    case 1: .idle(data.chance(50))
                    default: .batch(data.batch())
                    }
                })
            }
            let bytes = try ChannelCodec.encode(channels)
            let back = try ChannelCodec.decode(Buffer(copying: bytes.bytes))
            #expect(describe(back) == describe(channels), "seed \(seed)")
        }
        #expect(throws: StreamError.self) { try ChannelCodec.encode([ChannelState(channel: 0, elements: [.endOfInput])]) }
    }

    private func describe(_ channels: [ChannelState]) -> [String] {
        channels.map { channel in
            "\(channel.channel): " + channel.elements.map {
                if case .batch(let batch) = $0 { "\(Rows(batch)) \(batch.columns.map(\.type))" } else { "\($0)" }
            }.joined(separator: "; ")
        }
    }
}
