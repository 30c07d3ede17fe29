import StreamCore
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Those in this process who answer kinds of requests that are no concern of a job's own, in as many lines as they like.
package enum ControlHandlers {
    package typealias Handler = @Sendable (ControlRequest, ControlConnection) -> Void
    private static let all = Mutex<[ControlRequest.Kind: Handler]>([:])

    /// From now on, in the place of the one before.
    package static func set(_ handler: @escaping Handler, for kind: ControlRequest.Kind) { all.withLock { $0[kind] = handler } }

    static func handler(of kind: ControlRequest.Kind) -> Handler? { all.withLock { $0[kind] } }
}

/// The other side of a request, for answers of several lines. Used by one thread.
package struct ControlConnection: Sendable {
    package let descriptor: Int32
    private let closing: @Sendable () -> Bool

    init(descriptor: Int32, isClosing: @escaping @Sendable () -> Bool) {
        (self.descriptor, closing) = (descriptor, isClosing)
        // One who reads nothing must not keep the thread.
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Writes a line. False when the other side has gone.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool { LocalSocket.writeLine(descriptor, bytes) }

    /// The job ends, or the other side has gone.
    package var isClosed: Bool {
        if closing() { return true }
        var asked = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&asked, 1, 0) > 0 else { return false }
        if asked.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { return true }
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) == 0
    }
}
