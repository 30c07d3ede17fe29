import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A request whose body has come in whole.
public struct HTTPRequest: Sendable {
    public var method: String
    /// Path and query as sent: `/logs/router-7?x=1`
    public var target: String
    public var headers: HTTPFields
    public var body: [UInt8]
    /// Address of the other side, without port.
    public var peer: String

    public init(method: String, target: String, headers: HTTPFields, body: [UInt8], peer: String = "127.0.0.1") {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.peer = peer
    }

    public var path: String { String(target.prefix { $0 != "?" }) }
    /// Behind the `?`, not decoded; empty without one.
    public var query: String { target.firstIndex(of: "?").map { String(target[target.index(after: $0)...]) } ?? "" }
}

/// Headers in the order in which they came; names are compared without regard to case.
public struct HTTPFields: Sendable, ExpressibleByArrayLiteral {
    public var all: [(name: String, value: String)]

    public init(_ all: [(name: String, value: String)] = []) { self.all = all }
    public init(arrayLiteral elements: (String, String)...) { all = elements.map { (name: $0.0, value: $0.1) } }

    /// The first value of that name.
    public subscript(name: String) -> String? {
        let wanted = name.lowercased()
        return all.first { $0.name.utf8.count == wanted.utf8.count && $0.name.lowercased() == wanted }?.value
    }
}

/// An answer: a status, headers beside the length, and a body.
public struct HTTPResponse: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        /// Written piece by piece, from a thread of its own, until the closure returns.
        case stream(@Sendable (any HTTPBodyWriter) -> Void)
    }

    public var status: Int
    public var headers: [(String, String)]
    public var body: Body

    public init(_ status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        (self.status, self.headers, self.body) = (status, headers, .bytes(body))
    }

    public init(_ status: Int, headers: [(String, String)] = [], stream: @escaping @Sendable (any HTTPBodyWriter) -> Void) {
        (self.status, self.headers, body) = (status, headers, .stream(stream))
    }

    public static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array(text.utf8))
    }
}

/// Takes the pieces of a streamed body.
public protocol HTTPBodyWriter: Sendable {
    /// Returns when the piece has been handed to the network. Throws when the other side is gone or the server stops.
    func write(_ bytes: [UInt8]) throws
    var isClosed: Bool { get }
}

/// An HTTP/1.1 server: requests are read by event loops and answered by threads that may block.
public final class HTTPServer: Sendable {
    public struct Options: Sendable {
        /// Larger bodies are refused with status 413 before they are read.
        public var bodyBytesMax = 16 << 20
        /// Requests that are worked on at the same time; others wait.
        public var threads = 32
        /// Connections beyond that are refused.
        public var connectionsMax = 4_096
        /// A connection that sends nothing for that long is closed.
        public var idleSeconds: Int64 = 300
        /// Answers a request after its head, before its body is read; nil = go on.
        public var admit: (@Sendable (HTTPRequest) -> HTTPResponse?)?

        public init() {}
    }

    public let host: String
    public let port: Int
    private let channel: any Channel
    private let group: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool
    private let state: ServerState

    /// Listens from here on.
    ///
    /// - Parameter port: 0 picks a free one.
    /// - Throws: when the address cannot be listened on.
    public init(host: String, port: Int, options: Options = Options(), handler: @escaping @Sendable (HTTPRequest) -> HTTPResponse) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let pool = NIOThreadPool(numberOfThreads: options.threads)
        pool.start()
        let state = ServerState(options: options, handler: handler, pool: pool)
        do {
            channel = try ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard state.opened(channel) else { throw ChannelError.connectTimeout(.seconds(0)) }
                        channel.closeFuture.whenComplete { _ in state.closed(channel) }
                        let sync = channel.pipeline.syncOperations
                        try sync.addHandler(IdleStateHandler(readTimeout: .seconds(options.idleSeconds)))
                        try sync.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
                        try sync.addHandler(ConnectionHandler(state))
                    }
                }
                .bind(host: host, port: port).wait()
        } catch {
            try? group.syncShutdownGracefully()
            try? pool.syncShutdownGracefully()
            throw error
        }
        self.host = host
        self.port = channel.localAddress?.port ?? port
        (self.group, self.pool, self.state) = (group, pool, state)
    }

    /// Takes no more connections, lets requests that are being answered end for at most `grace` seconds, ends streams, and closes
    /// the rest.
    public func stop(grace: Double = 5) {
        try? channel.close().wait()
        state.stop(grace: grace)
        try? group.syncShutdownGracefully()
        try? pool.syncShutdownGracefully()
    }
}
