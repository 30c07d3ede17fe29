import ObjectStore
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The files of a table on an object store: what `TableFiles` does where its root is an `s3:` URL.
///
///     publish        one conditional PUT: there is nothing to rename, and of two writers of a name one fails
///     folders        are nothing but parts of names; making and flushing them does nothing
///     data files     are written to a local spool file, then uploaded under their name
///     listing        one sweep over the whole table answers for its folders
///     lock           an object with an owner and an expiry; no write happens without it once a writer has taken it
package final class ObjectFolder: Sendable {
    package let client: S3Client
    package let location: ObjectLocation

    private struct State {
        /// Temporary names that were handed out -> their spool files.
        var spooled: [String: String] = [:]
        var hasCleanedSpool = false
        /// Folders below one that was listed, not asked for yet.
        var sweep: [String: [Entry]] = [:]
        var sweepEnd: UInt64 = 0
        /// Sizes of data files, which never change.
        var sizes: [String: Int64] = [:]
        /// What the last question whether a file is there found.
        var seen: (path: String, bytes: Int64)?
        var lease: ObjectLease?
        /// Files that are made once for a folder and stay, known to be there while the lock is held.
        var marked: Set<String> = []
        /// Of a question that has no way to fail; told by the next call that has.
        var failure: StreamError?
    }

    private let state = Mutex(State())

    /// One name in a folder.
    package struct Entry: Sendable {
        package var name: String
        package var isFolder: Bool
        package var bytes: Int64
    }

    /// For how long a sweep answers for the folders that it has seen, nanoseconds.
    private static let sweepLifetime: UInt64 = 30_000_000_000

    package init(_ location: ObjectLocation, _ options: ObjectStoreOptions) throws {
        self.location = location
        client = try S3Client(bucket: location.bucket, options: options)
        ObjectFolders.add(self)
    }

    private func key(_ relative: String) -> String { location.key(relative) }
    private func place(_ relative: String) -> String { "s3://\(location.bucket)/\(key(relative))" }

    /// A question that cannot fail where it is asked: the failure comes with the next call.
    private func answer<T>(_ otherwise: T, _ body: () throws -> T) -> T {
        do { return try body() } catch {
            state.withLock { $0.failure = error as? StreamError ?? StreamError(.io, "\(error)") }
            return otherwise
        }
    }

    private func tellFailure() throws {
        if let failure = state.withLock({ state in
            defer { state.failure = nil }
            return state.failure
        }) { throw failure }
    }

    // MARK: Reading

    /// Names that only files have.
    private static let fileEndings = [
        ".parquet", ".json", ".avro", ".properties", ".properties.backup", ".requested", ".inflight", ".commit", ".replacecommit", ".deltacommit", ".clean", ".rollback",
        ".savepoint", ".restore", ".crc", ".lock", ".text", "_partition_metadata", "_last_checkpoint", "_SUCCESS",
    ]

    func exists(_ relative: String) -> Bool { answer(false) { try isThere(relative) } }

    func isThere(_ relative: String) throws -> Bool {
        let name = relative.split(separator: "/").last.map(String.init) ?? ""
        let isFile = Self.fileEndings.contains { name.hasSuffix($0) }, stays = name.hasSuffix("_partition_metadata")
        if stays, state.withLock({ $0.lease != nil && $0.marked.contains(relative) }) { return true }
        // What only folders are called.
        let mayBeFile = relative != ".hoodie/metadata" && !(relative.hasPrefix(".hoodie/.temp/") && !name.contains("."))
        if mayBeFile {
            let found = try client.head(key(relative))
            state.withLock { state in
                state.seen = found.map { (relative, $0.bytes) }
                if stays, found != nil { state.marked.insert(relative) }
            }
            if found != nil { return true }
        }
        return try !isFile && client.hasAny(key(relative) + "/")
    }

    func isFolder(_ relative: String) -> Bool {
        let known: Bool? = state.withLock { state in
            if Clock.monotonicNanoseconds() < state.sweepEnd {
                if state.sweep[relative] != nil { return true }
                if state.sizes[relative] != nil { return false }
            }
            return nil
        }
        return known ?? answer(false) { try client.hasAny(relative.isEmpty && location.prefix.isEmpty ? "" : key(relative) + "/") }
    }

    func size(_ relative: String) -> Int64 {
        let known: Int64? = state.withLock { state in
            if let seen = state.seen, seen.path == relative { return seen.bytes }
            return state.sizes[relative]
        }
        return known ?? answer(0) { try client.head(key(relative))?.bytes ?? 0 }
    }

    func read(_ relative: String) throws -> [UInt8] {
        guard let bytes = try readIfThere(relative) else {
            throw StreamError(.io, "cannot read \(place(relative)): there is no such object", fix: "check 'path'; if the table was changed meanwhile, start again")
        }
        return bytes
    }

    func readIfThere(_ relative: String) throws -> [UInt8]? {
        try tellFailure()
        return try client.get(key(relative))
    }

    func names(in relative: String) throws -> [String] { try entries(in: relative).map(\.name).sorted() }

    /// What is in a folder. A listing of the table's own folder sees all folders below it, hidden ones left out, and they are answered from it when they are
    /// asked for right after: a table of many folders takes one request for a thousand files.
    func entries(in relative: String) throws -> [Entry] {
        try tellFailure()
        if let known = state.withLock({ state -> [Entry]? in
            guard Clock.monotonicNanoseconds() < state.sweepEnd else { return nil }
            return state.sweep.removeValue(forKey: relative)
        }) { return known }
        let prefix = relative.isEmpty && location.prefix.isEmpty ? "" : key(relative) + "/"
        if !relative.isEmpty {
            let (objects, folders) = try client.list(prefix, byFolder: true)
            return objects.filter { $0.key != prefix }.map { Entry(name: String($0.key.dropFirst(prefix.count)), isFolder: false, bytes: $0.bytes) }
                + folders.map { Entry(name: String($0.dropFirst(prefix.count).dropLast()), isFolder: true, bytes: 0) }
        }
        var folders: [String: [Entry]] = ["": []], sizes: [String: Int64] = [:]
        // What is in a hidden folder is skipped but for its name.
        try client.sweep(prefix, skip: { key in
            let rest = key.dropFirst(prefix.count)
            guard rest.hasPrefix("."), let slash = rest.firstIndex(of: "/") else { return nil }
            let name = String(rest[..<slash])
            if folders[""]!.last?.name != name { folders[""]!.append(Entry(name: name, isFolder: true, bytes: 0)) }
            return prefix + name + "0"  // the byte after a slash
        }) { object in
            let path = String(object.key.dropFirst(prefix.count))
            if path.hasSuffix("/") { return }
            sizes[path] = object.bytes
            var folder = TableFiles.folder(of: path)
            let isNew = folders[folder] == nil
            folders[folder, default: []].append(Entry(name: String(path.dropFirst(folder.isEmpty ? 0 : folder.count + 1)), isFolder: false, bytes: object.bytes))
            // A new folder is a name in the one above it, and so on.
            var wasNew = isNew
            while wasNew, !folder.isEmpty {
                let above = TableFiles.folder(of: folder), name = String(folder.dropFirst(above.isEmpty ? 0 : above.count + 1))
                wasNew = folders[above] == nil
                folders[above, default: []].append(Entry(name: name, isFolder: true, bytes: 0))
                folder = above
            }
        }
        let top = folders.removeValue(forKey: "") ?? []
        state.withLock { state in
            (state.sweep, state.sizes) = (folders, sizes)
            state.sweepEnd = Clock.monotonicNanoseconds() + Self.sweepLifetime
        }
        return top
    }

    // MARK: Writing

    /// Makes sure that this process still is the writer; what was listed before a change is not good after it.
    /// - Returns: until when it is, by the store's clock; nil when no lock was taken.
    @discardableResult
    private func beforeChange(_ relative: String) throws -> Int64? {
        try tellFailure()
        let lease = state.withLock { state in
            (state.sweep, state.sweepEnd) = ([:], 0)
            state.sizes[relative] = nil
            if state.seen?.path == relative { state.seen = nil }
            return state.lease
        }
        return try lease?.require()
    }

    func publish(_ relative: String, _ bytes: [UInt8], _ host: Host) throws {
        // A writer that is held up for longer than its lock lasts, be it by its machine or on the network, commits nothing: the store refuses it.
        let deadline = try beforeChange(relative)
        guard try client.put(key(relative), bytes, .absent(token: host.uuid()), before: deadline) != nil else { throw taken(relative) }
    }

    func replace(_ relative: String, _ bytes: [UInt8]) throws {
        try beforeChange(relative)
        _ = try client.put(key(relative), bytes)
    }

    private func taken(_ relative: String) -> StreamError {
        StreamError(.conflict, "\(place(relative)) is already there: another writer is at work on this table", fix: "run one writer per table")
    }

    /// A temporary name, for which there is a spool file.
    func temporaryName(_ folder: String, _ host: Host) throws -> String {
        try tellFailure()
        let name = folder + "/" + host.uuid()
        try state.withLock { state in
            if !state.hasCleanedSpool {
                state.hasCleanedSpool = true
                try host.createDirectories(client.options.spoolDirectory)
                Self.removeOrphans(client.options.spoolDirectory, host)
            }
            state.spooled[name] = client.options.spoolDirectory + "/\(Self.spoolPrefix)\(getpid())-\(name.suffix(36))"
        }
        return name
    }

    private static let spoolPrefix = "swiftwater-spool-"

    /// Removes the spool files of processes that are no more.
    private static func removeOrphans(_ folder: String, _ host: Host) {
        for name in (try? Host.names(in: folder)) ?? [] where name.hasPrefix(spoolPrefix) {
            guard let owner = pid_t(name.dropFirst(spoolPrefix.count).prefix { $0 != "-" }), owner != getpid(), kill(owner, 0) != 0, errno == ESRCH else { continue }
            _ = host.unlink(folder + "/" + name)
        }
    }

    /// The local file of a temporary name; nil for all other names.
    func spoolFile(_ relative: String) -> String? { state.withLock { $0.spooled[relative] } }

    /// Uploads the spool file of a temporary name.
    func publish(temporary: String, as relative: String, _ host: Host) throws {
        guard let file = spoolFile(temporary) else { throw StreamError(.runtime, "\(temporary) is no temporary file of \(location)") }
        defer { forget(temporary, host) }
        try beforeChange(relative)
        let bytes = Host.size(of: file).map(Int64.init)
        guard try client.upload(key(relative), file: file, .absent(token: host.uuid()), before: { try beforeChange(relative) }) != nil else { throw taken(relative) }
        state.withLock { $0.sizes[relative] = bytes }
    }

    private func forget(_ temporary: String, _ host: Host) {
        if let file = state.withLock({ $0.spooled.removeValue(forKey: temporary) }) { _ = host.unlink(file) }
    }

    func touch(_ relative: String, _ host: Host) throws {
        if let file = spoolFile(relative) {
            let descriptor = host.open(file, O_WRONLY | O_CREAT, 0o600)
            guard descriptor >= 0 else { throw Host.failure("create", file, fix: "set 's3.spool-directory' to a folder that can be written") }
            _ = host.close(descriptor)
            return
        }
        try beforeChange(relative)
        _ = try client.put(key(relative), [])
    }

    func remove(_ relative: String, _ host: Host) throws {
        if spoolFile(relative) != nil { return forget(relative, host) }
        try beforeChange(relative)
        try client.delete(key(relative))
    }

    func removeTree(_ relative: String) throws {
        try beforeChange(relative)
        try client.delete(client.list(key(relative) + "/").objects.map(\.key))
    }

    // MARK: The lock

    /// Takes the table's lock; from then on nothing is written without it.
    func lock(_ relative: String, _ host: Host) throws -> ObjectLease {
        try tellFailure()
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let machine = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let lease = try ObjectLease(client, key: key(relative), what: "table \(location)", owner: "process \(getpid()) on \(machine)", now: host.now, newToken: { host.uuid() })
        state.withLock { ($0.lease, $0.marked) = (lease, []) }
        return lease
    }

    func unlock(_ lease: ObjectLease) {
        state.withLock { if $0.lease === lease { $0.lease = nil } }
        lease.release()
    }

    /// A file of the table, to be read in parts.
    package func reader(_ relative: String) throws -> ObjectReader {
        try tellFailure()
        return try ObjectReader(client, key: key(relative))
    }
}

