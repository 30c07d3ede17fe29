import Dispatch
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// What all connections of a server share.
final class ServerState: Sendable {
    let options: HTTPServer.Options
    let handler: @Sendable (HTTPRequest) -> HTTPResponse
    let pool: NIOThreadPool
    private let connections = Mutex<[ObjectIdentifier: any Channel]>([:])
    private let answering = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)

    init(options: HTTPServer.Options, handler: @escaping @Sendable (HTTPRequest) -> HTTPResponse, pool: NIOThreadPool) {
        (self.options, self.handler, self.pool) = (options, handler, pool)
    }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    func opened(_ channel: any Channel) -> Bool {
        connections.withLock { all in
            guard all.count < options.connectionsMax, !isStopping else { return false }
            all[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    func closed(_ channel: any Channel) { connections.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) } }

    func begin() { answering.add(1, ordering: .relaxed) }
    func end() { answering.subtract(1, ordering: .relaxed) }

    func stop(grace: Double) {
        stopping.store(true, ordering: .relaxed)
        let deadline = DispatchTime.now() + grace
        while answering.load(ordering: .relaxed) > 0, DispatchTime.now() < deadline { _ = DispatchSemaphore(value: 0).wait(timeout: .now() + 0.01) }
        for channel in connections.withLock({ Array($0.values) }) { try? channel.close().wait() }
    }
}

/// Collects a request, has it answered by a thread of the pool, and writes the answer. The pipeline's assistance sees to it that
/// requests of a connection come one after another.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let state: ServerState
    private var request: HTTPRequest?
    private var keepsAlive = true
    private var isRefused = false
    private var streams: BodyStream?

    init(_ state: ServerState) { self.state = state }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): begin(context, head)
        case .body(var part):
            guard !isRefused, request != nil else { return }
            guard request!.body.count + part.readableBytes <= state.options.bodyBytesMax else { return refuse(context, Self.tooLarge(state)) }
            part.readWithUnsafeReadableBytes { bytes in
                request!.body.append(contentsOf: bytes)
                return bytes.count
            }
        case .end:
            guard !isRefused, let request else { return }
            self.request = nil
            answer(context, request)
        }
    }

    private static func tooLarge(_ state: ServerState) -> HTTPResponse {
        .text(413, "the body is larger than \(state.options.bodyBytesMax) bytes\n")
    }

    private func begin(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        keepsAlive = head.isKeepAlive && !state.isStopping
        isRefused = false
        let fields = HTTPFields(head.headers.map { (name: $0.name, value: $0.value) })
        var request = HTTPRequest(method: head.method.rawValue, target: head.uri, headers: fields, body: [],
                                  peer: context.channel.remoteAddress?.ipAddress ?? "")
        if let refusal = state.options.admit?(request) { return refuse(context, refusal) }
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }) {
            guard length <= state.options.bodyBytesMax else { return refuse(context, Self.tooLarge(state)) }
            request.body.reserveCapacity(length)
        }
        if head.headers.first(name: "expect")?.lowercased() == "100-continue" {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
        self.request = request
    }

    /// Answers without reading on: the connection cannot be used again.
    private func refuse(_ context: ChannelHandlerContext, _ response: HTTPResponse) {
        isRefused = true
        keepsAlive = false
        request = nil
        write(context, response)
    }

    private func answer(_ context: ChannelHandlerContext, _ request: HTTPRequest) {
        let state = state
        let loop = context.eventLoop
        let bound = NIOLoopBound((self, context), eventLoop: loop)
        state.begin()
        state.pool.submit { _ in
            let response = state.handler(request)
            loop.execute {
                let (handler, context) = bound.value
                handler.write(context, response)
                state.end()
            }
        }
    }

    private func write(_ context: ChannelHandlerContext, _ response: HTTPResponse) {
        guard context.channel.isActive else { return }
        var headers = HTTPHeaders(response.headers)
        switch response.body {
        case .bytes(let bytes):
            headers.replaceOrAdd(name: "Content-Length", value: "\(bytes.count)")
            if !keepsAlive { headers.replaceOrAdd(name: "Connection", value: "close") }
            context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: response.status), headers: headers))), promise: nil)
            if !bytes.isEmpty { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil) }
            finish(context)
        case .stream(let body):
            headers.replaceOrAdd(name: "Transfer-Encoding", value: "chunked")
            context.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: response.status), headers: headers))), promise: nil)
            let stream = BodyStream(channel: context.channel, server: state)
            streams = stream
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop), loop = context.eventLoop
            // Streams last for minutes: they get threads of their own rather than those of the pool.
            DetachedThread.run {
                body(stream)
                loop.execute {
                    let (handler, context) = bound.value
                    handler.streams = nil
                    if context.channel.isActive { handler.finish(context) }
                }
            }
        }
    }

    private func finish(_ context: ChannelHandlerContext) {
        let channel = context.channel, closes = !keepsAlive
        let end = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if closes { end.whenComplete { _ in channel.close(promise: nil) } }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent, streams == nil {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Writes pieces of a body from another thread, one at a time.
final class BodyStream: HTTPBodyWriter {
    private let channel: any Channel
    private let server: ServerState

    init(channel: any Channel, server: ServerState) { (self.channel, self.server) = (channel, server) }

    var isClosed: Bool { !channel.isActive || server.isStopping }

    func write(_ bytes: [UInt8]) throws {
        if isClosed { throw ChannelError.ioOnClosedChannel }
        // The future completes when the bytes have gone to the socket: a slow reader makes the writer wait.
        try channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes)))).wait()
    }
}
