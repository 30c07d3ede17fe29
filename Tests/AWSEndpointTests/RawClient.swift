#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A TCP connection on which a test says exactly what it wants.
final class RawClient {
    private var socket: Int32
    private var pending: [UInt8] = []

    struct Response: Equatable {
        var status: Int
        var body: String
        var closes = false
    }

    init(port: Int, seconds: Int = 10) {
        #if canImport(Glibc)
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
        socket = Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    deinit { close() }

    func close() {
        guard socket >= 0 else { return }
        #if canImport(Glibc)
        _ = Glibc.close(socket)
        #else
        _ = Darwin.close(socket)
        #endif
        socket = -1
    }

    func closeOutput() { shutdown(socket, Int32(SHUT_WR)) }

    /// False when the other side took not all of it.
    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var at = 0
        while at < bytes.count {
            #if canImport(Glibc)
            let n = bytes.withUnsafeBytes { Glibc.send(socket, $0.baseAddress! + at, bytes.count - at, Int32(MSG_NOSIGNAL)) }
            #else
            let n = bytes.withUnsafeBytes { Darwin.send(socket, $0.baseAddress! + at, bytes.count - at, 0) }
            #endif
            if n <= 0 { return false }
            at += n
        }
        return true
    }

    /// False at the end of what the other side sends, or when it sends nothing for too long.
    private func receive() -> Bool {
        var part = [UInt8](repeating: 0, count: 1 << 16)
        let n = recv(socket, &part, part.count, 0)
        guard n > 0 else { return false }
        pending += part[..<n]
        return true
    }

    /// Everything until the other side closes; nil when it does not.
    func readToEnd() -> String? {
        while true {
            var part = [UInt8](repeating: 0, count: 1 << 16)
            let n = recv(socket, &part, part.count, 0)
            if n > 0 { pending += part[..<n] } else if n == 0 || errno == ECONNRESET { break } else { return nil }
        }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    func line() -> String? {
        while true {
            if let end = pending.firstIndex(of: 10) {
                defer { pending.removeSubrange(...end) }
                return String(decoding: pending[..<end], as: UTF8.self).split(separator: "\r").first.map(String.init) ?? ""
            }
            guard receive() else { return nil }
        }
    }

    func bytes(_ count: Int) -> [UInt8]? {
        while pending.count < count { guard receive() else { return nil } }
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }

    func head() -> (status: Int, headers: [String: String])? {
        guard let first = line(), let status = first.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { return nil }
        var headers: [String: String] = [:]
        while let next = line(), !next.isEmpty {
            let sides = next.split(separator: ":", maxSplits: 1)
            if sides.count == 2 { headers[sides[0].lowercased()] = String(sides[1].drop { $0 == " " }) }
        }
        return (status, headers)
    }

    /// A whole answer with a length.
    func response() -> Response? {
        guard let (status, headers) = head() else { return nil }
        guard let length = headers["content-length"].flatMap({ Int($0) }) else { return Response(status: status, body: "") }
        return bytes(length).map { Response(status: status, body: String(decoding: $0, as: UTF8.self), closes: headers["connection"] == "close") }
    }
}
