import Foundation
import StreamCore

/// What a checkpoint or savepoint holds, as `manifest.json` says it. The state itself is in the files that it names.
public struct CheckpointManifest: Codable, Sendable {
    /// Why it was taken.
    public enum Kind: String, Codable, Sendable {
        case checkpoint, savepoint
        /// The input has ended, or the job was stopped: nothing runs any more.
        case final
    }

    /// Newest version that this code writes and reads.
    public static let currentVersion = 1

    public var version = CheckpointManifest.currentVersion
    public var kind: Kind
    public var checkpoint: UInt64
    /// Greatest number under which a sink may have prepared something that is part of it.
    public var lastNumber: UInt64
    public var jobID: String
    public var jobName: String
    /// Of all operators and how they are connected; see ``OperatorEntry/id`` for the parts.
    public var planFingerprint: String
    public var maxParallelism: Int
    /// Milliseconds since 1970-01-01.
    public var startedAt: Int64
    public var completedAt: Int64
    /// Rows in flight are part of it: it was completed without waiting for alignment.
    public var isUnaligned: Bool
    public var operators: [OperatorEntry]
    /// Files with state, by number in ``Section/file``; names are relative to the manifest's directory.
    public var files: [FileEntry]

    public init(kind: Kind, checkpoint: UInt64, jobID: String, jobName: String, planFingerprint: String, maxParallelism: Int, startedAt: Int64,
                completedAt: Int64 = 0, isUnaligned: Bool = false, operators: [OperatorEntry] = [], files: [FileEntry] = []) {
        self.kind = kind
        self.checkpoint = checkpoint
        lastNumber = checkpoint
        self.jobID = jobID
        self.jobName = jobName
        self.planFingerprint = planFingerprint
        self.maxParallelism = maxParallelism
        self.startedAt = startedAt
        self.completedAt = completedAt
        self.isUnaligned = isUnaligned
        self.operators = operators
        self.files = files
    }

    /// One operator: a source, a transformation or a sink.
    public struct OperatorEntry: Codable, Sendable {
        /// Stays the same for as long as the operator and what it reads from mean the same, whatever the parallelism.
        public var id: String
        /// For people: `HOP(10 s, 1 min) status: COUNT(*)`.
        public var name: String
        public var parallelism: Int
        public var subtasks: [SubtaskEntry]
        /// Positions of a source.
        public var splits: [SplitEntry]
        /// What the writers of a sink prepared, to be committed once the manifest is durable. Base64 in JSON.
        public var committables: [Bytes]
        /// ``SinkWriter/state()`` of the writers.
        public var writerStates: [Bytes]

        public init(id: String, name: String, parallelism: Int, subtasks: [SubtaskEntry] = [], splits: [SplitEntry] = [],
                    committables: [Bytes] = [], writerStates: [Bytes] = []) {
            self.id = id
            self.name = name
            self.parallelism = parallelism
            self.subtasks = subtasks
            self.splits = splits
            self.committables = committables
            self.writerStates = writerStates
        }

        public var hasState: Bool { subtasks.contains { $0.state != nil || !$0.stores.isEmpty || $0.channels != nil } }
    }

    public struct SubtaskEntry: Codable, Sendable {
        public var subtask: Int
        /// Its input has ended; it takes no part any more.
        public var isFinished: Bool
        /// The watermark at the barrier, milliseconds; nil before the first one.
        public var watermark: Int64?
        /// Where the index of its pieces of state is; nil without state.
        public var state: Section?
        public var stores: [StoreEntry]
        /// Elements in flight to it, of an unaligned checkpoint.
        public var channels: Section?
        public var stateBytes: Int

        public init(subtask: Int, isFinished: Bool = false, watermark: Int64? = nil, state: Section? = nil, stores: [StoreEntry] = [],
                    channels: Section? = nil, stateBytes: Int = 0) {
            self.subtask = subtask
            self.isFinished = isFinished
            self.watermark = watermark
            self.state = state
            self.stores = stores
            self.channels = channels
            self.stateBytes = stateBytes
        }
    }

    /// A split of a source and where reading goes on.
    public struct SplitEntry: Codable, Sendable {
        public var id: String
        /// In the source's text form; nil = from its start.
        public var position: String?
        public var isFinished: Bool
        /// The watermark of the split, milliseconds; nil before the first one.
        public var watermark: Int64?
        /// Who read it. What is in flight in an unaligned checkpoint, watermarks included, is only right behind the same reader.
        public var subtask: Int?

        public init(id: String, position: String?, isFinished: Bool = false, watermark: Int64? = nil, subtask: Int? = nil) {
            self.subtask = subtask
            self.id = id
            self.position = position
            self.isFinished = isFinished
            self.watermark = watermark
        }
    }

    /// A range of bytes in one of the files, with their CRC32C.
    public struct Section: Codable, Sendable, Hashable {
        public var file: Int
        public var offset: Int
        public var length: Int
        public var crc32c: UInt32

        public init(file: Int, offset: Int, length: Int, crc32c: UInt32) {
            self.file = file
            self.offset = offset
            self.length = length
            self.crc32c = crc32c
        }
    }

    /// An embedded store's files, by number in ``CheckpointManifest/files``, with the names that the store knows them by.
    public struct StoreEntry: Codable, Sendable {
        public var name: String
        public var identity: String
        public var files: [File]

        public struct File: Codable, Sendable {
            public var name: String
            public var file: Int
            public var isImmutable: Bool
            public init(name: String, file: Int, isImmutable: Bool) { (self.name, self.file, self.isImmutable) = (name, file, isImmutable) }
        }

        public init(name: String, identity: String, files: [File]) { (self.name, self.identity, self.files) = (name, identity, files) }
    }

    public struct FileEntry: Codable, Sendable, Hashable {
        public var name: String
        public var bytes: Int
        /// Of the whole file; nil for state files, whose parts have their own, and for files of stores that were not copied.
        public var crc32c: UInt32?

        public init(name: String, bytes: Int, crc32c: UInt32? = nil) { (self.name, self.bytes, self.crc32c) = (name, bytes, crc32c) }
    }

    /// Raw bytes; Base64 in JSON.
    public struct Bytes: Codable, Sendable, Hashable {
        public var bytes: [UInt8]
        public init(_ bytes: [UInt8]) { self.bytes = bytes }
        public init(from decoder: any Decoder) throws { bytes = [UInt8](try decoder.singleValueContainer().decode(Data.self)) }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(Data(bytes))
        }
    }
}