/// Finds the folder that a file belongs to by its URL.
package enum ObjectFolders {
    private struct Weak: Sendable { weak var folder: ObjectFolder? }

    private static let known = Mutex<[String: [Weak]]>([:])

    static func add(_ folder: ObjectFolder) {
        known.withLock { known in
            known[folder.location.description, default: []].removeAll { $0.folder == nil }
            known[folder.location.description, default: []].append(Weak(folder: folder))
        }
    }

    /// The file behind a URL that `TableFiles.absolute` gave; nil for local paths.
    package static func reader(_ path: String) throws -> ObjectReader? {
        guard let location = try ObjectLocation(path) else { return nil }
        var prefix = location.prefix, relative = ""
        while true {
            let root = ObjectLocation(bucket: location.bucket, prefix: prefix).description
            if let folder = known.withLock({ known in known[root]?.reversed().lazy.compactMap(\.folder).first }) { return try folder.reader(relative) }
            guard !prefix.isEmpty else { break }
            let above = TableFiles.folder(of: prefix), name = prefix.dropFirst(above.isEmpty ? 0 : above.count + 1)
            (prefix, relative) = (above, relative.isEmpty ? String(name) : name + "/" + relative)
        }
        return try S3Client(bucket: location.bucket, options: .environment()).reader(location.prefix)
    }
}

extension S3Client {
    fileprivate func reader(_ key: String) throws -> ObjectReader { try ObjectReader(self, key: key) }
}
