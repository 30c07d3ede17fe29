import StreamCore

// For people who look into a checkpoint.
extension Checkpoint {
    /// An operator and how much state it has.
    public struct OperatorSummary: Sendable {
        public var id: String
        public var name: String
        public var parallelism: Int
        public var pieces: Int
        /// Of all pieces; rows in embedded stores are not counted.
        public var rows: Int
        /// As stored, embedded stores included.
        public var bytes: Int
        /// Files of embedded stores and their bytes.
        public var storeFiles: Int, storeBytes: Int
    }

    /// A piece of an operator's state.
    public struct PieceInfo: Sendable {
        public var operatorID: String
        /// The subtask that wrote it.
        public var subtask: Int
        /// ``KeyGroupState/everywhere`` for none.
        public var keyGroup: UInt16
        public var unit: String
        public var name: String
        public var rows: Int
        /// As stored, and before compression.
        public var bytes: Int, rawBytes: Int
        let entry: PieceEntry
    }

    /// All operators in the manifest's order.
    public func operators() throws -> [OperatorSummary] {
        try manifest.operators.map { entry in
            var summary = OperatorSummary(id: entry.id, name: entry.name, parallelism: entry.parallelism, pieces: 0, rows: 0, bytes: 0,
                                          storeFiles: 0, storeBytes: 0)
            for subtask in entry.subtasks {
                for piece in try index(of: subtask, entry) {
                    summary.pieces += 1
                    summary.rows += piece.rows
                    summary.bytes += piece.length
                }
                for file in subtask.stores.flatMap(\.files) {
                    summary.storeFiles += 1
                    summary.storeBytes += try self.file(file.file).size
                }
            }
            summary.bytes += summary.storeBytes
            return summary
        }
    }

    /// The pieces of an operator, of all its subtasks.
    /// - Throws: `.validate` for an operator that the checkpoint does not have.
    public func pieces(of operatorID: String) throws -> [PieceInfo] {
        let entry = try entry(operatorID)
        return try entry.subtasks.flatMap { subtask in
            try index(of: subtask, entry).map {
                PieceInfo(operatorID: operatorID, subtask: subtask.subtask, keyGroup: $0.keyGroup, unit: $0.unit, name: $0.name, rows: $0.rows,
                          bytes: $0.length, rawBytes: $0.rawLength, entry: $0)
            }
        }
    }

    /// A piece as a batch with the names of its columns.
    public func load(_ piece: PieceInfo) throws -> KeyGroupState { try load(piece.entry, of: entry(piece.operatorID)) }

    private func entry(_ operatorID: String) throws -> CheckpointManifest.OperatorEntry {
        if let entry = manifest.operators.first(where: { $0.id == operatorID }) { return entry }
        throw StreamError(.validate, "\(directory) has no operator \"\(operatorID)\"", fix: NearName.hint(for: operatorID, in: manifest.operators.map(\.id)))
    }
}
