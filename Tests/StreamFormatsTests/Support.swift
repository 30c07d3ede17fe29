import Foundation
import StreamCore
import StreamFormats

/// Short cuts for decoders under test.
func jsonDecoder(_ schema: Schema, projection: [Int]? = nil, metrics: OperatorMetrics = OperatorMetrics(),
                 _ change: (inout JSONOptions) -> Void = { _ in }) throws -> JSONRecordDecoder {
    var options = JSONOptions()
    change(&options)
    return try JSONRecordDecoder(schema: schema, projection: projection ?? Array(schema.indices), options: options, metrics: metrics)
}

func csvDecoder(_ schema: Schema, projection: [Int]? = nil, metrics: OperatorMetrics = OperatorMetrics(),
                _ change: (inout CSVOptions) -> Void = { _ in }) throws -> CSVRecordDecoder {
    var options = CSVOptions()
    change(&options)
    return try CSVRecordDecoder(schema: schema, projection: projection ?? Array(schema.indices), options: options, metrics: metrics)
}

func buffer(_ bytes: some Sequence<UInt8>) -> Buffer { Array(bytes).withUnsafeBytes { Buffer(copying: $0) } }
func buffer(_ text: String) -> Buffer { buffer(text.utf8) }

extension RecordDecoder {
    /// All rows of a text that is given whole.
    func rows(_ text: String, maxRows: Int = 1_000) throws -> [[Value]] { try rows(Array(text.utf8), maxRows: maxRows) }

    func rows(_ bytes: [UInt8], maxRows: Int = 1_000) throws -> [[Value]] {
        let chunk = buffer(bytes)
        var out: [[Value]] = [], at = 0
        while at < bytes.count {
            let (batch, consumed) = try decode(chunk: chunk, range: at..<bytes.count, isLast: true, maxRows: maxRows)
            out += batch?.rows() ?? []
            if consumed == 0 { break }
            at += consumed
        }
        return out
    }

    /// All rows of a text that arrives in two pieces, cut at `cut`.
    func rows(_ bytes: [UInt8], cutAt cut: Int) throws -> [[Value]] {
        var out: [[Value]] = [], rest: [UInt8] = []
        for (piece, isLast) in [(bytes[..<cut], false), (bytes[cut...], true)] {
            rest += piece
            while true {
                let chunk = buffer(rest)
                let (batch, consumed) = try decode(chunk: chunk, range: 0..<rest.count, isLast: isLast, maxRows: 3)
                out += batch?.rows() ?? []
                rest.removeFirst(consumed)
                if consumed == 0 { break }
            }
        }
        return out
    }
}

func text(_ encoder: any RecordEncoder, _ batch: Batch) throws -> String {
    var out = EncodedBytes()
    try encoder.encode(batch, into: &out)
    return String(decoding: out.bytes, as: UTF8.self)
}

/// The message of the error that `body` throws, or "".
func failure(_ body: () throws -> Void) -> String {
    do {
        try body()
        return ""
    } catch { return "\(error)" }
}

func table(_ schema: Schema, _ options: [String: String]) -> TableDescriptor { TableDescriptor(name: "t", schema: schema, options: options) }
