import StreamCore
import StreamState

/// What one operator of a subtask's chain has to say at a barrier, or at the end of its input.
struct OperatorReport: Sendable {
    var vertex: Int
    /// Number of the subtask among those of the vertex.
    var index: Int
    var snapshot = OperatorSnapshot.empty
    /// State of a sink whose input has ended: it goes into every checkpoint to come.
    var lasting: [StateUnit] = []
    var splits: [CheckpointManifest.SplitEntry] = []
    /// Milliseconds; nil before the first watermark.
    var watermark: Int64?
    /// Number under which a sink's writer prepared its part.
    var preparedAs: UInt64 = 0
    var committables: [Committable] = []
    var writerState: [UInt8]?

    init(vertex: Int, index: Int) { (self.vertex, self.index) = (vertex, index) }
}

/// A subtask's part of a checkpoint.
struct SubtaskReport: Sendable {
    /// Id of the subtask.
    var subtask: Int
    var operators: [OperatorReport]
    /// Elements that the snapshot overtook.
    var channels: [ChannelState] = []
    var isUnaligned = false

    /// Removes what snapshots left on the disk, when nobody is going to write them.
    func discard(_ host: Host) {
        // Left-over files cost space only; the work directory goes away with the job.
        for report in operators { for store in report.snapshot.stores { try? host.removeTree(store.directory) } }
    }
}
