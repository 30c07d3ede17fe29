/// Reads and writes ``AWSValue`` as CBOR (RFC 8949), the part of it that AWS SDKs use.
///
/// Times have tag 1. RFC 8949 counts them in seconds, and so does Smithy's RPC protocol; `application/x-amz-cbor-1.1`, which the
/// Java SDK and with it the Kinesis Client Library speak, counts whole milliseconds.
public enum CBOR {
    static let depthMax = 100

    public enum TimeUnit: Sendable {
        case milliseconds, seconds
    }

    /// - Throws: `SerializationException` with the byte at which the bytes are not CBOR.
    public static func parse(_ bytes: [UInt8], times: TimeUnit = .milliseconds) throws -> AWSValue {
        try bytes.withUnsafeBufferPointer { all in
            var reader = Reader(bytes: all, times: times)
            let value = try reader.value(0)
            guard reader.at == all.count else { throw reader.malformed }
            return value
        }
    }

    public static func write(_ value: AWSValue, times: TimeUnit = .milliseconds) -> [UInt8] {
        var out: [UInt8] = []
        write(value, to: &out, times: times)
        return out
    }

    public static func write(_ value: AWSValue, to out: inout [UInt8], times: TimeUnit = .milliseconds) {
        switch value {
        case .null: out.append(0xF6)
        case .bool(let value): out.append(value ? 0xF5 : 0xF4)
        case .integer(let value):
            if value >= 0 { head(0, UInt64(value), &out) } else { head(1, UInt64(-1 - value), &out) }
        case .double(let value): double(value, &out)
        case .timestamp(let seconds):
            out.append(0xC1)
            switch times {
            case .milliseconds: write(.integer(Int64(exactly: (seconds * 1_000).rounded()) ?? .max), to: &out)
            case .seconds: double(seconds, &out)
            }
        case .string(let text):
            head(3, UInt64(text.utf8.count), &out)
            out += text.utf8
        case .blob(let bytes):
            head(2, UInt64(bytes.count), &out)
            out += bytes
        case .list(let all):
            head(4, UInt64(all.count), &out)
            for element in all { write(element, to: &out, times: times) }
        case .map(let members):
            head(5, UInt64(members.count), &out)
            for (name, value) in members.sorted(by: { $0.key < $1.key }) {
                head(3, UInt64(name.utf8.count), &out)
                out += name.utf8
                write(value, to: &out, times: times)
            }
        }
    }

    private static func double(_ value: Double, _ out: inout [UInt8]) {
        out.append(0xFB)
        withUnsafeBytes(of: value.bitPattern.bigEndian) { out += $0 }
    }

    /// The major type and its number.
    public static func head(_ major: UInt8, _ value: UInt64, _ out: inout [UInt8]) {
        let lead = major << 5
        switch value {
        case 0..<24: out.append(lead | UInt8(value))
        case 24...0xFF: out += [lead | 24, UInt8(value)]
        case 0x100...0xFFFF:
            out.append(lead | 25)
            withUnsafeBytes(of: UInt16(value).bigEndian) { out += $0 }
        case 0x1_0000...0xFFFF_FFFF:
            out.append(lead | 26)
            withUnsafeBytes(of: UInt32(value).bigEndian) { out += $0 }
        default:
            out.append(lead | 27)
            withUnsafeBytes(of: value.bigEndian) { out += $0 }
        }
    }

    private struct Reader {
        let bytes: UnsafeBufferPointer<UInt8>
        let times: TimeUnit
        var at = 0

        var malformed: AWSError { .serialization("the body is not well-formed CBOR at byte \(at)") }

