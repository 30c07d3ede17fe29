import Dispatch
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// An HTTP/1.1 server: requests are read by event loops and answered by threads that may block.
///
///     connection ─ head ─ admit ─ body (bounded, all connections together) ─ thread of the pool ─ answer
///                                                                          └ stream: a thread of its own
///
/// Requests of one connection are answered one after another, in their order. While one is answered, or its body finds no room, nothing
/// is read: the network holds the client back.
public final class HTTPServer: Sendable {
    public struct Options: Sendable {
        /// Larger bodies are refused with status 413 before they are read.
        public var bodyBytesMax = 16 << 20
        /// Bodies of requests that are being read or worked on, and of answers that are being sent, in all; at least one request of
        /// the largest size. Requests beyond it wait, unread.
        public var bytesInFlightMax = 256 << 20
        /// Requests that are worked on at the same time; others wait.
        public var threads = 32
        /// Streamed bodies at the same time, each with a thread; others are refused with status 503.
        public var streamsMax = 1_024
        /// Connections beyond that are refused with status 503.
        public var connectionsMax = 4_096
        /// A connection between two requests is closed after that long.
        public var idleSeconds: Double = 300
        /// A request must have come in whole that long after its first byte, or is refused with status 408.
        public var requestSeconds: Double = 60
        /// A connection whose client reads nothing of an answer for that long is closed.
        public var sendSeconds: Double = 60
        /// PEM files of the certificates, the server's own first, and of its private key; nil = requests come in the clear.
        public var certificate: (chain: String, key: String)?
        /// Answers a request after its head, before its body is read, and closes the connection; nil = go on.
        public var admit: (@Sendable (HTTPRequest) -> HTTPResponse?)?
        /// Answers a request without a thread of the pool, even when all of them are busy; must not block. nil = as usual.
        public var answerAtOnce: (@Sendable (HTTPRequest) -> HTTPResponse?)?

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
        let security = try options.certificate.map { try Self.security($0.chain, $0.key) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let pool = NIOThreadPool(numberOfThreads: options.threads)
        pool.start()
        let state = ServerState(options: options, handler: handler, pool: pool)
        do {
            channel = try ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                // A client may close its side once it has sent its request, and read the answer after that.
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let sync = channel.pipeline.syncOperations
                        guard state.opened(channel) else { return try sync.addHandler(Refusal()) }
                        channel.closeFuture.whenComplete { _ in state.closed(channel) }
                        if let security { try sync.addHandler(NIOSSLServerHandler(context: security)) }
                        let activity = Activity()
                        try sync.addHandler(activity)
                        try sync.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
                        try sync.addHandler(ConnectionHandler(state, activity))
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

    private static func security(_ chain: String, _ key: String) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(chain).map { .certificate($0) }, privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }

    /// Takes no more connections, tells streams to end, lets requests that are being answered end for at most `grace` seconds, and closes
    /// the rest. A handler that blocks for longer is left behind.
    public func stop(grace: Double = 5) {
        try? channel.close().wait()
        state.stop(grace: grace)
        for shutdown in [{ self.pool.shutdownGracefully(queue: .global(), $0) }, { self.group.shutdownGracefully(queue: .global(), $0) }]
            as [(@escaping @Sendable ((any Error)?) -> Void) -> Void]
        {
            let ended = DispatchSemaphore(value: 0)
            shutdown { _ in ended.signal() }
            _ = ended.wait(timeout: .now() + max(grace, 0.1))
        }
    }
}
