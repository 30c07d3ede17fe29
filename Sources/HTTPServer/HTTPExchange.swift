import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Where requests go: `http://user:password@host:port/prefix`.
package struct HTTPOrigin: Sendable, CustomStringConvertible {
    package let scheme: String, host: String, port: Int
    /// What every path begins with: "" or for example "/flink", without a slash at its end.
    package let prefix: String
    /// From the URL; never part of `description`.
    package let user: (name: String, password: String)?
    /// PEM file with the certificates to trust; nil = those of the system.
    package var certificate: String?

    /// Nil when the text is no http or https URL with a host.
    package init?(_ url: String, certificate: String? = nil) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty else { return nil }
        self.scheme = scheme
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? (scheme == "https" ? 443 : 80)
        var path = Substring(parts.percentEncodedPath)
        while path.hasSuffix("/") { path.removeLast() }
        prefix = String(path)
        user = parts.user.map { ($0, parts.password ?? "") }
        self.certificate = certificate
    }

    /// True when what is sent can be read by nobody else: over TLS, or on this machine.
    package var isPrivate: Bool { scheme == "https" || Loopback.contains(host) }

    package var description: String { "\(scheme)://\(authority)\(prefix)" }
    var authority: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }

    /// One segment of a path, or a value in a query, as it is written there.
    package static func encoded(_ text: String) -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? text
    }

    /// `?a=1&b=2`; empty when there are no members.
    package static func query(_ members: [(String, String)]) -> String {
        members.isEmpty ? "" : "?" + members.map { "\($0.0)=\(encoded($0.1))" }.joined(separator: "&")
    }
}

/// One request and its answer, on a connection of its own that ends with them.
package struct HTTPExchange: Sendable {
    package var origin: HTTPOrigin
    package var method: String
    /// Path and query below the origin's prefix, encoded.
    package var target: String
    package var headers: [(String, String)] = []
    package var body: [UInt8] = []
    /// Until the whole answer must be there; nil = as long as it takes.
    package var seconds: Double?
    package var connectSeconds: Double = 5

    package init(_ origin: HTTPOrigin, _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8] = [], seconds: Double?) {
        (self.origin, self.method, self.target, self.headers, self.body, self.seconds) = (origin, method, target, headers, body, seconds)
    }

    /// No whole answer came.
    package struct Failure: Error, CustomStringConvertible {
        package enum Kind: Sendable {
            /// Nothing was sent: the request may be repeated, whatever it asks for.
            case notConnected
            /// It may have been carried out.
            case broken, late
        }
        package let kind: Kind
        package let description: String
    }

    /// Waits for the answer; not to be called on an event loop.
    ///
    /// - Parameter take: gets the status with each part of the body, on a thread of the connection.
    /// - Returns: the answer's status.
    /// - Throws: ``Failure``.
    @discardableResult
    package func run(_ take: @escaping @Sendable (_ status: Int, _ part: [UInt8]) -> Void) throws -> Int {
        var head = HTTPRequestHead(version: .http1_1, method: .RAW(value: method), uri: origin.prefix + target)
        head.headers.add(name: "Host", value: origin.authority)
        head.headers.add(name: "Connection", value: "close")
        for (name, value) in headers { head.headers.add(name: name, value: value) }
        if method != "GET" { head.headers.replaceOrAdd(name: "Content-Length", value: "\(body.count)") }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let done = group.next().makePromise(of: Int.self)
        let requestHead = head, host = origin.host
        let channel: any Channel
        do {
            let security: NIOSSLContext? = origin.scheme == "https" ? try tls() : nil
            // A certificate's name is not checked against an address that has none.
            let name = host.contains(":") || host.allSatisfy({ $0.isNumber || $0 == "." }) ? nil : host
            let connectSeconds = min(connectSeconds, seconds ?? .infinity)
            channel = try ClientBootstrap(group: group).connectTimeout(.milliseconds(Int64(max(connectSeconds, 0.001) * 1_000))).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let sync = channel.pipeline.syncOperations
                    if let security { try sync.addHandler(try NIOSSLClientHandler(context: security, serverHostname: name)) }
                    try sync.addHTTPClientHandlers()
                    try sync.addHandler(AnswerHandler(done, take))
                }
            }.connect(host: host, port: origin.port).wait()
        } catch {
            done.succeed(0)
            throw Failure(kind: .notConnected, description: "\(error)")
        }
        channel.write(HTTPClientRequestPart.head(requestHead), promise: nil)
        if !body.isEmpty { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil)).whenFailure { done.fail(Failure(kind: .broken, description: "\($0)")) }
        if let seconds {
            let timeout = channel.eventLoop.scheduleTask(in: .milliseconds(Int64(seconds * 1_000))) {
                done.fail(Failure(kind: .late, description: "no answer within \(seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)") s"))
            }
            done.futureResult.whenComplete { _ in timeout.cancel() }
        }
        defer { try? channel.close().wait() }
        return try done.futureResult.wait()
    }

    private func tls() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let certificate = origin.certificate { configuration.trustRoots = .file(certificate) }
        return try NIOSSLContext(configuration: configuration)
    }
}

/// Hands on the parts of an answer's body, and tells its end.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let done: EventLoopPromise<Int>
    private let take: @Sendable (Int, [UInt8]) -> Void
    private var status = 0

    init(_ done: EventLoopPromise<Int>, _ take: @escaping @Sendable (Int, [UInt8]) -> Void) { (self.done, self.take) = (done, take) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let part): take(status, Array(part.readableBytesView))
        case .end: done.succeed(status)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        done.fail(HTTPExchange.Failure(kind: .broken, description: "\(error)"))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        done.fail(HTTPExchange.Failure(kind: .broken, description: "the connection ended before the answer did"))
    }
}
