import NIOCore

/// Notes when bytes come in, before they are parts of a request: the first byte of a head that never ends counts.
final class Activity: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// What a connection is waiting for, and since when.
    enum Phase {
        case idle, request
        /// Nothing is asked of the client: its request is worked on, or waits for room.
        case working
        case sending
    }

    private(set) var phase = Phase.idle
    private(set) var since = NIODeadline.now()

    func enter(_ phase: Phase) { (self.phase, since) = (phase, .now()) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if phase == .idle { enter(.request) }
        context.fireChannelRead(data)
    }
}

/// Tells a client that there are too many connections.
final class Refusal: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 21\r\n\r\ntoo many connections\n"
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer))).whenComplete { _ in channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
