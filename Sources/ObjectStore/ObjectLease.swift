import Foundation
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// An exclusive lock that is an object: made by a conditional write, renewed while its owner lives, free to be taken over once it has not been
/// renewed in time.
///
/// Times are those of the store's clock. Ownership is known by the ETag of the object: whoever takes the lock over changes it, and from then on every
/// renewal of the former owner fails.
package final class ObjectLease: Sendable {
    /// The content of the object, as JSON.
    struct Content: Codable, Equatable {
        /// Who holds it, for people.
        var owner: String
        /// One taking of the lock.
        var token: String
        /// Milliseconds since 1970-01-01; from then on anybody may take it.
        var until: Int64
        /// Where process numbers mean what they mean here; nil when that cannot be told.
        var machine: String?
        var process: Int32

        /// The owner was a process of this machine and is no more: its lock need not run out.
        var isDead: Bool {
            guard let machine, machine == ObjectLease.machine, process != getpid() else { return false }
            return kill(process, 0) != 0 && errno == ESRCH
        }
    }

    /// This start of this machine, and the space of process numbers: containers have their own.
    static let machine: String? = {
        guard let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8),
              let space = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid") else { return nil }
        return boot.filter { !$0.isWhitespace } + " " + space
    }()

    /// False in tests that let a lock run out under its owner.
    @TaskLocal package static var renews = true

    private enum State {
        case held(etag: String, until: Int64)
        case lost(StreamError)
        case released
    }

    private let client: S3Client
    private let key: String
    private let what: String
    private let owner: String
    private let token: String
    private let now: @Sendable () -> Int64
    private let newToken: @Sendable () -> String
    private let state: Mutex<State>
    private let ended = DispatchSemaphore(value: 0)

    /// Takes the lock.
    ///
    /// - Parameter what: is locked, for errors.
    /// - Throws: `.conflict` when somebody else holds it.
    package init(_ client: S3Client, key: String, what: String, owner: String, now: @escaping @Sendable () -> Int64, newToken: @escaping @Sendable () -> String) throws {
        (self.client, self.key, self.what, self.owner, self.now, self.newToken) = (client, key, what, owner, now, newToken)
        token = newToken()
        state = try Mutex(Self.take(client, key, what, owner, token, now, newToken))
        guard Self.renews else { return }
        // A thread that wakes up when the lock is given back, else in time to renew it.
        let pause = Double(client.options.lease) / 3_000
        Thread.detachNewThread { [ended, weak self] in
            while ended.wait(timeout: .now() + pause) == .timedOut {
                guard let self else { return }
                self.renew()
            }
        }
    }

    deinit { ended.signal() }

    private static func take(_ client: S3Client, _ key: String, _ what: String, _ owner: String, _ token: String, _ now: () -> Int64, _ newToken: () -> String) throws -> State {
        for _ in 0..<5 {
            let known = try client.getWithETag(key)
            let time = client.now(now()), until = time + client.options.lease
            let content = try JSONEncoder().encode(Content(owner: owner, token: token, until: until, machine: machine, process: getpid()))
            guard let known else {
                if let etag = try client.put(key, Array(content), .absent(token: newToken())) { return .held(etag: etag, until: until) }
                continue
            }
            // What cannot be read is nobody's: no version of this program wrote it.
            let holder = try? JSONDecoder().decode(Content.self, from: Data(known.bytes))
            if let holder, holder.until > time, !holder.isDead {
                throw StreamError(.conflict, "\(what) is being written by another job: its lock is held by \(holder.owner) until \(Self.text(holder.until))",
                                  fix: "stop that job, or write both inputs with one INSERT (UNION ALL); after a crash the lock is free at that time, or once \(client.place(key)) is deleted")
            }
            if let etag = try client.put(key, Array(content), .unchanged(etag: known.etag, token: newToken())) { return .held(etag: etag, until: until) }
        }
        throw StreamError(.conflict, "the lock of \(what) changes its owner all the time", fix: "run one writer per table")
    }

    /// Makes sure that the lock is ours and will be for a while: to be called before every write that must not happen otherwise.
    ///
    /// - Returns: until when it is ours at least, milliseconds since 1970-01-01 by the store's clock.
    /// - Throws: `.conflict` when somebody else took it over, `.io` when it cannot be renewed in time.
    @discardableResult
    package func require() throws -> Int64 {
        try state.withLock { state in
            switch state {
            case .released: throw StreamError(.runtime, "the lock of \(what) was given back already")
            case .lost(let error): throw error
            case .held(_, let until):
                if until - client.now(now()) > client.options.lease / 2 { return until }
                try renew(&state)
                guard case .held(_, let until) = state else { preconditionFailure("a lock that was renewed is held") }
                return until
            }
        }
    }

    /// In the background: what went wrong is told by the next `require`.
    private func renew() { state.withLock { state in try? renew(&state) } }

    private func renew(_ state: inout State) throws {
        guard case .held(let etag, _) = state else { return }
        let until = client.now(now()) + client.options.lease
        let content = try JSONEncoder().encode(Content(owner: owner, token: token, until: until, machine: Self.machine, process: getpid()))
        if let etag = try client.put(key, Array(content), .unchanged(etag: etag, token: newToken())) {
            state = .held(etag: etag, until: until)
            return
        }
        let holder = try client.get(key).flatMap { try? JSONDecoder().decode(Content.self, from: Data($0)) }
        let error = StreamError(.conflict, "this job has lost the lock of \(what): " + (holder.map { "\($0.owner) took it over" } ?? "it was deleted"),
                                fix: "run one writer per table, and start this job again if the other one is to end; nothing of the unfinished commit is visible")
        state = .lost(error)
        throw error
    }

    /// Gives the lock back.
    package func release() {
        ended.signal()
        state.withLock { state in
            guard case .held(let etag, _) = state else { return }
            state = .released
            // Whoever has taken it over in the meantime keeps it. One that stays expires.
            let content = try? JSONEncoder().encode(Content(owner: owner, token: token, until: 0, machine: Self.machine, process: getpid()))
            _ = try? client.put(key, content.map(Array.init) ?? [], .unchanged(etag: etag, token: newToken()))
        }
    }

    private static func text(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1_000).formatted(.iso8601)
    }
}
