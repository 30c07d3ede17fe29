import Dispatch
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore
import NIOPosix
import Synchronization

/// What all connections of a server share.
final class ServerState: Sendable {
    let options: HTTPServer.Options
    let handler: @Sendable (HTTPRequest) -> HTTPResponse
    let pool: NIOThreadPool
    let bodies: BodyBudget
    private let connections = Mutex<[ObjectIdentifier: any Channel]>([:])
    private let stopping = Atomic<Bool>(false)
    /// Answers that are being made or sent, streams among them.
    private let work = Mutex(Work())
    private let idle = DispatchSemaphore(value: 0)

    /// `Date` headers change once a second: SDKs set their clocks by them when a signature's time is refused.
    private let date = Mutex((second: 0, text: ""))

    private struct Work {
        var answers = 0, streams = 0
        var isAwaited = false
    }

    init(options: HTTPServer.Options, handler: @escaping @Sendable (HTTPRequest) -> HTTPResponse, pool: NIOThreadPool) {
        (self.options, self.handler, self.pool) = (options, handler, pool)
        bodies = BodyBudget(max(options.bytesInFlightMax, options.bodyBytesMax))
    }

    func dateHeader() -> String {
        let now = time(nil)
        return date.withLock { date in
            if date.second != now {
                var parts = tm(), seconds = now, text = [CChar](repeating: 0, count: 40)
                gmtime_r(&seconds, &parts)
                let n = strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
                date = (now, String(decoding: text[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            return date.text
        }
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

    func begin() { work.withLock { $0.answers += 1 } }
    func end() { change { $0.answers -= 1 } }

    func beginStream() -> Bool {
        work.withLock { work in
            guard work.streams < options.streamsMax, !isStopping else { return false }
            work.streams += 1
            return true
        }
    }

    func endStream() { change { $0.streams -= 1 } }

    private func change(_ body: (inout Work) -> Void) {
        let isLast = work.withLock { work in
            body(&work)
            guard work.isAwaited, work.answers == 0, work.streams == 0 else { return false }
            work.isAwaited = false
            return true
        }
        if isLast { idle.signal() }
    }

    private func awaitIdle(_ seconds: Double) {
        let isBusy = work.withLock { work in
            work.isAwaited = work.answers > 0 || work.streams > 0
            return work.isAwaited
        }
        if isBusy { _ = idle.wait(timeout: .now() + seconds) }
    }

    func stop(grace: Double) {
        stopping.store(true, ordering: .relaxed)
        // Idle connections close at once, others behind their answer.
        for channel in connections.withLock({ Array($0.values) }) { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        awaitIdle(grace)
        for channel in connections.withLock({ Array($0.values) }) { try? channel.close().wait() }
        // Their writers fail now.
        awaitIdle(min(grace, 1))
    }
}

/// Room for bodies, given out in the order in which it is asked for.
final class BodyBudget: Sendable {
    private struct State {
        var free: Int
        var waiting: [(bytes: Int, grant: @Sendable () -> Void)] = []
        var first = 0
    }

    private let state: Mutex<State>

    init(_ bytes: Int) { state = Mutex(State(free: bytes)) }

    /// True = taken. False = `grant` is called once the bytes have been taken, perhaps by another thread.
    func take(_ bytes: Int, orWait grant: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.first < state.waiting.count || state.free < bytes else {
                state.free -= bytes
                return true
            }
            state.waiting.append((bytes, grant))
            return false
        }
    }

    /// Takes what is there already, be there room for it or not: others wait until there is again.
    func occupy(_ bytes: Int) { state.withLock { $0.free -= bytes } }

    func giveBack(_ bytes: Int) {
        guard bytes > 0 else { return }
        let granted: [@Sendable () -> Void] = state.withLock { state in
            state.free += bytes
            var granted: [@Sendable () -> Void] = []
            while state.first < state.waiting.count, state.waiting[state.first].bytes <= state.free {
                state.free -= state.waiting[state.first].bytes
                granted.append(state.waiting[state.first].grant)
                state.first += 1
            }
            // Under steady load the queue is never empty: what has been granted must not stay in it.
            if state.first * 2 >= state.waiting.count {
                state.waiting.removeFirst(state.first)
                state.first = 0
            }
            return granted
        }
        for grant in granted { grant() }
    }
}
