import StreamCore
import StreamOperators

/// What a sink needs of the changelog that it is to write.
struct SinkChanges {
    /// Updates have to come with the row before them.
    var needsUpdateBefore: Bool
    /// Rows with one primary key may be made and taken back by several rows of the query at a time: the sink is to see the one
    /// that came last of those that are left.
    var materializes: Bool

    /// - Parameters:
    ///   - upsertKeys: columns by which the query finds rows again.
    ///   - keys: the table's primary key.
    init(_ mode: ChangelogMode, _ modifications: Modifications, _ upsertKeys: [Set<Int>], keys: [Int], _ settings: SessionSettings) {
        let changes = !modifications.isInsertOnly && !modifications.isEmpty
        let choice = settings.values["table.exec.sink.upsert-materialize"]?.uppercased() ?? "AUTO"
        let key = Set(keys)
        // A row whose upsert key is part of the primary key is the only one with that primary key.
        let isSingle = upsertKeys.contains { $0.isSubset(of: key) }
        switch choice {
        case _ where keys.isEmpty || mode == .insertOnly: materializes = false
        case "FORCE": materializes = true
        case "NONE": materializes = false
        default: materializes = changes && !isSingle
        }
        switch mode {
        case .insertOnly, .all: needsUpdateBefore = true
        case .upsert: needsUpdateBefore = materializes || !keys.isEmpty && !upsertKeys.contains(key)
        }
    }
}
