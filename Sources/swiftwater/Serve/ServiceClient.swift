import Foundation
import HTTPServer
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import StreamCore
import Synchronization

/// Sends requests to a daemon, one connection for each.
struct ServiceClient {
    private let scheme: String, host: String, port: Int
    private let token: String?
    private let certificate: String?

    init(url: String, token: String?, certificate: String?) throws {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme, ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty else {
            throw StreamError(.validate, "'\(url)' is no URL of a daemon", fix: "write for example http://127.0.0.1:8081")
        }
        (self.scheme, self.token, self.certificate) = (scheme, token, certificate)
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? (scheme == "https" ? 443 : 80)
        if token != nil, scheme == "http", !Loopback.contains(self.host) {
            throw StreamError(.validate, "a token is not sent to \(url) in the clear", fix: "use https://")
        }
    }

    /// - Returns: the answer, which is JSON.
    /// - Throws: what the daemon says is wrong; `.io` when it does not answer.
    func send(_ method: String, _ path: [String], query: [(String, String)] = [], body: [UInt8] = [], type: String = "application/json", seconds: Double = 60) throws -> JSON {
        let bytes = Mutex([UInt8]())
        try exchange(method, path, query, body, type, seconds: seconds) { part in bytes.withLock { $0 += part } }
        return try JSON.parse(bytes.withLock { $0 }, "the daemon's answer")
    }

    /// Hands on a long answer as it comes.
    func stream(_ path: [String], query: [(String, String)], _ take: @escaping @Sendable (String) -> Void) throws {
        try exchange("GET", path, query, [], "application/json", seconds: nil) { take(String(decoding: $0, as: UTF8.self)) }
    }

    private func exchange(_ method: String, _ path: [String], _ query: [(String, String)], _ body: [UInt8], _ type: String, seconds: Double?,
                          _ take: @escaping @Sendable ([UInt8]) -> Void) throws {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        func encoded(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: allowed) ?? text }
        var target = "/" + path.map(encoded).joined(separator: "/")
        if !query.isEmpty { target += "?" + query.map { "\($0.0)=\(encoded($0.1))" }.joined(separator: "&") }
        var head = HTTPRequestHead(version: .http1_1, method: .RAW(value: method), uri: target)
        head.headers.add(name: "Host", value: "\(host.contains(":") ? "[\(host)]" : host):\(port)")
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "User-Agent", value: "swiftwater/\(swiftwaterVersion)")
        if let token { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if method != "GET" {
            head.headers.add(name: "Content-Type", value: type)
            head.headers.add(name: "Content-Length", value: "\(body.count)")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let done = group.next().makePromise(of: Void.self)
        let failure: @Sendable (any Error) -> StreamError = { [scheme, host, port] error in
            error as? StreamError ?? StreamError(.io, "no daemon answers at \(scheme)://\(host):\(port): \(error)", fix: "start one with swiftwater serve --listen, or name it with --url")
        }
        let security: NIOSSLContext? = scheme == "https" ? try tls() : nil
        let name = host.contains(":") || host.allSatisfy({ $0.isNumber || $0 == "." }) ? nil : host
        let requestHead = head
        let channel: any Channel
        do {
            channel = try ClientBootstrap(group: group).connectTimeout(.seconds(5)).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let sync = channel.pipeline.syncOperations
                    if let security { try sync.addHandler(try NIOSSLClientHandler(context: security, serverHostname: name)) }
                    try sync.addHTTPClientHandlers()
                    try sync.addHandler(AnswerHandler(done, take))
                }
            }.connect(host: host, port: port).wait()
        } catch {
            done.succeed(())
            throw failure(error)
        }
        channel.write(HTTPClientRequestPart.head(requestHead), promise: nil)
        if !body.isEmpty { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil)).whenFailure { done.fail($0) }
        if let seconds {
            let timeout = channel.eventLoop.scheduleTask(in: .milliseconds(Int64(seconds * 1_000))) {
                done.fail(StreamError(.io, "the daemon has not answered within \(Int(seconds)) s", fix: "look at its own output"))
            }
            done.futureResult.whenComplete { _ in timeout.cancel() }
        }
        defer { try? channel.close().wait() }
        do { try done.futureResult.wait() } catch { throw failure(error) }
    }

    private func tls() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let certificate { configuration.trustRoots = .file(certificate) }
        return try NIOSSLContext(configuration: configuration)
    }
}

/// Hands on the body of a good answer; turns another one into an error.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let done: EventLoopPromise<Void>
    private let take: @Sendable ([UInt8]) -> Void
    private var status = 0
    private var problem: [UInt8] = []

    init(_ done: EventLoopPromise<Void>, _ take: @escaping @Sendable ([UInt8]) -> Void) { (self.done, self.take) = (done, take) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let part):
            let bytes = Array(part.readableBytesView)
            if status < 300 { take(bytes) } else if problem.count < 1 << 20 { problem += bytes }
        case .end:
            guard status >= 300 else { return done.succeed(()) }
            let texts = (try? JSON.parse(problem, "an answer"))?["errors"]?.array?.compactMap(\.string) ?? []
            let text = texts.isEmpty ? "the daemon answers with status \(status)" : texts.joined(separator: "; ")
            done.fail(StreamError(status == 409 ? .conflict : status < 500 ? .validate : .runtime, text,
                                  fix: status == 401 ? "set SWIFTWATER_TOKEN, or give --token-file" : nil))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        done.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { done.fail(ChannelError.eof) }
}
