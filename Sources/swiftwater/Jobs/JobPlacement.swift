import Foundation
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL
import StreamState

/// Where `run` keeps what jobs need to be recovered, and what they start from.
struct JobPlacement {
    /// Directory of streams, tables and, by default, checkpoints.
    var data: String
    /// --checkpoint-dir; it wins over 'execution.checkpointing.dir'.
    var checkpoints: String?
    /// --from-savepoint; it wins over 'execution.savepoint.path'.
    var startFrom: String?
    var allowsNonRestoredState = false
    var startsAnew = false

    static func checkpoints(data: String) -> String { data + "/checkpoints" }
    static func savepoints(data: String) -> String { data + "/savepoints" }

    func checkpointRoot(_ settings: SessionSettings) -> String {
        checkpoints ?? settings.recovery.directory ?? Self.checkpoints(data: data)
    }

    func savepointRoot(_ settings: SessionSettings) -> String {
        settings.recovery.savepointDirectory ?? Self.savepoints(data: data)
    }

    /// The savepoint that a job of the script starts from. One of another job of the same script is not for it.
    ///
    /// - Parameter number: of the job in its script, from 1.
    func savepoint(for name: String, base: String, number: Int, _ settings: SessionSettings) throws -> Checkpoint? {
        guard let path = startFrom ?? settings.recovery.startFrom else { return nil }
        let savepoint = try CheckpointStorage.open(path)
        let owner = savepoint.manifest.jobName
        if owner == name { return savepoint }
        let isSibling = owner == base || (owner.hasPrefix(base + "-") && Int(owner.dropFirst(base.count + 1)) != nil)
        return number == 1 && !isSibling ? savepoint : nil
    }
}

extension JobGraph {
    /// Something is written that stays behind.
    var keepsRows: Bool {
        vertices.contains { if case .sink(let sink) = $0.kind { sink.keepsRows } else { false } }
    }
}
