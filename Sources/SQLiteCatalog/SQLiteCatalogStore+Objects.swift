import GRDB
import StreamCore
import StreamSQL

/// Tables and views.
extension SQLiteCatalogStore {
    public func objectNames(in database: String) throws -> [(name: String, isView: Bool)] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT name, kind FROM objects WHERE database_id = ? ORDER BY name", arguments: [try id(of: database, db)]).map {
                (name: $0[0], isView: ($0[1] as String) == "view")
            }
        }
    }

    public func object(_ name: String, in database: String) throws -> CatalogObject? {
        try read { db in
            let sql = """
                SELECT o.id, o.kind, o.statement, o.comment, o.options, o.watermark_column, o.watermark_expression, o.primary_key,
                  o.constraint_name, o.partition_keys, o.view_catalog, o.view_database, o.view_columns, o.view_query_columns, o.version
                FROM objects o JOIN databases d ON d.id = o.database_id WHERE d.name = ? AND o.name = ?
                """
            guard let row = try Row.fetchOne(db, sql: sql, arguments: [database, name]) else { return nil }
            let declaration: CatalogObject.Declaration =
                (row["kind"] as String) == "view" ? .view(try view(row, name)) : .table(try table(row, name, db))
            return CatalogObject(name: name, declaration: declaration, version: row["version"])
        }
    }

    private func view(_ row: Row, _ name: String) throws -> ViewDeclaration {
        let columns = try (row["view_columns"] as String?).map { try decode([String].self, $0, "view \(name)") }
        let given = try (row["view_query_columns"] as String?).map { try decode([String].self, $0, "view \(name)") }
        return ViewDeclaration(
            columns: columns, queryColumns: given, query: row["statement"], comment: row["comment"],
            namespace: Namespace(catalog: row["view_catalog"] ?? Catalog.catalogName, database: row["view_database"] ?? Catalog.databaseName))
    }

    private func table(_ row: Row, _ name: String, _ db: Database) throws -> TableDeclaration {
        let columns = try Row.fetchAll(
            db, sql: "SELECT name, kind, type, nullable, expression, comment FROM columns WHERE object_id = ? ORDER BY position",
            arguments: [row["id"] as Int64]
        ).map { column in
            let expression: String? = column["expression"]
            let kind: TableDeclaration.Column.Kind =
                switch column["kind"] as String {
                case "computed": .computed(expression ?? "")
                case "metadata": .metadata(key: expression, virtual: false)
                case "virtual": .metadata(key: expression, virtual: true)
                default: .physical
                }
            return TableDeclaration.Column(
                name: column["name"], type: column["type"], nullable: column["nullable"], kind: kind, comment: column["comment"])
        }
        let what = "table \(name)"
        let watermark = (row["watermark_column"] as String?).map { TableDeclaration.Watermark(column: $0, expression: row["watermark_expression"] ?? "") }
        return TableDeclaration(
            columns: columns, watermark: watermark, primaryKey: try decode([String].self, row["primary_key"], what),
            constraintName: row["constraint_name"], partitionKeys: try decode([String].self, row["partition_keys"], what),
            options: try decode([String: String].self, row["options"], what), comment: row["comment"])
    }

    // MARK: changes

    private func nextVersion(_ db: Database) throws -> Int64 {
        try db.execute(sql: "UPDATE versions SET last = last + 1")
        return try Int64.fetchOne(db, sql: "SELECT last FROM versions") ?? 1
    }

    public func create(_ object: CatalogObject, in database: String) throws -> Bool {
        try write { db in
            let parent = try id(of: database, db)
            try db.execute(
                sql: """
                    INSERT INTO objects (database_id, name, kind, statement, options, primary_key, partition_keys, version)
                    VALUES (?, ?, ?, '', '{}', '[]', '[]', ?) ON CONFLICT DO NOTHING
                    """, arguments: [parent, object.name, object.isView ? "view" : "table", try nextVersion(db)])
            guard db.changesCount == 1 else { return false }
            try fill(db.lastInsertedRowID, object, db)
            return true
        }
    }

    public func update(_ object: CatalogObject, named name: String, in database: String) throws -> Bool {
        try write { db in
            let parent = try id(of: database, db)
            if object.name != name, try Bool.fetchOne(db, sql: "SELECT 1 FROM objects WHERE database_id = ? AND name = ?", arguments: [parent, object.name]) != nil {
                return false
            }
            try db.execute(
                sql: "UPDATE objects SET name = ?, kind = ?, version = ? WHERE database_id = ? AND name = ? AND version = ?",
                arguments: [object.name, object.isView ? "view" : "table", try nextVersion(db), parent, name, object.version])
            guard db.changesCount == 1 else { return false }
            let id = try Int64.fetchOne(db, sql: "SELECT id FROM objects WHERE database_id = ? AND name = ?", arguments: [parent, object.name])!
            try db.execute(sql: "DELETE FROM columns WHERE object_id = ?", arguments: [id])
            try fill(id, object, db)
            return true
        }
    }

    private func fill(_ id: Int64, _ object: CatalogObject, _ db: Database) throws {
        switch object.declaration {
        case .view(let view):
            try db.execute(
                sql: "UPDATE objects SET statement = ?, comment = ?, view_catalog = ?, view_database = ?, view_columns = ?, view_query_columns = ? WHERE id = ?",
                arguments: [
                    view.query, view.comment, view.namespace.catalog, view.namespace.database, try view.columns.map { try Self.json($0) },
                    try view.queryColumns.map { try Self.json($0) }, id,
                ])
        case .table(let table):
            try db.execute(
                sql: """
                    UPDATE objects SET statement = ?, comment = ?, options = ?, watermark_column = ?, watermark_expression = ?, primary_key = ?,
                      constraint_name = ?, partition_keys = ? WHERE id = ?
                    """,
                arguments: [
                    table.statement(named: object.name), table.comment, Self.json(table.options), table.watermark?.column, table.watermark?.expression,
                    Self.json(table.primaryKey), table.constraintName, Self.json(table.partitionKeys), id,
                ])
            let insert = try db.makeStatement(
                sql: "INSERT INTO columns (object_id, position, name, kind, type, nullable, expression, comment) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            for (i, column) in table.columns.enumerated() {
                let kind: String, expression: String?
                switch column.kind {
                case .physical: (kind, expression) = ("physical", nil)
                case .computed(let text): (kind, expression) = ("computed", text)
                case .metadata(let key, let virtual): (kind, expression) = (virtual ? "virtual" : "metadata", key)
                }
                try insert.execute(arguments: [id, i, column.name, kind, column.type, column.nullable, expression, column.comment])
            }
        }
    }

    public func drop(_ name: String, in database: String) throws -> Bool {
        try write { db in
            try db.execute(sql: "DELETE FROM objects WHERE database_id = ? AND name = ?", arguments: [try id(of: database, db), name])
            return db.changesCount == 1
        }
    }
}
