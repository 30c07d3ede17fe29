import LakeTable
import StreamCore

/// A commit whose files are durable but not visible: what goes into a checkpoint.
struct PreparedCommit: Equatable {
    var instant: String
    var metadata: CommitMetadata

    func committable() -> Committable { Committable(Array(instant.utf8) + [0x0A] + metadata.json()) }

    init(instant: String, metadata: CommitMetadata) { (self.instant, self.metadata) = (instant, metadata) }

    init(_ committable: Committable) throws {
        guard let end = committable.bytes.firstIndex(of: 0x0A), InstantTime.parse(String(decoding: committable.bytes[..<end], as: UTF8.self)) != nil else {
            throw StreamError(.corrupt, "a committable of a Hudi sink is damaged: it names no instant", fix: "restore from another checkpoint")
        }
        instant = String(decoding: committable.bytes[..<end], as: UTF8.self)
        metadata = try CommitMetadata.parse(Array(committable.bytes[(end + 1)...]), file: "a committable of a Hudi sink")
    }

    /// In the order in which they were begun, which is the one that they build on each other in.
    static func all(_ committables: [Committable]) throws -> [PreparedCommit] {
        try committables.map { try PreparedCommit($0) }.sorted { $0.instant < $1.instant }
    }
}
