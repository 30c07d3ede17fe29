import NIOCore
import NIOHTTP1
import NIOPosix

/// Collects a request, has it answered by a thread of the pool, and writes the answer. The pipeline's assistance sees to it that
/// requests of a connection come one after another.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let state: ServerState
    private let activity: Activity
    private var request: HTTPRequest?
    /// Bytes of the budget that the request holds, or waits for.
    private var reserved = 0
    private var isWaiting = false
    /// The request has come in whole.
    private var isComplete = false
    private var expectsContinue = false
    private var heldRead = false
    private var keepsAlive = true
    private var isHead = false
    private var isRefused = false
    private var isInputClosed = false
    private var isStreaming = false
    private var watch: RepeatedTask?
    /// Bytes of the answer that the network had not taken when the time was checked last.
    private var lastUnsent = 0

    init(_ state: ServerState, _ activity: Activity) { (self.state, self.activity) = (state, activity) }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What follows a request that ends the connection is not looked at.
        guard !isRefused else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): if keepsAlive { begin(context, head) }
        case .body(var part):
            guard request != nil else { return }
            guard request!.body.count + part.readableBytes <= state.options.bodyBytesMax else { return refuse(context, Self.tooLarge(state)) }
            part.readWithUnsafeReadableBytes { bytes in
                request!.body.append(contentsOf: bytes)
                return bytes.count
            }
        case .end:
            guard request != nil else { return }
            isComplete = true
            if !isWaiting { answer(context) }
        }
    }

    private static func tooLarge(_ state: ServerState) -> HTTPResponse {
        .text(413, "the body is larger than \(state.options.bodyBytesMax) bytes\n")
    }

    private func begin(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        if activity.phase != .request { activity.enter(.request) }
        // Behind an offer to go over to another protocol the parser reads no more HTTP.
        let offersUpgrade = head.method == .CONNECT || head.headers.contains(name: "upgrade")
        keepsAlive = head.isKeepAlive && !offersUpgrade && !state.isStopping && !isInputClosed
        isHead = head.method == .HEAD
        isComplete = false
        var request = HTTPRequest(method: head.method.rawValue, target: head.uri, headers: HTTPFields(head.headers.map { (name: $0.name, value: $0.value) }),
                                  body: [], peer: context.channel.remoteAddress?.ipAddress ?? "")
        if let refusal = state.options.admit?(request) { return refuse(context, refusal) }
        // Chunks may sum up to the largest body there is: what has begun can then always end.
        let length = request.headers["content-length"].flatMap { Int($0) } ?? (request.headers["transfer-encoding"] == nil ? 0 : state.options.bodyBytesMax)
        guard length <= state.options.bodyBytesMax else { return refuse(context, Self.tooLarge(state)) }
        expectsContinue = head.version == .http1_1 && request.headers["expect"]?.lowercased() == "100-continue"
        reserved = length
        if length > 0 {
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop), loop = context.eventLoop, bodies = state.bodies
            isWaiting = !bodies.take(length) {
                loop.execute {
                    let (handler, context) = bound.value
                    // The connection may have ended meanwhile, with nobody left to use the room.
                    if handler.isWaiting { handler.granted(context) } else { bodies.giveBack(length) }
                }
            }
        }
        if isWaiting {
            activity.enter(.working)
        } else {
            proceed(context, length, &request)
        }
        self.request = request
    }

    private func proceed(_ context: ChannelHandlerContext, _ length: Int, _ request: inout HTTPRequest) {
        request.body.reserveCapacity(length)
        if expectsContinue, !isComplete {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
    }

    private func granted(_ context: ChannelHandlerContext) {
        isWaiting = false
        guard request != nil else { return release() }
        activity.enter(.request)
        proceed(context, reserved, &request!)
        if isComplete { answer(context) }
        if heldRead {
            heldRead = false
            context.read()
        }
    }

    /// Called when the channel is ready to read on.
    func read(context: ChannelHandlerContext) {
        if isWaiting { heldRead = true } else { context.read() }
    }

    private func release() {
        // A request that waits has nothing yet: it gives back when its turn comes.
        if !isWaiting { state.bodies.giveBack(reserved) }
        (reserved, isWaiting) = (0, false)
    }

    /// Answers without reading on: the connection cannot be used again.
    private func refuse(_ context: ChannelHandlerContext, _ response: HTTPResponse) {
        isRefused = true
        keepsAlive = false
        request = nil
        release()
        state.begin()
        write(context, response)
    }

    private func answer(_ context: ChannelHandlerContext) {
        guard let request = request.take() else { return }
        let state = state, reserved = reserved
        self.reserved = 0
        activity.enter(.working)
        state.begin()
        if let response = state.options.answerAtOnce?(request) {
            state.bodies.giveBack(reserved)
            return write(context, response)
        }
        let loop = context.eventLoop
        let bound = NIOLoopBound((self, context), eventLoop: loop)
        state.pool.submit { pool in
            // Cancelled: the server has stopped.
            guard case .active = pool else { return state.end() }
            let response = state.handler(request)
            state.bodies.giveBack(reserved)
            loop.execute {
                let (handler, context) = bound.value
                handler.write(context, response)
            }
        }
    }

    // MARK: Answers

    /// `state.begin()` has been called; the end of the answer ends that.
    private func write(_ context: ChannelHandlerContext, _ response: HTTPResponse) {
        guard context.channel.isActive else { return state.end() }
        var headers = HTTPHeaders(response.headers)
        headers.add(name: "Date", value: state.dateHeader())
        if isInputClosed || state.isStopping { keepsAlive = false }
        switch response.body {
        case .bytes(let bytes):
            // Answers that nobody reads must not pile up: until they have gone they take the room of bodies to come.
            state.bodies.occupy(bytes.count)
            headers.replaceOrAdd(name: "Content-Length", value: "\(bytes.count)")
            if !keepsAlive { headers.replaceOrAdd(name: "Connection", value: "close") }
            context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: response.status), headers: headers))), promise: nil)
            if !bytes.isEmpty, !isHead { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil) }
            finish(context, occupied: bytes.count)
        case .stream where isHead:
            if !keepsAlive { headers.replaceOrAdd(name: "Connection", value: "close") }
            context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: response.status), headers: headers))), promise: nil)
            finish(context, occupied: 0)
        case .stream(let body):
            guard state.beginStream() else { return write(context, .text(503, "there are too many streams\n")) }
            headers.replaceOrAdd(name: "Transfer-Encoding", value: "chunked")
            if !keepsAlive { headers.replaceOrAdd(name: "Connection", value: "close") }
            context.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: response.status), headers: headers))), promise: nil)
            isStreaming = true
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop), loop = context.eventLoop, state = state
            let stream = BodyStream(channel: context.channel, server: state, activity: NIOLoopBound(activity, eventLoop: loop))
            // Streams last for minutes: they get threads of their own rather than those of the pool.
            let hasThread = DetachedThread.run {
                body(stream)
                state.endStream()
                loop.execute {
                    let (handler, context) = bound.value
                    handler.isStreaming = false
                    handler.finish(context, occupied: 0)
                }
            }
            if !hasThread {
                state.endStream()
                context.close(promise: nil)
                state.end()
            }
        }
    }

    private func finish(_ context: ChannelHandlerContext, occupied: Int) {
        let state = state
        guard context.channel.isActive else {
            state.bodies.giveBack(occupied)
            return state.end()
        }
        activity.enter(.sending)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let closes = !keepsAlive
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            state.bodies.giveBack(occupied)
            let (handler, context) = bound.value
            // The next request may have begun meanwhile.
            let isNext = handler.activity.phase != .sending
            if closes || (handler.isInputClosed && !isNext) { handler.hangUp(context) } else if !isNext { handler.activity.enter(.idle) }
            state.end()
        }
    }

    /// Closes in such a way that a client that is sending still can read the answer: closing with bytes unread would take it from it.
    private func hangUp(_ context: ChannelHandlerContext) {
        guard isRefused, !isInputClosed, context.channel.isActive else { return context.close(promise: nil) }
        let channel = context.channel
        channel.close(mode: .output, promise: nil)
        context.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
    }

    // MARK: Connection

    func channelActive(context: ChannelHandlerContext) {
        let options = state.options
        let period = max(0.01, min(5, min(options.idleSeconds, options.requestSeconds, options.sendSeconds) / 4))
        let delay = TimeAmount.nanoseconds(Int64(period * 1e9))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        watch = context.eventLoop.scheduleRepeatedTask(initialDelay: delay, delay: delay) { _ in
            let (handler, context) = bound.value
            handler.checkTime(context)
        }
        context.fireChannelActive()
    }

    private func checkTime(_ context: ChannelHandlerContext) {
        func isOver(_ seconds: Double) -> Bool { NIODeadline.now() - activity.since > .nanoseconds(Int64(seconds * 1e9)) }
        switch activity.phase {
        case .working: break
        case .idle: if isOver(state.options.idleSeconds) { context.close(promise: nil) }
        case .sending:
            let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
            // A slow client that takes some of it now and then is let be.
            if unsent < lastUnsent { activity.enter(.sending) } else if isOver(state.options.sendSeconds) { context.close(promise: nil) }
            lastUnsent = unsent
        case .request:
            guard isOver(state.options.requestSeconds) else { return }
            // Without a head there is nothing that an answer would belong to.
            if request == nil || isRefused { return context.close(promise: nil) }
            refuse(context, .text(408, "the request did not come in whole within \(state.options.requestSeconds) s\n"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        watch?.cancel()
        watch = nil
        request = nil
        release()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        isInputClosed = true
        keepsAlive = false
        switch activity.phase {
        // The rest of a request will not come; a stream's client that closes its side has gone.
        case .idle, .request: context.close(promise: nil)
        case .working, .sending: if isStreaming || (request != nil && !isComplete) { context.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Writes pieces of a body from another thread, one at a time.
final class BodyStream: HTTPBodyWriter {
    private let channel: any Channel
    private let server: ServerState
    private let activity: NIOLoopBound<Activity>

    init(channel: any Channel, server: ServerState, activity: NIOLoopBound<Activity>) {
        (self.channel, self.server, self.activity) = (channel, server, activity)
    }

    var isClosed: Bool { !channel.isActive || server.isStopping }

    func write(_ bytes: [UInt8]) throws {
        if isClosed { throw ChannelError.ioOnClosedChannel }
        let channel = channel, activity = activity
        // The future completes when the bytes have gone to the socket.
        try channel.eventLoop.flatSubmit {
            activity.value.enter(.sending)
            return channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes)))).always { _ in activity.value.enter(.working) }
        }.wait()
    }
}
