import StreamCore

/// What a run of a job remembers of a checkpoint that it completed, for the next one to refer to. Not stored: versions of
/// units mean something within one run only.
struct CheckpointRecord: Sendable {
    struct UnitKey: Hashable, Sendable {
        var operatorID: String
        var subtask: Int
        var name: String
    }

    struct Unit: Sendable {
        var version: UInt64?
        /// Their file numbers are those of `files`.
        var pieces: [PieceEntry]
    }

    struct StoreFileKey: Hashable, Sendable {
        var identity: String
        var name: String
        var bytes: Int
    }

    var checkpoint: UInt64
    /// The run of the job within this process.
    var run: Int
    var units: [UnitKey: Unit] = [:]
    /// Path of each immutable file of a store.
    var storeFiles: [StoreFileKey: String] = [:]
    var files: [CheckpointManifest.FileEntry] = []
    /// Numbers of large files of which little is still needed: units in them are written again, so that the rest can go.
    var sparseFiles: Set<Int> = []

    init(checkpoint: UInt64, run: Int) { (self.checkpoint, self.run) = (checkpoint, run) }

    /// Names in `state/`.
    var stateFiles: Set<String> {
        Set(files.compactMap {
            $0.name.hasPrefix(CheckpointStorage.stateFilePrefix) ? String($0.name.dropFirst(CheckpointStorage.stateFilePrefix.count)) : nil
        })
    }

    /// Below a quarter in use, a file larger than this is given up: the disk then holds at most four times what is needed,
    /// and a checkpoint writes at most a third more than what has changed.
    private static let sparseBytesMin = 1 << 20

    mutating func findSparseFiles() {
        var used = [Int](repeating: 0, count: files.count)
        for unit in units.values {
            for piece in unit.pieces { used[piece.file] += piece.length }
        }
        sparseFiles = Set(files.indices.filter {
            files[$0].name.hasSuffix(".state") && files[$0].bytes > Self.sparseBytesMin && used[$0] * 4 < files[$0].bytes
        })
    }
}
