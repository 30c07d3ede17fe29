import StreamCore

/// What rows of a change format do to rows before: the option `changelog-mode`.
enum ChangeMode: String {
    /// Inserts, updates with the row before and after, deletes.
    case all
    /// Updates come without the row before: rows are known by their primary key.
    case upsert
    /// Each change is a row of its own, deletes too: for keeping a history, or for putting changes in order first.
    case append

    /// - Parameter allowed: the first is the default.
    init(_ options: FormatOptions, key: String, _ allowed: [ChangeMode]) throws {
        self = ChangeMode(rawValue: try options.choice(key, allowed.map(\.rawValue)))!
        guard self != .upsert || !options.table.primaryKey.isEmpty else {
            throw options.error("changes that come as upserts need a primary key, by which they find their rows",
                                fix: "declare PRIMARY KEY (...) NOT ENFORCED, or set '\(key)' = 'append' to read each change as a row of its own", key: key)
        }
    }

    var changelogMode: ChangelogMode {
        switch self {
        case .all: .all
        case .upsert: .upsert
        case .append: .insertOnly
        }
    }
}
