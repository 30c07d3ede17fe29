import AWSProtocol
import ShardLog

/// Writes an answer straight into bytes, as JSON or as CBOR. Maps and lists end with `end`; keys are plain ASCII.
struct OutputWriter {
    private(set) var out: [UInt8] = []
    private let isCBOR: Bool
    private var needsComma = false

    init(_ encoding: AWSEncoding, capacity: Int = 256) {
        isCBOR = encoding == .cbor
        out.reserveCapacity(capacity)
    }

    private mutating func separate() {
        if needsComma { out.append(0x2C) }
    }

    mutating func beginMap() { begin(json: UInt8(ascii: "{"), cbor: 0xBF) }
    mutating func endMap() { end(json: UInt8(ascii: "}")) }
    mutating func beginList() { begin(json: UInt8(ascii: "["), cbor: 0x9F) }
    mutating func endList() { end(json: UInt8(ascii: "]")) }

    /// Of unknown length in CBOR, so that members need not be counted first.
    private mutating func begin(json: UInt8, cbor: UInt8) {
        separate()
        out.append(isCBOR ? cbor : json)
        needsComma = false
    }

    private mutating func end(json: UInt8) {
        out.append(isCBOR ? 0xFF : json)
        needsComma = !isCBOR
    }

    mutating func key(_ name: StaticString) {
        separate()
        let bytes = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        if isCBOR {
            CBOR.head(3, UInt64(bytes.count), &out)
            out.append(contentsOf: bytes)
        } else {
            out.append(0x22)
            out.append(contentsOf: bytes)
            out.append(0x22)
            out.append(0x3A)
        }
        needsComma = false
    }

    mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(utf8: UnsafeRawBufferPointer($0)) }
    }

    mutating func string(utf8 bytes: UnsafeRawBufferPointer) {
        separate()
        if isCBOR {
            CBOR.head(3, UInt64(bytes.count), &out)
            out.append(contentsOf: bytes)
        } else if bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }) {
            out.append(0x22)
            out.append(contentsOf: bytes)
            out.append(0x22)
        } else {
            AWSJSON.quote(String(decoding: bytes, as: UTF8.self), to: &out)
        }
        needsComma = !isCBOR
    }

    mutating func blob(_ bytes: UnsafeRawBufferPointer) {
        separate()
        if isCBOR {
            CBOR.head(2, UInt64(bytes.count), &out)
            out.append(contentsOf: bytes)
        } else {
            out.append(0x22)
            Base64.encode(bytes, to: &out)
            out.append(0x22)
        }
        needsComma = !isCBOR
    }

    mutating func number(_ value: Int64) {
        separate()
        if isCBOR {
            CBOR.head(value < 0 ? 1 : 0, UInt64(value < 0 ? -1 - value : value), &out)
        } else {
            out += String(value).utf8
        }
        needsComma = !isCBOR
    }

    /// Seconds with three digits in JSON; milliseconds behind tag 1 in CBOR, as this service has it.
    mutating func time(milliseconds: Int64) {
        separate()
        if isCBOR {
            out.append(0xC1)
            CBOR.head(0, UInt64(max(0, milliseconds)), &out)
        } else {
            out += String(milliseconds / 1_000).utf8
            out.append(0x2E)
            digits(UInt64(max(0, milliseconds) % 1_000), 3)
        }
        needsComma = !isCBOR
    }

    mutating func sequence(_ sequence: SequenceNumber) {
        separate()
        if isCBOR { CBOR.head(3, 56, &out) } else { out.append(0x22) }
        out.append(0x34)
        out.append(0x39)
        digits(UInt64(sequence.created), 14)
        digits(UInt64(sequence.shard), 12)
        digits(UInt64(sequence.epoch), 8)
        digits(sequence.index, 20)
        if !isCBOR { out.append(0x22) }
        needsComma = !isCBOR
    }

    mutating func shard(_ shard: Int) {
        separate()
        if isCBOR { CBOR.head(3, 20, &out) } else { out.append(0x22) }
        out += "shardId-".utf8
        digits(UInt64(shard), 12)
        if !isCBOR { out.append(0x22) }
        needsComma = !isCBOR
    }

    private mutating func digits(_ value: UInt64, _ width: Int) {
        let start = out.count
        for _ in 0..<width { out.append(0x30) }
        var rest = value, at = start + width - 1
        while rest > 0, at >= start {
            out[at] = 0x30 + UInt8(rest % 10)
            rest /= 10
            at -= 1
        }
    }
}
