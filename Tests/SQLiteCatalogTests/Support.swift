import GRDB
import StreamSQL

@testable import SQLiteCatalog

enum GRDBRow {
    /// The last column of each row.
    static func texts(_ db: Database, _ sql: String) throws -> [String] {
        try Row.fetchAll(db, sql: sql).map { $0[$0.count - 1] as String }
    }
}
