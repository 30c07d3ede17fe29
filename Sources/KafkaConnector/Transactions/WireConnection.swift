import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Values of Kafka's protocol, big-endian.
struct WireMessage {
    private(set) var bytes: [UInt8] = []

    mutating func add<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
    mutating func add(_ text: String) {
        add(Int16(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }
    mutating func add(_ data: [UInt8]) {
        add(Int32(data.count))
        bytes.append(contentsOf: data)
    }
    mutating func add(raw data: [UInt8]) { bytes.append(contentsOf: data) }
}

/// Reads an answer.
struct WireAnswer {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func read<T: FixedWidthInteger>(_: T.Type = T.self) throws -> T {
        let size = MemoryLayout<T>.size
        guard at + size <= bytes.count else { throw Self.short }
        defer { at += size }
        return bytes[at..<at + size].reduce(T.zero) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }

    /// nil = null.
    mutating func text() throws -> String? {
        let count = Int(try read(Int16.self))
        guard count >= 0 else { return nil }
        guard at + count <= bytes.count else { throw Self.short }
        defer { at += count }
        return String(decoding: bytes[at..<at + count], as: UTF8.self)
    }

    mutating func data() throws -> [UInt8] {
        let count = Int(try read(Int32.self))
        guard count >= 0 else { return [] }
        guard at + count <= bytes.count else { throw Self.short }
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    private static var short: StreamError { StreamError(.io, "a Kafka broker sent an answer that is too short") }
}

/// A connection to one broker, one request at a time.
final class WireConnection {
    let host: String, port: Int
    private var socket: Int32 = -1
    private var correlation: Int32 = 0
    private var encryption: WireEncryption?

    /// - Throws: `.io` when nobody answers within the time limit.
    init(host: String, port: Int, seconds: Int) throws {
        (self.host, self.port) = (host, port)
        var hints = addrinfo()
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0, let found else { throw failure("cannot be found: \(String(cString: gai_strerror(code)))") }
        defer { freeaddrinfo(found) }
        var address: UnsafeMutablePointer<addrinfo>? = found, reason = ""
        while let one = address {
            let fd = Self.open(one.pointee, seconds)
            if fd >= 0 {
                socket = fd
                return
            }
            reason = String(cString: strerror(errno))
            address = one.pointee.ai_next
        }
        throw failure("cannot be reached: \(reason)")
    }

    private static func open(_ address: addrinfo, _ seconds: Int) -> Int32 {
        #if canImport(Glibc)
        let fd = Glibc.socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), address.ai_protocol)
        #else
        let fd = Darwin.socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        #endif
        guard fd >= 0 else { return -1 }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if connect(fd, address.ai_addr, address.ai_addrlen) == 0 { return fd }
        let reason = errno
        Self.closeSocket(fd)
        errno = reason
        return -1
    }

    private static func closeSocket(_ fd: Int32) { _ = close(fd) }

    deinit {
        encryption = nil
        if socket >= 0 { Self.closeSocket(socket) }
    }

    /// From now on what is sent is encrypted.
    func encrypt(_ configuration: KafkaConfiguration) throws { encryption = try WireEncryption(socket, host: host, configuration) }

    /// - Returns: the answer behind its header.
    func call(_ api: Int16, _ version: Int16, _ body: WireMessage) throws -> WireAnswer {
        correlation += 1
        var request = WireMessage()
        request.add(api)
        request.add(version)
        request.add(correlation)
        request.add("swiftwater")
        request.add(raw: body.bytes)
        var framed = WireMessage()
        framed.add(request.bytes)
        try send(framed.bytes)
        let size = try receive(4).reduce(0) { $0 << 8 | Int($1) }
        guard size >= 4, size < 16 << 20 else { throw failure("sent an answer of \(size) bytes: it may want another security protocol") }
        var answer = WireAnswer(try receive(size))
        guard try answer.read(Int32.self) == correlation else { throw failure("sent the answer to another request") }
        return answer
    }

    private func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let n = bytes.withUnsafeBytes { bytes in
                encryption?.write(bytes.baseAddress! + sent, bytes.count - sent) ?? Self.send(socket, bytes.baseAddress! + sent, bytes.count - sent)
            }
            if n < 0, encryption == nil, errno == EINTR { continue }
            guard n > 0 else { throw failure("does not take a request: \(String(cString: strerror(errno)))") }
            sent += n
        }
    }

    private static func send(_ fd: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
        Glibc.send(fd, bytes, count, Int32(MSG_NOSIGNAL))
        #else
        Darwin.send(fd, bytes, count, 0)
        #endif
    }

    private func receive(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count), got = 0
        while got < count {
            let n = bytes.withUnsafeMutableBytes { bytes in
                encryption?.read(bytes.baseAddress! + got, count - got) ?? recv(socket, bytes.baseAddress! + got, count - got, 0)
            }
            if n < 0, encryption == nil, errno == EINTR { continue }
            guard n != 0 else { throw failure("closed the connection") }
            guard n > 0 else { throw failure("does not answer: \(String(cString: strerror(errno)))") }
            got += n
        }
        return bytes
    }

    private func failure(_ what: String) -> StreamError { StreamError(.io, "Kafka broker \(host):\(port) \(what)") }
}
