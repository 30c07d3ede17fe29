import Foundation
import StreamCore
import StreamFormats
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

struct RestTable: KeyedTable {
    let table: TableDescriptor
    let options: RestOptions
    let lookup: LookupOptions
    let request: LookupRequest

    func reader(metrics: OperatorMetrics) throws -> any LookupReader {
        // Key columns come from the key: the answer need not repeat them.
        let asked = request.projection.filter { !request.keys.contains($0) }
        let decoder = try FormatFactory.decoder(for: options.table, projection: asked, metrics: metrics)
        return RestReader(self, asked: asked, decoder: decoder)
    }
}

/// Makes a request for each key, `concurrency` of them at a time, and again when one fails in a way that may pass.
final class RestReader: LookupReader {
    private let table: RestTable
    private let asked: [Int]
    private let decoder: any RecordDecoder
    private let session: URLSession

    init(_ table: RestTable, asked: [Int], decoder: any RecordDecoder) {
        (self.table, self.asked, self.decoder) = (table, asked, decoder)
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = table.options.timeout
        configuration.httpMaximumConnectionsPerHost = table.options.concurrency
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        session = URLSession(configuration: configuration)
    }

    func look(_ keys: [Column], count: Int) throws -> (columns: [Column], keys: [Int32]) {
        let requests = try (0..<count).map { try request(keys, $0) }
        let answers = try perform(requests)
        var bytes: [UInt8] = [], records: [Range<Int>] = [], owners: [Int32] = []
        for (key, answer) in answers.enumerated() {
            for object in try JSONObjects.ranges(in: answer) {
                let start = bytes.count
                bytes += answer[object]
                records.append(start..<bytes.count)
                owners.append(Int32(truncatingIfNeeded: key))
            }
        }
        let chunk = bytes.withUnsafeBytes { Buffer(copying: $0) }
        let decoded = try decoder.decode(records: records, in: chunk)
        let batch = decoded.batch.compacted()
        let rowKeys = decoded.recordOfRow.map { owners[Int($0)] }
        let columns = table.request.projection.map { index in
            if let key = table.request.keys.firstIndex(of: index) {
                return rowKeys.isEmpty
                    ? ColumnBuilder(type: keys[key].type).finish() : rowKeys.withUnsafeBufferPointer { keys[key].gather($0.baseAddress!, count: $0.count) }
            }
            return batch.columns[asked.firstIndex(of: index)!]
        }
        return (columns, rowKeys)
    }

    func close() { session.invalidateAndCancel() }

    // MARK: requests

