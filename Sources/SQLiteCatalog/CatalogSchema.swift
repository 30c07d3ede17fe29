import GRDB

/// The tables of a catalog's file. A migration that was released is never changed: changes are migrations of their own.
///
///     objects      tables and views: the statement that makes them, and its parts
///     columns      of tables
///     partitions   of tables whose partitions the catalog keeps, by the values of the partition columns
///     versions     one row: the number of the last change
enum CatalogSchema {
    /// Partition columns that the index covers; further ones are compared after reading.
    static let indexedKeys = 8

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("catalog-1") { db in
            let values = (0..<indexedKeys).map { "v\($0)" }
            // Columns of partition values have no type: a number stays a number, and text is compared by its bytes.
            try db.execute(sql: """
                CREATE TABLE versions (last INTEGER NOT NULL);
                INSERT INTO versions VALUES (0);
                CREATE TABLE catalogs (name TEXT PRIMARY KEY NOT NULL, comment TEXT, options TEXT NOT NULL);
                CREATE TABLE databases (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, comment TEXT, options TEXT NOT NULL);
                CREATE TABLE objects (
                  id INTEGER PRIMARY KEY, database_id INTEGER NOT NULL REFERENCES databases ON DELETE CASCADE, name TEXT NOT NULL,
                  kind TEXT NOT NULL CHECK (kind IN ('table', 'view')), statement TEXT NOT NULL, comment TEXT, options TEXT NOT NULL,
                  watermark_column TEXT, watermark_expression TEXT, primary_key TEXT NOT NULL, constraint_name TEXT, partition_keys TEXT NOT NULL,
                  view_catalog TEXT, view_database TEXT, view_columns TEXT, view_query_columns TEXT, version INTEGER NOT NULL, has_partitions INTEGER NOT NULL DEFAULT 0,
                  UNIQUE (database_id, name));
                CREATE TABLE columns (
                  object_id INTEGER NOT NULL REFERENCES objects ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL,
                  kind TEXT NOT NULL CHECK (kind IN ('physical', 'computed', 'metadata', 'virtual')), type TEXT, nullable INTEGER NOT NULL,
                  expression TEXT, comment TEXT, PRIMARY KEY (object_id, position)) WITHOUT ROWID;
                CREATE TABLE functions (
                  database_id INTEGER NOT NULL REFERENCES databases ON DELETE CASCADE, key TEXT NOT NULL, name TEXT NOT NULL, identifier TEXT NOT NULL,
                  language TEXT NOT NULL, resources TEXT NOT NULL, PRIMARY KEY (database_id, key)) WITHOUT ROWID;
                CREATE TABLE partitions (
                  object_id INTEGER NOT NULL REFERENCES objects ON DELETE CASCADE, name TEXT NOT NULL, location TEXT NOT NULL,
                  \(values.joined(separator: ", ")), others TEXT, PRIMARY KEY (object_id, name)) WITHOUT ROWID;
                CREATE INDEX partitions_by_value ON partitions (object_id, \(values.joined(separator: ", ")));
                """)
        }
        return migrator
    }
}
