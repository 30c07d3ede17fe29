import StreamCore

/// One record of a load generator, in the encodings it can be written in.
struct GeneratedRecord {
    var partitionKey: String
    /// Column name, and value as JSON text; strings are quoted already.
    var fields: [(name: String, json: String)]

    var json: String { "{" + fields.map { "\"\($0.name)\": \($0.json)" }.joined(separator: ", ") + "}" }

    var csv: String {
        fields.map { field in
            guard field.json.hasPrefix("\"") else { return field.json }
            let text = field.json.dropFirst().dropLast()
            return text.contains(",") ? "\"\(text)\"" : String(text)
        }.joined(separator: ",")
    }

    var csvHeader: String { fields.map(\.name).joined(separator: ",") }
}

/// Makes records one after another; the same settings make the same records.
protocol LoadGenerator {
    /// nil when there are no more.
    mutating func next() -> GeneratedRecord?
}

/// SplitMix64: small, and the same on every machine.
struct GeneratorRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
