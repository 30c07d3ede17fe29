import Foundation
import LakeTable
import StreamCore

/// A commit whose files are durable but not visible: what goes into a checkpoint of the job.
struct PreparedCommit: Codable, Sendable {
    struct File: Codable, Sendable {
        /// Relative to the table, not encoded.
        var path: String
        var partitionValues: [String: String?]
        var size: Int64
        var rows: Int64
        var stats: String
    }

    var commit: String
    /// The version of the table that it was begun on.
    var base: Int64
    var operation: String
    var adds: [File]
    /// Paths of the files that it takes out of the table.
    var removes: [String]
    /// The table's columns before it and from it on, as Delta's JSON.
    var schemaBefore: String, schemaString: String
    var inserted: Int64
    var updated: Int64
    var deleted: Int64
    var checkpoint: UInt64
    var jobID: String

    /// Tells commits of this job from those of others.
    var application: String { "swiftwater-" + jobID }

    func committable() throws -> Committable {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return Committable(Array(try encoder.encode(self)))
    }

    /// In the order in which they were begun, which is the one that they build on each other in.
    static func all(_ committables: [Committable]) throws -> [PreparedCommit] {
        try committables.map { committable in
            do { return try JSONDecoder().decode(PreparedCommit.self, from: Data(committable.bytes)) } catch {
                throw StreamError(.corrupt, "a committable of a Delta sink is damaged: \(error)", fix: "restore from another checkpoint")
            }
        }.sorted { $0.commit < $1.commit }
    }
}
