import ObjectStore
import StreamCore

/// A connection to a receiver, in the clear or with TLS, that ends at its deadline whatever the other side does.
final class OutgoingConnection {
    private let socket: Socket
    private var tls: TLSStream?
    private let host: String

    /// - Parameters:
    ///   - deadline: by `Clock.monotonicNanoseconds()`.
    ///   - authorities: a file of trusted certificates; nil = the system's.
    init(host: String, port: Int, isSecure: Bool, authorities: String?, deadline: UInt64, refuses: (String) -> Bool = { _ in false }) throws {
        let now = Clock.monotonicNanoseconds()
        self.host = host
        do {
            socket = try Socket(host: host, port: port, timeout: deadline > now ? Double(deadline - now) / 1e9 : 0, deadline: deadline, refuses: refuses)
        } catch let problem as HTTPProblem {
            throw DeliveryProblem("\(host):\(port): \(problem.text)")
        }
        if isSecure { try secure(authorities) }
    }

    /// Begins TLS.
    func secure(_ authorities: String?) throws {
        let settings: TLSSettings
        do { settings = try TLSSettings(authorities: authorities) } catch { throw DeliveryProblem("no certificates can be read from \(authorities ?? "the system")", isFinal: true) }
        try naming { tls = try TLSStream(socket, host: host, settings) }
    }

    func send(_ bytes: [UInt8]) throws {
        try naming { if let tls { try tls.send(bytes) } else { try bytes.withUnsafeBytes { try socket.send($0) } } }
    }

    /// Some bytes; none at the end of the connection.
    func receive() throws -> [UInt8] { try naming { try tls?.receive() ?? socket.receive(1 << 14) } }

    private func naming<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch let problem as HTTPProblem { throw DeliveryProblem("\(host): \(problem.text)") }
    }
}