    private func request(_ keys: [Column], _ row: Int) throws -> URLRequest {
        func column(_ name: String) -> Column { keys[table.request.keys.firstIndex { table.table.schema[$0].name == name }!] }
        let text = table.options.url.filled { Self.percentEncoded(Self.text(column($0), row)) }
        guard let url = URL(string: text) else {
            throw StreamError(.runtime, "table \(table.table.name): \(text) is no URL", fix: "check the option 'url'")
        }
        var request = URLRequest(url: url, timeoutInterval: table.options.timeout)
        request.httpMethod = table.options.method
        if let body = table.options.body {
            request.httpBody = Data(body.filled { Self.json(column($0), row) }.utf8)
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        request.setValue("application/json", forHTTPHeaderField: "Accept")
        for (name, value) in table.options.headers { request.setValue(value, forHTTPHeaderField: name) }
        return request
    }

    private static func text(_ column: Column, _ row: Int) -> String {
        column.value(at: row).plainText(as: column.type)
    }

    private static func percentEncoded(_ text: String) -> String {
        let allowed = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? text
    }

    /// The value as JSON: numbers and booleans as they are, anything else in quotes.
    private static func json(_ column: Column, _ row: Int) -> String {
        let text = text(column, row)
        if column.type.isNumeric { return text }
        if column.type == .boolean { return text.lowercased() }
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where scalar.value < 0x20: out += "\\u" + String(repeating: "0", count: 4 - String(scalar.value, radix: 16).count) + String(scalar.value, radix: 16)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    // MARK: answers

    private enum Outcome: Sendable { case body([UInt8]), passing(String), failed(String) }

    /// The answers' bodies, in the order of the requests.
    private func perform(_ requests: [URLRequest]) throws -> [[UInt8]] {
        var bodies = [[UInt8]](repeating: [], count: requests.count)
        var open = Array(requests.indices), attempt = 0
        while !open.isEmpty {
            let outcomes = send(open.map { requests[$0] })
            var again: [Int] = [], reason = ""
            for (place, outcome) in zip(open, outcomes) {
                switch outcome {
                case .body(let body): bodies[place] = body
                case .passing(let problem):
                    again.append(place)
                    reason = "\(requests[place].url?.absoluteString ?? ""): \(problem)"
                case .failed(let problem):
                    throw StreamError(
                        .runtime, "table \(table.table.name): \(requests[place].httpMethod ?? "") \(requests[place].url?.absoluteString ?? "") \(problem)",
                        fix: "check the options 'url', 'headers.…' and 'body'")
                }
            }
            open = again
            guard !open.isEmpty else { break }
            guard attempt < table.lookup.maxRetries else {
                throw StreamError(
                    .io, "table \(table.table.name): \(reason), also after \(attempt) \(attempt == 1 ? "retry" : "retries")",
                    fix: "see that the service is up, or raise 'timeout' or 'lookup.max-retries'")
            }
            Thread.sleep(forTimeInterval: Double(table.options.backoff << min(attempt, 16)) / 1_000)
            attempt += 1
        }
        return bodies
    }

    /// Sends all requests, some at a time, and waits for them.
    private func send(_ requests: [URLRequest]) -> [Outcome] {
        let outcomes = Answers(count: requests.count)
        let slots = DispatchSemaphore(value: table.options.concurrency), group = DispatchGroup()
        for (i, request) in requests.enumerated() {
            slots.wait()
            group.enter()
            session.dataTask(with: request) { data, response, error in
                outcomes.set(i, Self.outcome(data, response, error))
                slots.signal()
                group.leave()
            }.resume()
        }
        group.wait()
        return outcomes.all
    }

    private static func outcome(_ data: Data?, _ response: URLResponse?, _ error: (any Error)?) -> Outcome {
        if let error { return .passing("cannot be reached: \(error.localizedDescription)") }
        guard let status = (response as? HTTPURLResponse)?.statusCode else { return .passing("gave no HTTP answer") }
        switch status {
        case 200..<300: return .body(data.map { Array($0) } ?? [])
        case 404: return .body([])
        case 408, 425, 429, 500...: return .passing("gave status \(status)")
        default: return .failed("gave status \(status)")
        }
    }

    private final class Answers: Sendable {
        private let outcomes: Mutex<[Outcome]>
        init(count: Int) { outcomes = Mutex(Array(repeating: .passing("gave no answer"), count: count)) }
        func set(_ i: Int, _ outcome: Outcome) { outcomes.withLock { $0[i] = outcome } }
        var all: [Outcome] { outcomes.withLock { $0 } }
    }
}

/// Finds the objects of an answer.
enum JSONObjects {
    /// Where each object of a JSON text stands that is one object or an array of objects; none for `null` and nothing.
    static func ranges(in bytes: [UInt8]) throws -> [Range<Int>] {
        var ranges: [Range<Int>] = [], depth = 0, start = 0, isText = false, i = 0
        let isArray = bytes.first { !isSpace($0) } == UInt8(ascii: "[")
        let level = isArray ? 1 : 0
        while i < bytes.count {
            let byte = bytes[i]
            if isText {
                if byte == UInt8(ascii: "\\") { i += 1 } else if byte == UInt8(ascii: "\"") { isText = false }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isText = true
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    if depth == level, byte == UInt8(ascii: "{") { start = i }
                    depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    depth -= 1
                    if depth == level, byte == UInt8(ascii: "}") { ranges.append(start..<i + 1) }
                default: break
                }
            }
            i += 1
        }
        let isNothing = ranges.isEmpty && ["", "null", "[]"].contains(String(decoding: bytes.filter { !isSpace($0) }, as: UTF8.self))
        guard depth == 0, !isText, isNothing || !ranges.isEmpty else {
            throw StreamError(
                .runtime, "the answer is neither a JSON object nor an array of them: \(String(decoding: bytes.prefix(80), as: UTF8.self))",
                fix: "look rows up at an address that gives them as JSON")
        }
        return ranges
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}
