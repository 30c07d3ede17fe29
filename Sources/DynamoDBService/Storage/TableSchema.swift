import GRDB

/// The tables of SQLite that hold the service's tables.
///
/// `items` orders by a hash of the hash key first, which is what makes a scan divisible into segments. An entry of an index names
/// the item it stands for; what the index shows is read from the item.
enum TableSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("tables") { db in
            try db.execute(sql: """
                CREATE TABLE properties (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                INSERT INTO properties VALUES ('next_id', 1);
                CREATE TABLE tables (
                    id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
                    UNIQUE (account, region, name));
                CREATE TABLE counters (id INTEGER PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL);
                CREATE TABLE items (
                    table_id INTEGER NOT NULL, bucket INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL, size INTEGER NOT NULL,
                    value BLOB NOT NULL, PRIMARY KEY (table_id, bucket, hash, range)) WITHOUT ROWID;
                CREATE TABLE index_entries (
                    index_id INTEGER NOT NULL, bucket INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL, item_hash BLOB NOT NULL,
                    item_range BLOB NOT NULL, item_bucket INTEGER NOT NULL, size INTEGER NOT NULL,
                    PRIMARY KEY (index_id, bucket, hash, range, item_hash, item_range)) WITHOUT ROWID;
                CREATE TABLE expiries (
                    table_id INTEGER NOT NULL, at INTEGER NOT NULL, bucket INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL,
                    PRIMARY KEY (table_id, at, bucket, hash, range)) WITHOUT ROWID;
                CREATE TABLE tokens (
                    account TEXT NOT NULL, region TEXT NOT NULL, token TEXT NOT NULL, digest INTEGER NOT NULL, at INTEGER NOT NULL,
                    PRIMARY KEY (account, region, token)) WITHOUT ROWID;
                CREATE INDEX tokens_at ON tokens (at);
                CREATE TABLE dropped (kind TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
                """)
        }
        migrator.registerMigration("changes") { try ChangeLog.createTables($0) }
        return migrator
    }
}
