import Foundation
import ShardLog
import StreamCore
import StreamSQL
import Synchronization
import Topology

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Runs the jobs of all delivery streams of a data directory: those that the Firehose API has made, which are kept there, and those
/// of topology files.
///
///     let runner = try DeliveryRunner(data: "swiftwater-data") { try Engine.session() }
///     try runner.define(topology.deliveryStreams)
///     let service = FirehoseService(log: log, runner: runner)
///     ...
///     runner.stop()
public final class DeliveryRunner: Sendable {
    public struct Options: Sendable {
        /// Streams that the API may make; each runs on threads of its own.
        public var streamsMax = 50
        /// Told of failures and warnings of jobs.
        public var log: @Sendable (String) -> Void = { _ in }

        public init() {}
    }

    struct Entry: Sendable {
        var stored: StoredStream
        var job: DeliveryJob?
    }

    let data: String
    let host: StreamCore.Host
    let options: Options
    private let session: @Sendable () throws -> SQLSession
    private let entries = Mutex<[String: Entry]>([:])
    /// Held while streams are made, changed or removed, which waits for their jobs.
    private let changing = NSLock()
    private let lock: Int32

    /// Starts the jobs of the streams that the API made before.
    ///
    /// - Parameters:
    ///   - data: directory of the shard log; streams are kept in `<data>/firehose`, buckets in `<data>/buckets`.
    ///   - session: makes a session with all connectors; called on the threads of jobs.
    /// - Throws: `.conflict` when another process delivers from this directory; `.corrupt` for a damaged stream.
    public init(data: String, options: Options = Options(), host: StreamCore.Host = .system, session: @escaping @Sendable () throws -> SQLSession) throws {
        self.data = data
        self.host = host
        self.options = options
        self.session = session
        let root = data + "/firehose"
        try host.createDirectories(root)
        lock = host.open(root + "/lock", O_RDWR | O_CREAT, 0o644)
        guard lock >= 0 else { throw StreamCore.Host.failure("open", root + "/lock") }
        // The end of what is thrown away closes the file.
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            throw StreamError(.conflict, "another process delivers from \(data)", fix: "stop it, or use another data directory")
        }
        for name in try StreamCore.Host.names(in: root) where StreamCore.Host.exists(StoredStream.path("\(root)/\(name)")) {
            let stored = try StoredStream.read(from: "\(root)/\(name)")
            if stored.isDeleting {
                try remove(stored)
            } else if stored.origin == .api {
                entries.withLock { $0[name] = Entry(stored: stored) }
            }
        }
        for name in names() { start(name) }
    }

    deinit { _ = host.close(lock) }

    /// Stops all jobs; each commits what it has read.
    public func stop() {
        changing.withLock {
            let jobs = entries.withLock { entries in entries.values.compactMap(\.job) }
            // Asked one after the other, they would end one after the other.
            let group = DispatchGroup()
            for job in jobs {
                group.enter()
                Thread.detachNewThread {
                    job.stop()
                    group.leave()
                }
            }
            group.wait()
        }
    }

    /// For tests: ends all jobs as a crash would.
    func abandon() { for entry in entries.withLock({ Array($0.values) }) { entry.job?.abandon() } }

    /// For tests: lets another runner deliver from the directory, as the end of this process would.
    func unlock() { _ = flock(lock, LOCK_UN) }

    private func directory(_ name: String) -> String { "\(data)/firehose/\(name)" }

    private func start(_ name: String) {
        guard let stored = entries.withLock({ $0[name]?.stored }) else { return }
        let job = DeliveryJob(stored.definition, jobID: stored.jobID, directory: directory(name) + "/checkpoints", log: data, session: session, report: options.log)
        entries.withLock { $0[name]?.job = job }
    }

    // MARK: Streams

    /// Alphabetical.
    public func names() -> [String] { entries.withLock { $0.keys.sorted() } }

    /// Why a stream does not deliver now; nil = it does, or there is no such stream.
    public func failure(_ name: String) -> String? { entries.withLock { $0[name]?.job }?.failure }

    func stored(_ name: String) -> StoredStream? { entries.withLock { $0[name]?.stored } }

    /// Takes on the streams of topology files: new ones begin, changed ones go on where they were.
    ///
    /// - Throws: `.conflict` for the name of a stream that the API made.
    public func define(_ streams: [DeliveryStream]) throws {
        try changing.withLock {
            for stream in streams {
                let directory = directory(stream.name)
                guard stored(stream.name)?.origin != .api else {
                    throw StreamError(.conflict, "delivery stream \(stream.name) was made through the API, and a topology has one of this name too", fix: "rename one, or delete the other")
                }
                var stored = StoredStream(definition: stream, origin: .topology, jobID: host.uuid(), created: host.now())
                if StreamCore.Host.exists(StoredStream.path(directory)) {
                    let known = try StoredStream.read(from: directory)
                    stored = known
                    stored.definition = stream
                    stored.definition.version = known.definition.version
                    if stored.definition != known.definition {
                        stored.definition.version += 1
                        stored.updated = host.now()
                    }
                }
                if let job = entries.withLock({ $0[stream.name]?.job }) { job.stop() }
                try stored.write(to: directory, host)
                if case .directPut = stream.source { try DirectPut(log: ShardLog(directory: data, host: host)).create(stream.name) }
                entries.withLock { $0[stream.name] = Entry(stored: stored) }
                start(stream.name)
            }
        }
    }

    enum Refusal: Error { case exists, tooMany([String]), missing }

    func create(_ stored: StoredStream) throws {
        try changing.withLock {
            let known = names()
            if known.contains(stored.name) { throw Refusal.exists }
            if known.count >= options.streamsMax { throw Refusal.tooMany(known) }
            try stored.write(to: directory(stored.name), host)
            entries.withLock { $0[stored.name] = Entry(stored: stored) }
            start(stored.name)
        }
    }

    /// Changes what is kept of a stream; its job starts anew when what it does is not the same any more.
    func update(_ name: String, _ change: (inout StoredStream) throws -> Void) throws {
        try changing.withLock {
            guard let entry = entries.withLock({ $0[name] }) else { throw Refusal.missing }
            var stored = entry.stored
            try change(&stored)
            guard stored.definition != entry.stored.definition else {
                try stored.write(to: directory(name), host)
                return entries.withLock { $0[name]?.stored = stored }
            }
            _ = try stored.definition.statements(log: data)
            entry.job?.stop()
            do {
                try stored.write(to: directory(name), host)
            } catch {
                start(name)
                throw error
            }
            entries.withLock { $0[name]?.stored = stored }
            start(name)
        }
    }

    func delete(_ name: String) throws {
        try changing.withLock {
            guard let entry = entries.withLock({ $0[name] }) else { throw Refusal.missing }
            var stored = entry.stored
            stored.isDeleting = true
            try stored.write(to: directory(name), host)
            entry.job?.stop()
            entries.withLock { $0[name] = nil }
            try remove(stored)
        }
    }

    /// What is left of a stream whose deletion has begun; its description goes last.
    private func remove(_ stored: StoredStream) throws {
        if case .directPut = stored.definition.source { try deleteRecords(stored.name) }
        try host.removeTree(directory(stored.name) + "/checkpoints")
        try host.remove(StoredStream.path(directory(stored.name)))
        try host.removeTree(directory(stored.name))
    }
}
