import Foundation
import StreamCore
import StreamFormats
import Testing

/// Runs the Python programs that judge formats with other implementations of them.
enum PythonJudge {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    static let executable = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? root + "/.venv/bin/python"

    /// What a program of Tests/Support/formats prints.
    static func run(_ program: String, _ arguments: [String]) throws -> String {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let out = folder.path("out"), errors = folder.path("errors")
        for file in [out, errors] { _ = FileManager.default.createFile(atPath: file, contents: nil) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = ["\(root)/Tests/Support/formats/\(program)"] + arguments
        process.standardOutput = FileHandle(forWritingAtPath: out)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        process.waitUntilExit()
        let text = try String(contentsOfFile: out, encoding: .utf8)
        guard process.terminationStatus == 0 else {
            throw StreamError(.runtime, "\(program) \(arguments) ended with \(process.terminationStatus): \(try String(contentsOfFile: errors, encoding: .utf8))",
                              fix: "run make setup, or point SWIFTWATER_PYTHON at a Python with fastavro and protobuf")
        }
        return text
    }

    static func cases(_ text: String) throws -> [JSONTree] { try text.split(separator: "\n").map { try JSONTree(String($0)) } }
}

/// A folder of one test.
struct TemporaryFolder {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("formats-" + UUID().uuidString)
    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
    func remove() { try? FileManager.default.removeItem(at: url) }
}

extension DataType {
    /// A type as the judges write it.
    init(judged tree: JSONTree) {
        let p = tree["p"]?.int ?? 0
        self = switch tree["t"]?.string ?? "" {
        case "BOOLEAN": .boolean
        case "TINYINT": .tinyint
        case "SMALLINT": .smallint
        case "INT": .int
        case "BIGINT": .bigint
        case "FLOAT": .float
        case "DOUBLE": .double
        case "STRING": .string
        case "BYTES": .bytes
        case "DECIMAL": .decimal(precision: p, scale: tree["s"]?.int ?? 0)
        case "DATE": .date
        case "TIME": .time(p)
        case "TIMESTAMP": .timestamp(p)
        case "TIMESTAMP_LTZ": .timestampLTZ(p)
        case "ARRAY": .array(DataType(judged: tree["e"]!))
        case "MAP": .map(key: DataType(judged: tree["k"]!), value: DataType(judged: tree["v"]!))
        case "ROW": .row(tree["f"]!.elements!.map { Field($0["n"]!.string!, DataType(judged: $0["t"]!)) })
        case let other: fatalError("the judge wrote type \(other)")
        }
    }

    var fields: Schema { if case .row(let fields) = self { fields } else { [] } }
}

extension Value {
    /// The value as the judges write it: maps by their keys, floating point numbers by their bits.
    var judged: String {
        switch self {
        case .null: return "null"
        case .bool(let flag): return flag ? "true" : "false"
        case .int(let value): return "\(value)"
        case .float(let value): return "f" + padded(String(value.bitPattern, radix: 16), 8)
        case .double(let value): return "f" + padded(String(value.bitPattern, radix: 16), 16)
        case .decimal(let value): return "\(value)"
        case .string(let text): return JSONTree.quoted(text)
        case .binary(let bytes): return "x" + hex(bytes)
        case .array(let all), .row(let all): return "[" + all.map(\.judged).joined(separator: ",") + "]"
        case .map(let entries): return "{" + entries.map { $0.key.judged + ":" + $0.value.judged }.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }.joined(separator: ",") + "}"
        }
    }

    private func padded(_ text: String, _ count: Int) -> String { String(repeating: "0", count: count - text.count) + text }
}

func hex(_ bytes: some Sequence<UInt8>) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

func bytes(hex text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)! }
}

extension RecordDecoder {
    /// The rows of messages, with the number of the message that each came from.
    func messages(_ all: [[UInt8]]) throws -> (rows: [[Value]], records: [Int32], batch: Batch) {
        var bytes: [UInt8] = [7, 7, 7], ranges: [Range<Int>] = []
        for message in all {
            ranges.append(bytes.count..<bytes.count + message.count)
            bytes += message
        }
        let (batch, records) = try decode(records: ranges, in: buffer(bytes))
        return (batch.rows(), records, batch)
    }
}

extension RecordEncoder {
    func messages(_ batch: Batch) throws -> [[UInt8]] {
        var out = EncodedBytes(), ends: [Int] = []
        try encode(batch, into: &out, ends: &ends)
        var start = 0
        return ends.map { end in
            defer { start = end }
            return Array(UnsafeRawBufferPointer(rebasing: out.bytes[start..<end]))
        }
    }
}

/// A seed for tests with random input: SWIFTWATER_SEED, or by the clock. Print it.
func randomSeed() -> UInt64 {
    ProcessInfo.processInfo.environment["SWIFTWATER_SEED"].flatMap { UInt64($0) } ?? UInt64(Date().timeIntervalSince1970 * 1_000) % 1_000_000
}

/// Random numbers that repeat by their seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
