import StreamCore
import Synchronization

/// What came of one HTTP request.
struct HTTPAnswer: Sendable {
    /// 0 when there was none: `problem` says why.
    var status: Int
    /// Names in lower case.
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    var problem = ""
}

/// Makes HTTP requests to one server over connections that are kept, TLS among them. Calls block; any number of threads.
///
/// A client of our own: with Foundation's each body is copied several times and passed between threads, and it cannot tell whether a connection that is
/// kept is still good before a request is sent over it.
final class HTTPTransport: Sendable {
    private let host: String
    private let port: Int
    private let security: TLSSettings?
    /// Seconds without any progress.
    private let timeout: Double
    private let idle = Mutex<[HTTPConnection]>([])

    private static let idleMax = 16

    init(host: String, port: Int, security: TLSSettings?, timeout: Double) {
        (self.host, self.port, self.security, self.timeout) = (host, port, security, timeout)
    }

    /// Sends a request; `HTTPExchange.wait` has the answer, and also tells what went wrong with the sending.
    ///
    /// - Parameter target: path and query, encoded. `headers` has `Host` among them, `Content-Length` is added.
    func start(_ method: String, _ target: String, headers: [(name: String, value: String)], body: [UInt8]?) -> HTTPExchange {
        var head = "\(method) \(target) HTTP/1.1\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        head += "\r\n"
        do {
            let connection = try connection()
            do {
                // One segment where both are small.
                if let body, body.count <= 16_384 {
                    try connection.send(Array(head.utf8) + body)
                } else {
                    try connection.send(Array(head.utf8))
                    if let body { try connection.send(body) }
                }
            } catch let problem as HTTPProblem {
                // A server that refuses a body may have said why before it stopped reading.
                return HTTPExchange(self, connection, hasBody: method != "HEAD", sendProblem: problem.text)
            }
            return HTTPExchange(self, connection, hasBody: method != "HEAD", sendProblem: nil)
        } catch {
            return HTTPExchange(failed: (error as? HTTPProblem)?.text ?? "\(error)")
        }
    }

    private func connection() throws -> HTTPConnection {
        while let known = idle.withLock({ $0.popLast() }) { if known.isUsable { return known } }
        return try HTTPConnection(host: host, port: port, security: security, timeout: timeout)
    }

    fileprivate func giveBack(_ connection: HTTPConnection) {
        idle.withLock { if $0.count < Self.idleMax { $0.append(connection) } }
    }
}

/// A request that is under way.
final class HTTPExchange: Sendable {
    private let transport: HTTPTransport?
    private let hasBody: Bool
    private let problem: String?
    /// Nil once the answer was read.
    private let connection: Mutex<HTTPConnection?>

    fileprivate init(_ transport: HTTPTransport, _ connection: HTTPConnection, hasBody: Bool, sendProblem: String?) {
        (self.transport, self.hasBody, problem) = (transport, hasBody, sendProblem)
        self.connection = Mutex(connection)
    }

    fileprivate init(failed: String) {
        (transport, hasBody, problem) = (nil, false, failed)
        connection = Mutex(nil)
    }

    /// Blocks until the answer comes. To be called once.
    func wait() -> HTTPAnswer {
        guard let connection = connection.withLock({ held in
            defer { held = nil }
            return held
        }) else { return HTTPAnswer(status: 0, problem: problem ?? "the answer was read already") }
        do {
            let (answer, isReusable) = try connection.receive(hasBody: hasBody)
            if isReusable, problem == nil { transport?.giveBack(connection) }
            return answer
        } catch {
            return HTTPAnswer(status: 0, problem: problem ?? (error as? HTTPProblem)?.text ?? "\(error)")
        }
    }
}

/// Why a connection cannot go on.
package struct HTTPProblem: Error {
    package let text: String
    package init(_ text: String) { self.text = text }
}
