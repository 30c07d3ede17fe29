import Foundation
import Notebook
import PythonFunctions
import StreamCore
import struct StreamCore.Host
import StreamServer
import Synchronization

/// The directory of this program: cells find the same one under its name.
enum ChildProgramDirectory {
    static let path = URL(fileURLWithPath: ChildProgram.path).deletingLastPathComponent().path
}

/// What a program of a cell asks of the kernel: a JSON object a line in both directions, over a socket that is the program's standard input.
///
/// - `{"op":"sql","text":…,"format":"arrow"|"json","rows":…,"seconds":…}` → `{"path":…}` of a file with the rows, or `{}`
/// - `{"op":"register","name":…,"path":…}`: a Parquet file becomes a temporary table → `{}`
/// - `{"op":"table","columns":…,"rows":…,"total":…}`, `{"op":"html","html":…}`, `{"op":"image","type":…,"path":…}`: shown; no answer
/// - `{"op":"text","text":…,"isError":…}`: what it printed; no answer
/// - `{"op":"done"}`, `{"op":"failed","text":…,"line":…}`: the end of a run
final class CellChannel: Sendable {
    private let descriptor: Int32
    private let scratch: String
    private let pending = Mutex(Pending())
    /// A message beyond that is no message.
    private static let bytesMax = 64 << 20

    private struct Pending {
        var bytes: [UInt8] = []
        /// There is no line's end before that.
        var searched = 0
    }

    /// - Returns: the channel, and the program's end of it, which the caller closes.
    static func pair(scratch: String) throws -> (CellChannel, Int32) {
        var ends: [Int32] = [0, 0]
        #if canImport(Glibc)
        let kind = Int32(SOCK_STREAM.rawValue)
        #else
        let kind = SOCK_STREAM
        #endif
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Host.failure("make", "a socket") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (CellChannel(ends[0], scratch: scratch), ends[1])
    }

    private init(_ descriptor: Int32, scratch: String) { (self.descriptor, self.scratch) = (descriptor, scratch) }

    func close() { Foundation.shutdown(descriptor, Int32(SHUT_RDWR)) }

    deinit { Foundation.close(descriptor) }

    /// - Returns: false when the program is gone.
    @discardableResult
    func send(_ message: JSON) -> Bool {
        let bytes = Array((message.text() + "\n").utf8)
        var done = 0
        while done < bytes.count {
            let n = bytes.withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL)) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return false }
            done += n
        }
        return true
    }

    /// The next message; nil when the program is gone.
    func receive() -> JSON? {
        while true {
            if let line = pending.withLock({ pending -> [UInt8]? in
                guard let end = pending.bytes[pending.searched...].firstIndex(of: 10) else {
                    pending.searched = pending.bytes.count
                    return nil
                }
                let line = Array(pending.bytes[..<end])
                pending.bytes.removeFirst(end + 1)
                pending.searched = 0
                return line
            }) {
                if let message = try? JSON.parse(line, "a message of a cell's program") { return message }
                continue
            }
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            let n = Foundation.read(descriptor, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return nil }
            let isTooLong = pending.withLock { pending in
                pending.bytes += chunk[..<n]
                return pending.bytes.count > Self.bytesMax
            }
            if isTooLong { return nil }
        }
    }

    /// What a run came to.
    enum End { case done, gone, failed(String, line: Int?) }

    /// Answers the program until its run ends.
    func serve(_ kernel: NotebookKernel, _ request: CellRequest, _ stop: CellStop, _ emit: @Sendable (CellEvent) -> Void) -> End {
        var outputs = 0
        while let message = receive() {
            switch message["op"]?.string {
            case "done": return .done
            case "failed": return .failed(message["text"]?.string ?? "it failed", line: message["line"]?.int.map { Int($0) })
            case "sql": send(answer { try rows(message, kernel, stop) })
            case "register": send(answer { try register(message, kernel, stop) })
            case "text": emit(.text(message["text"]?.string ?? "", isError: message["isError"]?.bool ?? false))
            case "table":
                guard let columns = message["columns"]?.array, let rows = message["rows"]?.array else { continue }
                let table = ResultTable(
                    columns: columns.map { .init(name: $0["name"]?.string ?? "", type: $0["type"]?.string ?? "", isNumeric: $0["isNumeric"]?.bool ?? false) },
                    rows: rows.map { $0.array ?? [] }, total: message["total"]?.int)
                emit(.table(outputs, table, request.chart, isFinal: true))
                outputs += 1
            case "html":
                emit(.html(outputs, message["html"]?.string ?? ""))
                outputs += 1
            case "image":
                guard let path = message["path"]?.string, let bytes = try? Host.read(path) else { continue }
                emit(.image(outputs, type: message["type"]?.string ?? "image/png", bytes: bytes))
                outputs += 1
                try? Host.system.remove(path)
            default: continue
            }
        }
        return .gone
    }

    private func answer(_ body: () throws -> JSON) -> JSON {
        do { return try body() } catch { return .object([.init("error", .string("\(error)"))]) }
    }

    private func rows(_ message: JSON, _ kernel: NotebookKernel, _ stop: CellStop) throws -> JSON {
        let seconds: Double? = switch message["seconds"] {
        case .int(let n)?: Double(n)
        case .double(let n)?: n
        default: nil
        }
        let result = try kernel.rows(message["text"]?.string ?? "", rowsMax: message["rows"]?.int.map { Int($0) }, time: seconds.map { .milliseconds(Int64(min(max($0, 0), 1e9) * 1_000)) }, stop: stop)
        guard let result else { return .object([]) }
        let path = scratch + "/" + Host.system.uuid()
        if message["format"]?.string == "json" {
            let table = ResultTable(result.schema, rows: result.rows, total: Int64(result.rows.count))
            let lines = table.rows.map { row in JSON.object(zip(table.columns, row).map { .init($0.name, $1) }).text() + "\n" }
            try Host.system.replaceFile(path, Array(lines.joined().utf8))
        } else {
            try Host.system.replaceFile(path, ArrowRows.stream(result.schema, result.rows))
        }
        return .object([.init("path", .string(path))])
    }

    private func register(_ message: JSON, _ kernel: NotebookKernel, _ stop: CellStop) throws -> JSON {
        guard let name = message["name"]?.string, let path = message["path"]?.string else { throw StreamError(.validate, "a table needs a name and a file") }
        let quoted = "`" + name.replacing("`", with: "``") + "`", file = path.replacing("'", with: "''")
        _ = try kernel.rows("DROP TEMPORARY TABLE IF EXISTS \(quoted); CREATE TEMPORARY TABLE \(quoted) \(message["columns"]?.string ?? "") WITH ('connector' = 'filesystem', 'path' = '\(file)', 'format' = 'parquet')",
                            rowsMax: nil, time: nil, stop: stop)
        return .object([])
    }
}
