import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One connection to a server; requests and answers take turns.
final class HTTPConnection: @unchecked Sendable {  // SAFETY: owned by one exchange at a time; it waits in a locked list in between
    private let socket: Socket
    private let tls: TLSStream?
    private var buffer: [UInt8] = []
    /// Bytes of `buffer` that were read.
    private var start = 0

    private static let headMax = 1 << 18

    init(host: String, port: Int, security: TLSSettings?, timeout: Double) throws {
        let socket = try Socket(host: host, port: port, timeout: timeout)
        self.socket = socket
        tls = try security.map { try TLSStream(socket, host: host, $0) }
    }

    /// Whether the server has neither closed the connection nor said anything unasked.
    var isUsable: Bool { start == buffer.count && !socket.isReadable }

    func send(_ bytes: [UInt8]) throws {
        if let tls { try tls.send(bytes) } else { try bytes.withUnsafeBytes { try socket.send($0) } }
    }

    private func fill() throws -> Bool {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        let part = try tls?.receive() ?? socket.receive(1 << 16)
        buffer += part
        return !part.isEmpty
    }

    // MARK: Answers

    func receive(hasBody: Bool) throws -> (answer: HTTPAnswer, isReusable: Bool) {
        var head = try head()
        while (100..<200).contains(head.status) { head = try self.head() }
        var answer = HTTPAnswer(status: head.status, headers: head.headers)
        var isReusable = head.isHTTP11 && head.headers["connection"]?.lowercased() != "close"
        if !hasBody || head.status == 204 || head.status == 304 { return (answer, isReusable) }
        if head.headers["transfer-encoding"]?.lowercased() == "chunked" {
            answer.body = try chunks()
        } else if let length = head.headers["content-length"] {
            guard let length = Int(length), length >= 0 else { throw HTTPProblem("the answer has a Content-Length '\(length)'") }
            answer.body = try body(length)
        } else {
            while try fill() {}
            answer.body = Array(buffer[start...])
            (buffer, start, isReusable) = ([], 0, false)
        }
        return (answer, isReusable)
    }

    private struct Head {
        var status: Int
        var isHTTP11: Bool
        var headers: [String: String] = [:]
    }

    private func line() throws -> String {
        var from = start
        while true {
            if let end = buffer[from...].firstIndex(of: 10) {
                defer { start = end + 1 }
                let text = buffer[start..<end]
                return String(decoding: text.last == 13 ? text.dropLast() : text, as: UTF8.self)
            }
            guard buffer.count - start < Self.headMax else { throw HTTPProblem("the answer has a line of more than \(Self.headMax) bytes") }
            let seen = buffer.count - start
            guard try fill() else { throw HTTPProblem(seen == 0 ? "the connection was closed without an answer" : "the connection was closed in the middle of an answer") }
            from = start + seen
        }
    }

    private func head() throws -> Head {
        let first = try line(), parts = first.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else { throw HTTPProblem("the answer is not HTTP: \(first.prefix(60))") }
        var head = Head(status: status, isHTTP11: parts[0] == "HTTP/1.1")
        while true {
            let line = try line()
            if line.isEmpty { return head }
            guard let colon = line.firstIndex(of: ":"), head.headers.count < 1_000 else { throw HTTPProblem("the answer has a header '\(line.prefix(60))'") }
            head.headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmed
        }
    }

    private func body(_ length: Int) throws -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(length)
        let known = min(length, buffer.count - start)
        out += buffer[start..<start + known]
        start += known
        while out.count < length {
            // Straight into the body: large ones need not pass through the buffer.
            let part = try tls?.receive() ?? socket.receive(min(1 << 20, length - out.count))
            guard !part.isEmpty else { throw HTTPProblem("the connection was closed after \(out.count) of \(length) bytes") }
            let wanted = min(part.count, length - out.count)
            if wanted == part.count { out += part } else {
                out += part[..<wanted]
                (buffer, start) = (Array(part[wanted...]), 0)
            }
        }
        return out
    }

    private func chunks() throws -> [UInt8] {
        var out: [UInt8] = []
        while true {
            let size = try line()
            guard let length = Int(size.prefix { $0 != ";" }.trimmed, radix: 16), length >= 0 else { throw HTTPProblem("the answer has a chunk of length '\(size.prefix(20))'") }
            if length == 0 {
                while try !line().isEmpty {}
                return out
            }
            out += try body(length)
            _ = try line()
        }
    }
}

extension StringProtocol {
    fileprivate var trimmed: String {
        var rest = self[...]
        while rest.first == " " || rest.first == "\t" { rest = rest.dropFirst() }
        while rest.last == " " || rest.last == "\t" { rest = rest.dropLast() }
        return String(rest)
    }
}
