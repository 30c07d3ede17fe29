import StreamCore

/// The checkpoints of one job on a disk.
///
///     <directory>/chk-<n>/manifest.json      there once checkpoint n is complete
///     <directory>/state/...                  state files, which several checkpoints may refer to
///
/// One process at a time holds a job's directory.
public final class CheckpointStorage: Sendable {
    public let directory: String
    public let host: Host
    /// Completed checkpoints that are kept.
    public let retained: Int

    /// Creates the directory and locks it.
    /// - Throws: `.io` when it cannot be written to; `.conflict` when another process runs this job.
    public init(directory: String, host: Host = .system, retained: Int = 3) throws {
        self.directory = directory
        self.host = host
        self.retained = retained
    }

    /// The newest complete checkpoint that is undamaged, its pieces and the files it refers to included.
    ///
    /// - Parameter problem: called for each newer one that had to be passed over, with an error that names the file.
    public func newest(problem: (StreamError) -> Void) throws -> Checkpoint? { throw StreamError(.runtime, "not built") }

    /// Greatest number that a checkpoint here ever had, complete or not.
    public func lastNumber() throws -> UInt64 { throw StreamError(.runtime, "not built") }

    /// Begins to write a checkpoint. `manifest` comes without subtasks' states and files.
    public func begin(_ checkpoint: UInt64) throws -> CheckpointWriter { throw StreamError(.runtime, "not built") }

    /// Removes all checkpoints, of a job that has ended well.
    public func removeAll() throws {}

    /// Begins to write a savepoint: self-contained, movable, always in full. It is in a new directory in `parent`.
    /// - Returns: the writer, whose ``CheckpointWriter/directory`` is the savepoint's.
    public static func beginSavepoint(_ checkpoint: UInt64, in parent: String, jobName: String, host: Host) throws -> CheckpointWriter {
        throw StreamError(.runtime, "not built")
    }

    /// A checkpoint or savepoint that the user names: its directory or its manifest.
    /// - Throws: `.io`, `.corrupt` or `.validate` with the file's name and the way out.
    public static func open(_ path: String) throws -> Checkpoint { throw StreamError(.runtime, "not built") }
}

/// Writes one checkpoint. Used by one thread at a time, off the stream's way.
public final class CheckpointWriter {
    public let checkpoint: UInt64
    /// The checkpoint's directory, once it is complete.
    public let directory: String

    init(checkpoint: UInt64, directory: String) { (self.checkpoint, self.directory) = (checkpoint, directory) }

    /// Writes an operator subtask's state, or refers to what the checkpoint before has of it.
    /// - Returns: where it is, for ``CheckpointManifest/SubtaskEntry``.
    public func write(_ snapshot: OperatorSnapshot, operatorID: String, subtask: Int) throws
        -> (state: CheckpointManifest.Section?, stores: [CheckpointManifest.StoreEntry], bytes: Int) { throw StreamError(.runtime, "not built") }

    /// Writes elements in flight to a subtask.
    public func write(channels: [ChannelState]) throws -> CheckpointManifest.Section? { throw StreamError(.runtime, "not built") }

    /// Makes everything durable, then the manifest: from then on the checkpoint is complete. Older ones may be removed.
    public func complete(_ manifest: CheckpointManifest) throws -> Checkpoint { throw StreamError(.runtime, "not built") }

    /// Removes what was written.
    public func abandon() {}
}

/// Elements in flight on one input of a subtask at a barrier, oldest first.
public struct ChannelState: Sendable {
    /// Number of the subtask's input channel.
    public var channel: Int
    /// Batches, watermarks and idleness only.
    public var elements: [StreamElement]
    public init(channel: Int, elements: [StreamElement]) { (self.channel, self.elements) = (channel, elements) }
}

/// A complete checkpoint or savepoint, to be restored from or looked into.
public struct Checkpoint: Sendable {
    public let manifest: CheckpointManifest
    /// Where the manifest is.
    public let directory: String

    init(manifest: CheckpointManifest, directory: String) { (self.manifest, self.directory) = (manifest, directory) }

    /// An operator's state for some key groups, plus what belongs to no key group. Pieces are read when asked for, each
    /// checked against its checksum.
    public func state(of operatorID: String, keyGroups: Range<Int>) throws -> RestoredState { throw StreamError(.runtime, "not built") }

    /// Elements that were in flight to a subtask.
    public func channels(of operatorID: String, subtask: Int) throws -> [ChannelState] { throw StreamError(.runtime, "not built") }

    /// Reads everything once. Throws the first damage.
    public func verify() throws {}
}
