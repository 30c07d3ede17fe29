import ShardLog
import StreamCore
import StreamFormats

/// Makes partition keys.
enum PartitionKeys {
    case random(SplitMix)
    case fixed(String)
    case columns([Int], Schema, delimiter: String)

    /// SplitMix64, seeded once: chance is asked for at every start, not at every row.
    struct SplitMix {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// Calls `use` with the key of each selected row.
    mutating func forEach(_ batch: Batch, _ use: (Int, UnsafeRawBufferPointer) -> Void) {
        switch self {
        case .random(var generator):
            var key: (UInt64, UInt64) = (0, 0)
            for i in 0..<batch.count {
                key = (Self.digits(generator.next()), Self.digits(generator.next()))
                withUnsafeBytes(of: &key) { use(i, $0) }
            }
            self = .random(generator)
        case .fixed(var key):
            key.withUTF8 { for i in 0..<batch.count { use(i, UnsafeRawBufferPointer($0)) } }
        case .columns(let columns, let schema, let delimiter):
            for i in 0..<batch.count {
                var key = ""
                for (k, column) in columns.enumerated() {
                    if k > 0 { key += delimiter }
                    key += batch.columns[column].value(at: batch.row(i)).plainText(as: schema[column].type)
                }
                // The service takes 1 to 256 characters; Flink cuts there too.
                if key.isEmpty { key = " " }
                if key.utf8.count > 256 { key = String(String.UnicodeScalarView(key.unicodeScalars.prefix(256))) }
                key.withUTF8 { use(i, UnsafeRawBufferPointer($0)) }
            }
        }
    }

    /// Eight hexadecimal digits, as bytes.
    private static func digits(_ bits: UInt64) -> UInt64 {
        var digits: UInt64 = 0
        for d in 0..<8 {
            let nibble = bits >> UInt64(4 * d) & 15
            digits |= (nibble < 10 ? 0x30 + nibble : 0x57 + nibble) << UInt64(8 * d)
        }
        return digits
    }
}
