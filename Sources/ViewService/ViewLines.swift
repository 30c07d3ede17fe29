import Foundation
import StreamCore
import ViewConnector

/// How rows and changes of views go through a job's control socket: a line of JSON each, with members in a fixed order, so that rows pass
/// through without being read.
///
///     {"version":7,"key":"router-7","row":{...}}         a row; null = it is gone
///     {"id":9,"version":7,"key":"router-7","row":{...}}  a change
///     {"reset":9}   {"alive":true}   {"end":true,"next":"..."}   {"error":{"status":404,"problem":"...","fix":"..."}}
enum ViewLines {
    struct Failure: Codable { var status: Int, problem: String, fix: String? }
    struct FailureLine: Codable { var error: Failure }
    struct EndLine: Codable { var end = true, next: String? }
    struct ListLine: Codable { var views: [ViewDescription] }

    static let alive = Array(#"{"alive":true}"#.utf8)
    static let end = Array(#"{"end":true}"#.utf8)

    static func json(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return Array("null".utf8) }
        return Array(data)
    }

    static func failure(_ error: any Error) -> [UInt8] {
        let error = ViewError(from: error)
        return json(FailureLine(error: Failure(status: error.status, problem: error.problem, fix: error.fix)))
    }

    /// Keys in text form have no characters that JSON escapes.
    static func append(_ row: ViewRow, to out: inout [UInt8]) {
        out += "{\"version\":\(row.version),\"key\":\"\(row.key)\",\"row\":".utf8
        if let bytes = row.row { out += bytes } else { out += "null".utf8 }
        out.append(UInt8(ascii: "}"))
    }

    static func line(_ row: ViewRow) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity((row.row?.count ?? 4) + 64)
        append(row, to: &out)
        return out
    }

    static func line(_ event: ViewEvent) -> [UInt8] {
        switch event {
        case .reset(let id): return Array("{\"reset\":\(id)}".utf8)
        case .change(let id, let row):
            var out = Array("{\"id\":\(id),".utf8)
            let start = out.count
            append(row, to: &out)
            out.remove(at: start)
            return out
        }
    }

    // MARK: reading

    struct Reader {
        private let line: ArraySlice<UInt8>
        private var at: Int

        init(_ line: ArraySlice<UInt8>) { (self.line, at) = (line, line.startIndex) }

        mutating func skip(_ text: StaticString) -> Bool {
            let n = text.utf8CodeUnitCount
            guard at + n <= line.endIndex, line[at..<at + n].elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: n)) else { return false }
            at += n
            return true
        }

        mutating func number() -> Int64? {
            var end = at
            while end < line.endIndex, line[end] != UInt8(ascii: ","), line[end] != UInt8(ascii: "}") { end += 1 }
            defer { at = end }
            return Int64(String(decoding: line[at..<end], as: UTF8.self))
        }

        /// What begins with `{"version":`, its brace left out or not.
        mutating func row() -> ViewRow? {
            guard skip("\"version\":"), let version = number(), skip(",\"key\":\""), let quote = line[at...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
            let key = String(decoding: line[at..<quote], as: UTF8.self)
            at = quote + 1
            guard skip(",\"row\":"), line.last == UInt8(ascii: "}") else { return nil }
            let row = line[at..<line.endIndex - 1]
            return ViewRow(key: key, version: version, row: row.elementsEqual("null".utf8) ? nil : Array(row))
        }
    }

    static func row(_ line: ArraySlice<UInt8>) -> ViewRow? {
        var reader = Reader(line)
        return reader.skip("{") ? reader.row() : nil
    }

    static func event(_ line: ArraySlice<UInt8>) -> ViewEvent? {
        var reader = Reader(line)
        if reader.skip("{\"reset\":") { return reader.number().map { .reset(id: $0) } }
        guard reader.skip("{\"id\":"), let id = reader.number(), reader.skip(",") else { return nil }
        return reader.row().map { .change(id: id, $0) }
    }

    static func check(_ line: ArraySlice<UInt8>) throws {
        guard line.starts(with: "{\"error\":".utf8) else { return }
        if let failure = try? JSONDecoder().decode(FailureLine.self, from: Data(line)).error {
            throw ViewError(failure.status, failure.problem, fix: failure.fix)
        }
        struct Other: Codable {
            struct Problem: Codable { var problem: String, fix: String? }
            var error: Problem
        }
        if let other = try? JSONDecoder().decode(Other.self, from: Data(line)).error { throw ViewError(503, other.problem, fix: other.fix) }
        throw notUnderstood
    }

    static let notUnderstood = ViewError(503, "the job gave an answer that is not understood", fix: "use the swiftwater that runs the job")
}

extension ViewError {
    /// Anything else that goes wrong is the server's.
    init(from error: any Error) {
        switch error {
        case let error as ViewError: self = error
        case let error as StreamError: self = ViewError(error.code == .validate ? 400 : 500, error.problem, fix: error.fix)
        default: self = ViewError(500, "\(error)")
        }
    }
}
