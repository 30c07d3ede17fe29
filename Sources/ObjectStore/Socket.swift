import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A TCP connection.
package final class Socket {
    private let descriptor: Int32
    private let timeout: Double
    /// When all waiting ends at the latest, by `Clock.monotonicNanoseconds()`.
    private let deadline: UInt64

    /// - Parameters:
    ///   - timeout: seconds that connecting, and each wait for progress after it, may take.
    ///   - deadline: by `Clock.monotonicNanoseconds()`: no wait goes beyond it.
    ///   - refuses: asked with each numeric address that the name has, before it is connected to.
    package init(host: String, port: Int, timeout: Double, deadline: UInt64 = .max, refuses: (String) -> Bool = { _ in false }) throws {
        var hints = addrinfo()
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var found: UnsafeMutablePointer<addrinfo>?
        // Addresses in URLs have brackets around those of IPv6.
        let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        let failure = getaddrinfo(name, String(port), &hints, &found)
        guard failure == 0 else { throw HTTPProblem("\(host) has no address: \(String(cString: gai_strerror(failure)))") }
        defer { freeaddrinfo(found) }
        var problem = "no address", next = found
        while let address = next {
            if refuses(Self.text(of: address.pointee)) {
                (problem, next) = ("\(Self.text(of: address.pointee)) is an address that may not be connected to", address.pointee.ai_next)
                continue
            }
            switch Self.connect(address.pointee, timeout, deadline) {
            case .success(let connected):
                (descriptor, self.timeout, self.deadline) = (connected, timeout, deadline)
                return
            case .failure(let failed): problem = failed.text
            }
            next = address.pointee.ai_next
        }
        throw HTTPProblem(problem)
    }

    private static func text(of address: addrinfo) -> String {
        var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard getnameinfo(address.ai_addr, address.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0 else { return "" }
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private static func connect(_ address: addrinfo, _ timeout: Double, _ deadline: UInt64) -> Result<Int32, HTTPProblem> {
        let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        guard descriptor >= 0 else { return .failure(HTTPProblem(String(cString: strerror(errno)))) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, socklen_t(MemoryLayout<Int32>.size))
        #if canImport(Darwin)
        setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
        #endif
        var code: Int32 = 0
        if systemConnect(descriptor, address.ai_addr, address.ai_addrlen) != 0 {
            code = errno
            if code == EINPROGRESS {
                var length = socklen_t(MemoryLayout<Int32>.size)
                if !wait(descriptor, Int16(POLLOUT), timeout, deadline) { code = ETIMEDOUT } else { getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) }
            }
        }
        guard code == 0 else {
            systemClose(descriptor)
            return .failure(HTTPProblem(String(cString: strerror(code))))
        }
        return .success(descriptor)
    }

    deinit { systemClose(descriptor) }

    /// - Returns: false when nothing happened in time.
    private static func wait(_ descriptor: Int32, _ events: Int16, _ timeout: Double, _ deadline: UInt64 = .max) -> Bool {
        let end = min(deadline, Clock.monotonicNanoseconds() + UInt64(timeout * 1e9))
        while true {
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let now = Clock.monotonicNanoseconds(), left = now < end ? Int32(min((end - now) / 1_000_000 + 1, 1 << 30)) : 0
            let n = poll(&entry, 1, left)
            if n > 0 { return true }
            if n == 0 || errno != EINTR { return false }
        }
    }

    /// There is something to read, an end of the connection among that.
    var isReadable: Bool { Self.wait(descriptor, Int16(POLLIN), 0) }

    package func send(_ bytes: UnsafeRawBufferPointer) throws {
        #if canImport(Glibc)
        let flags = Int32(MSG_NOSIGNAL)
        #else
        let flags: Int32 = 0
        #endif
        var done = 0
        while done < bytes.count {
            let n = systemSend(descriptor, bytes.baseAddress! + done, bytes.count - done, flags)
            if n >= 0 {
                done += n
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                guard Self.wait(descriptor, Int16(POLLOUT), timeout, deadline) else { throw HTTPProblem("it took nothing for \(timeout) s") }
            } else if errno != EINTR {
                throw HTTPProblem("the connection broke: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Some bytes, at least one; none at the end of the connection.
    package func receive(_ most: Int) throws -> [UInt8] {
        while true {
            var code: Int32 = 0, isEnd = false
            let part = [UInt8](unsafeUninitializedCapacity: most) { out, filled in
                let n = recv(descriptor, out.baseAddress!, most, 0)
                filled = max(0, n)
                (code, isEnd) = (n < 0 ? errno : 0, n == 0)
            }
            if !part.isEmpty || isEnd { return part }
            if code == EAGAIN || code == EWOULDBLOCK {
                guard Self.wait(descriptor, Int16(POLLIN), timeout, deadline) else { throw HTTPProblem("no answer came in \(timeout) s") }
            } else if code != EINTR {
                throw HTTPProblem("the connection broke: \(String(cString: strerror(code)))")
            }
        }
    }
}

// The calls by names that members of `Socket` do not hide.
private func systemConnect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> Int32 { connect(descriptor, address, length) }
@discardableResult
private func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
private func systemSend(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int, _ flags: Int32) -> Int { send(descriptor, bytes, count, flags) }
