import Foundation
import LakeTable
import StreamCore

/// A table as of one of its versions: what its log comes to.
struct DeltaSnapshot: Sendable {
    private(set) var version: Int64
    private(set) var `protocol` = TableProtocol(minReaderVersion: 1, minWriterVersion: 2)
    private(set) var metadata = TableMetadata(id: "", schemaString: "", partitionColumns: [])
    /// Live files, by their path relative to the table.
    private(set) var files: [String: AddFile] = [:]
    /// Files that were removed, by their path, for as long as the log remembers them.
    private(set) var removed: [String: RemoveFile] = [:]
    private(set) var transactions: [String: Transaction] = [:]
    /// Versions since the checkpoint that it was read from: what their commits say of themselves.
    private(set) var commits: [Int64: CommitInfo] = [:]
    private let table: String

    private init(version: Int64, table: String) { (self.version, self.table) = (version, table) }

    func schema() throws -> DeltaSchema { try DeltaSchema(json: metadata.schemaString, table: table) }

    // MARK: Replay

    /// Takes the actions of the commit that follows.
    mutating func apply(_ actions: [LogAction], version: Int64) throws {
        var info = CommitInfo()
        for action in actions {
            try apply(action)
            if let found = action.commitInfo { info = found }
        }
        self.version = version
        commits[version] = info
    }

    mutating func apply(_ action: LogAction) throws {
        if let found = action.protocol { `protocol` = found }
        if let found = action.metaData { metadata = found }
        if let found = action.txn { transactions[found.appId] = found }
        if let found = action.add {
            guard found.deletionVector == nil else {
                throw StreamError(.validate, "Delta table \(table) cannot be read: \(found.path) needs the feature 'deletionVectors', which is not supported here",
                                  fix: "turn deletion vectors off with the engine that made the table, and rewrite its files")
            }
            let path = try ActionPath.decode(found.path, table: table)
            files[path] = found
            removed[path] = nil
        }
        if let found = action.remove {
            let path = try ActionPath.decode(found.path, table: table)
            files[path] = nil
            removed[path] = found
        }
    }

    /// Forgets files that were removed long ago.
    mutating func forget(_ paths: [String]) {
        for path in paths { removed[path] = nil }
    }

    // MARK: Loading

    /// - Parameter wanted: nil = the newest version.
    /// - Returns: nil when there is no table.
    static func load(_ files: TableFiles, version wanted: Int64? = nil) throws -> DeltaSnapshot? {
        let listing = try LogListing(files)
        guard let newest = listing.versions.last else {
            guard listing.checkpoints.isEmpty else {
                throw StreamError(.corrupt, "Delta table \(files.root): its log has a checkpoint, but no commits", fix: "restore \(LogListing.folder)")
            }
            return nil
        }
        let end = wanted ?? newest
        guard end <= newest else {
            throw StreamError(.validate, "Delta table \(files.root) has no version \(end): the newest one is \(newest)", fix: "ask for a version up to \(newest)")
        }
        let checkpoint = listing.checkpoints.last { $0.version <= end }
        let first = checkpoint.map { $0.version + 1 } ?? 0
        var snapshot = DeltaSnapshot(version: checkpoint?.version ?? -1, table: files.root)
        if let checkpoint { try Checkpoint.read(checkpoint, files) { try snapshot.apply($0) } }
        let there = Set(listing.versions)
        for version in stride(from: first, through: end, by: 1) {
            guard there.contains(version) else {
                let readable = listing.checkpoints.first?.version
                throw StreamError(
                    .validate, "Delta table \(files.root) cannot be read as of version \(end): commit \(version) is not in its log any more",
                    fix: readable.map { "ask for a version from \($0)" } ?? "restore \(LogListing.folder)/\(LogListing.commit(version))")
            }
            let file = LogListing.path(version)
            try snapshot.apply(try LogAction.parse(try files.read(file), file: files.absolute(file)), version: version)
        }
        if let checkpoint, checkpoint.version == end, there.contains(end) {
            // What the newest commit says of itself is not in a checkpoint.
            let file = LogListing.path(end)
            snapshot.commits[end] = try LogAction.parse(try files.read(file), file: files.absolute(file)).lazy.compactMap(\.commitInfo).first ?? CommitInfo()
        }
        guard !snapshot.metadata.schemaString.isEmpty else {
            throw StreamError(.corrupt, "Delta table \(files.root): its log has no metaData action up to version \(end)", fix: "restore \(LogListing.folder)")
        }
        return snapshot
    }

    /// Reads the commits that came since; cheap when there are none.
    mutating func refresh(_ files: TableFiles) throws {
        while true {
            let file = LogListing.path(version + 1)
            guard let bytes = try files.readIfThere(file) else { return }
            try apply(try LogAction.parse(bytes, file: files.absolute(file)), version: version + 1)
        }
    }
}

/// What is in a table's `_delta_log`.
struct LogListing: Sendable {
    static let folder = "_delta_log"

    struct CheckpointFiles: Sendable, Hashable {
        var version: Int64
        /// Names of its parts.
        var names: [String]
    }

    /// Versions whose commit files are there, ascending.
    private(set) var versions: [Int64] = []
    /// Whole checkpoints, ascending.
    private(set) var checkpoints: [CheckpointFiles] = []

    init(_ files: TableFiles) throws {
        var parts: [Int64: [String: [String]]] = [:]
        for name in try files.names(in: Self.folder) {
            let pieces = name.split(separator: ".", omittingEmptySubsequences: false)
            guard pieces.count > 1, pieces[0].utf8.count == 20, let version = Int64(pieces[0]) else { continue }
            if pieces.count == 2, pieces[1] == "json" {
                versions.append(version)
            } else if pieces.count == 3, pieces[1] == "checkpoint", pieces[2] == "parquet" {
                parts[version, default: [:]][""] = [name]
            } else if pieces.count == 5, pieces[1] == "checkpoint", pieces[4] == "parquet" {
                parts[version, default: [:]][String(pieces[3]), default: []].append(name)
            }
        }
        versions.sort()
        for (version, found) in parts.sorted(by: { $0.key < $1.key }) {
            if let names = found[""] ?? found.first(where: { Int($0.key) == $0.value.count })?.value {
                checkpoints.append(CheckpointFiles(version: version, names: names.sorted()))
            }
        }
    }

    static func digits(_ version: Int64) -> String {
        let digits = String(version)
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
    }

    static func commit(_ version: Int64) -> String { digits(version) + ".json" }
    static func path(_ version: Int64) -> String { folder + "/" + commit(version) }
    static func checkpoint(_ version: Int64) -> String { "\(folder)/\(digits(version)).checkpoint.parquet" }

    /// When a version was committed, in milliseconds since 1970, as its commit says.
    static func timestamp(_ version: Int64, _ files: TableFiles) throws -> Int64? {
        try LogAction.parse(try files.read(path(version)), file: files.absolute(path(version))).lazy.compactMap(\.commitInfo).first
            .flatMap { $0.inCommitTimestamp ?? $0.timestamp }
    }
}