        mutating func value(_ depth: Int) throws -> AWSValue {
            guard depth < CBOR.depthMax else { throw AWSError.serialization("the body is nested deeper than \(CBOR.depthMax) levels") }
            let lead = try byte()
            let minor = lead & 31
            switch lead >> 5 {
            case 0:
                let number = try argument(minor)
                guard let value = Int64(exactly: number) else { throw malformed }
                return .integer(value)
            case 1:
                let number = try argument(minor)
                guard let value = Int64(exactly: number) else { throw malformed }
                return .integer(-1 - value)
            case 2: return .blob(try string(2, minor))
            case 3: return .string(try text(minor))
            case 4:
                var all: [AWSValue] = []
                if minor == 31 {
                    while try !takesBreak() { all.append(try value(depth + 1)) }
                } else {
                    for _ in 0..<(try count(minor)) { all.append(try value(depth + 1)) }
                }
                return .list(all)
            case 5:
                var all: [String: AWSValue] = [:]
                func member() throws {
                    let lead = try byte()
                    guard lead >> 5 == 3 else { throw malformed }
                    let name = try text(lead & 31)
                    all[name] = try value(depth + 1)
                }
                if minor == 31 {
                    while try !takesBreak() { try member() }
                } else {
                    for _ in 0..<(try count(minor)) { try member() }
                }
                return .map(all)
            case 6:
                let tag = try argument(minor)
                let inner = try value(depth + 1)
                guard tag == 1 else { return inner }
                guard let time = inner.double else { throw malformed }
                return .timestamp(times == .seconds ? time : time / 1_000)
            default:
                switch minor {
                case 20: return .bool(false)
                case 21: return .bool(true)
                case 22, 23: return .null
                case 25: return .double(Self.half(UInt16(try number(2))))
                case 26: return .double(Double(Float(bitPattern: UInt32(try number(4)))))
                case 27: return .double(Double(bitPattern: try number(8)))
                default: throw malformed
                }
            }
        }

        private mutating func byte() throws -> UInt8 {
            guard at < bytes.count else { throw malformed }
            defer { at += 1 }
            return bytes[at]
        }

        private mutating func number(_ size: Int) throws -> UInt64 {
            guard at + size <= bytes.count else { throw malformed }
            var value: UInt64 = 0
            for _ in 0..<size {
                value = value << 8 | UInt64(bytes[at])
                at += 1
            }
            return value
        }

        private mutating func argument(_ minor: UInt8) throws -> UInt64 {
            switch minor {
            case 0..<24: UInt64(minor)
            case 24: try number(1)
            case 25: try number(2)
            case 26: try number(4)
            case 27: try number(8)
            default: throw malformed
            }
        }

        /// A number of elements or bytes, each of which takes a byte at least.
        private mutating func count(_ minor: UInt8) throws -> Int {
            let n = try argument(minor)
            guard n <= UInt64(bytes.count - at) else { throw malformed }
            return Int(n)
        }

        private mutating func takesBreak() throws -> Bool {
            guard at < bytes.count else { throw malformed }
            guard bytes[at] == 0xFF else { return false }
            at += 1
            return true
        }

        private mutating func string(_ major: UInt8, _ minor: UInt8) throws -> [UInt8] {
            if minor == 31 {
                var all: [UInt8] = []
                while try !takesBreak() {
                    let lead = try byte()
                    guard lead >> 5 == major, lead & 31 != 31 else { throw malformed }
                    all += try string(major, lead & 31)
                }
                return all
            }
            let n = try count(minor)
            defer { at += n }
            return Array(bytes[at..<at + n])
        }

        private mutating func text(_ minor: UInt8) throws -> String {
            guard let text = String(validating: try string(3, minor), as: UTF8.self) else { throw malformed }
            return text
        }

        private static func half(_ bits: UInt16) -> Double {
            let sign: Double = bits & 0x8000 == 0 ? 1 : -1
            let exponent = Int(bits >> 10 & 31), fraction = Double(bits & 0x3FF)
            switch exponent {
            case 0: return sign * fraction * 0x1p-24
            case 31: return fraction == 0 ? sign * .infinity : .nan
            default: return sign * (1 + fraction / 1_024) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
            }
        }
    }
}
