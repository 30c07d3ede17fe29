import GRDB

/// The tables of alerts.sqlite. A migration that was released is never changed: changes are migrations of their own.
///
///     rules       definitions, and what an operator has switched
///     instances   keys that are firing
///     entries     what happened; each has a name that stays the same when it is written again
///     outbox      notifications on their way, and those that were delivered or given up
///     metrics     states of rules over metrics
enum AlertHistorySchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("alerts-1") { db in
            try db.execute(sql: """
                CREATE TABLE rules (
                  topology TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL, defined_enabled INTEGER NOT NULL, enabled INTEGER NOT NULL,
                  updated_at INTEGER NOT NULL, PRIMARY KEY (topology, name)) WITHOUT ROWID;
                CREATE TABLE instances (
                  topology TEXT NOT NULL, rule TEXT NOT NULL, key TEXT NOT NULL, since INTEGER NOT NULL, fired_at INTEGER NOT NULL, value TEXT,
                  PRIMARY KEY (topology, rule, key)) WITHOUT ROWID;
                CREATE TABLE entries (
                  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topology TEXT NOT NULL, rule TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
                  at INTEGER NOT NULL, recorded_at INTEGER NOT NULL, value TEXT, notification TEXT, delivery TEXT, text TEXT);
                CREATE INDEX entries_by_rule ON entries (topology, rule, id);
                CREATE INDEX entries_by_age ON entries (recorded_at);
                CREATE TABLE outbox (
                  id TEXT PRIMARY KEY NOT NULL, notification TEXT NOT NULL, topology TEXT NOT NULL, rule TEXT NOT NULL, delivery TEXT NOT NULL, key TEXT NOT NULL,
                  at INTEGER NOT NULL, value TEXT, event TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting'
                    CHECK (state IN ('waiting', 'delivered', 'failed')),
                  attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL, claimed_by TEXT, claimed_until INTEGER NOT NULL DEFAULT 0, problem TEXT);
                CREATE INDEX outbox_waiting ON outbox (next_at) WHERE state = 'waiting';
                CREATE INDEX outbox_by_age ON outbox (created_at);
                CREATE TABLE metrics (topology TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (topology, rule)) WITHOUT ROWID;
                """)
        }
        return migrator
    }
}
