import Foundation
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL
import StreamState

/// Where `run` keeps what jobs need to be recovered, and what they start from.
package struct JobPlacement {
    /// Directory of streams, tables and, by default, checkpoints.
    package var data: String
    /// --checkpoint-dir; it wins over 'execution.checkpointing.dir'.
    package var checkpoints: String?
    /// --from-savepoint; it wins over 'execution.savepoint.path'.
    package var startFrom: String?
    package var allowsNonRestoredState = false
    package var startsAnew = false
    /// A daemon starts the job, with the same savepoint each time: it counts until the job has a checkpoint of its own. All its jobs keep checkpoints.
    package var isHosted = false

    package init(data: String, checkpoints: String? = nil, startFrom: String? = nil, allowsNonRestoredState: Bool = false, startsAnew: Bool = false) {
        (self.data, self.checkpoints, self.startFrom) = (data, checkpoints, startFrom)
        (self.allowsNonRestoredState, self.startsAnew) = (allowsNonRestoredState, startsAnew)
    }

    package static func checkpoints(data: String) -> String { data + "/checkpoints" }
    package static func savepoints(data: String) -> String { data + "/savepoints" }

    package func checkpointRoot(_ settings: SessionSettings) -> String {
        checkpoints ?? settings.recovery.directory ?? Self.checkpoints(data: data)
    }

    package func savepointRoot(_ settings: SessionSettings) -> String {
        settings.recovery.savepointDirectory ?? Self.savepoints(data: data)
    }

    /// The savepoint that a job of the script starts from. One of another job of the same script is not for it.
    ///
    /// - Parameter number: of the job in its script, from 1.
    package func savepoint(for name: String, base: String, number: Int, _ settings: SessionSettings) throws -> Checkpoint? {
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
    package var keepsRows: Bool {
        vertices.contains { if case .sink(let sink) = $0.kind { sink.keepsRows } else { false } }
    }
}
