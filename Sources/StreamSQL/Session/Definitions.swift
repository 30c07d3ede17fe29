import StreamCore
import StreamRuntime

/// CREATE and DROP of tables and views.
extension SQLSession {
    // MARK: binding

    /// What a catalog keeps, bound with the session's functions and settings.
    func bound(_ object: CatalogObject, _ path: ObjectPath) throws -> Catalog.Entry {
        switch object.declaration {
        case .table(let declaration): return .table(try table(declaration, path))
        case .view(let declaration): return .view(try view(declaration, path))
        }
    }

    /// A table from its declaration. Errors point into the statement that SHOW CREATE TABLE gives.
    func table(_ declaration: TableDeclaration, _ path: ObjectPath, temporary: Bool = false) throws -> CatalogTable {
        let source = SourceText(declaration.statement(name: path.sql, temporary: temporary), file: "SHOW CREATE TABLE \(path)")
        guard case .createTable(let create) = try SQLParser(source: source).parseStatement().node else {
            throw StreamError(.corrupt, "the catalog has no table under \(path)", fix: "drop it and create it again")
        }
        let script = ScriptText(source, namespace: path.namespace)
        return try TableDefinition(context: try context(script), create: create, path: path).table()
    }

    func view(_ declaration: ViewDeclaration, _ path: ObjectPath, temporary: Bool = false) throws -> CatalogView {
        let source = SourceText(declaration.query, file: "view \(path)")
        let query = try SQLParser(source: source).parseQuery()
        return try view(declaration, query, path, temporary, ScriptText(source, namespace: declaration.namespace), at: query.span)
    }

    private func view(
        _ declaration: ViewDeclaration, _ query: Query, _ path: ObjectPath, _ temporary: Bool, _ script: ScriptText, at span: SourceSpan
    ) throws -> CatalogView {
        var context = try context(script)
        context.openViews = [path.description]
        let plan = try QueryBinder(context).viewPlan(query, declaration, path.name, at: span)
        var seen: Set<String> = []
        for column in plan.columns where !seen.insert(column.name).inserted {
            throw script.error(.validate, "view \(path.name) has two columns named \(column.name)", fix: "name them apart with AS", at: span)
        }
        var declaration = declaration
        if declaration.queryColumns == nil { declaration.queryColumns = try QueryBinder(context).bind(query).columns.map(\.name) }
        return CatalogView(
            path: path, columns: declaration.columns, query: query, declaration: declaration, temporary: temporary, schema: plan.schema,
            timeAttributes: Set(plan.columns.indices.filter { plan.columns[$0].isTimeAttribute }),
            processingTimes: Set(plan.columns.indices.filter { plan.columns[$0].isProcessingTime }), script: script)
    }

    /// Runs `body`; an error that points into a definition the user did not write points to `span` instead.
    func relocating<T>(_ script: ScriptText, _ span: SourceSpan, _ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch var error as StreamError {
            error.location = script.location(span)
            error.sourceLine = script.line(span.line)
            throw error
        }
    }

    // MARK: CREATE TABLE

    func createTable(_ given: CreateTable, _ script: ScriptText) throws -> StatementResult {
        let path = try catalog.path(of: given.name, script), create = try catalog.placed(given, at: path, script)
        let existing = try existing(path, temporary: create.temporary)
        if existing != nil, !create.orReplace, !create.replace {
            if create.ifNotExists { return .message("table \(path.name) exists already") }
            throw script.error(
                .validate, "\(path.name) exists already", fix: "drop it first, or write CREATE TABLE IF NOT EXISTS", at: create.name.span)
        }
        if create.replace, existing == nil {
            throw script.error(
                .validate, "there is no table \(path.name) to replace", fix: "write CREATE OR REPLACE TABLE", at: create.name.span)
        }
        if existing == "view" {
            throw script.error(.validate, "\(path.name) is a view", fix: "drop it first: DROP VIEW \(path.name)", at: create.name.span)
        }
        if let (query, _) = create.asQuery { return try createTable(create, path, as: query, replacing: existing != nil, script) }
        let table: CatalogTable
        if let like = create.like {
            let source: TableDeclaration
            switch try catalog.lookUp(like.source, script) {
            case .table(let found): source = found.declaration
            // Its columns are all that a view has to give.
            case .view(let view):
                source = TableDeclaration(columns: view.schema.map { .init(name: $0.name, type: SyntaxText.type($0.type), nullable: $0.nullable) })
            }
            let merged = try TableMerge(like: like, source: source, script: script).merged(into: TableDeclaration(create))
            table = try relocating(script, create.span) { try self.table(merged, path, temporary: create.temporary) }
        } else {
            table = try TableDefinition(context: try context(script), create: create, path: path).table()
        }
        try save(.table(table), temporary: create.temporary, script, at: create.name.span)
        return .message("table \(path.name) created")
    }

    /// The kind of what has the name; nil = it is free.
    private func existing(_ path: ObjectPath, temporary: Bool) throws -> String? {
        if temporary { return catalog.temporaryEntry(path)?.kind }
        return try catalog.object(path)?.kind
    }

    private func save(_ entry: Catalog.Entry, temporary: Bool, replacing: Bool = false, _ script: ScriptText, at span: SourceSpan) throws {
        let path = entry.path
        if temporary { return catalog.setTemporary(entry, at: path) }
        let declaration: CatalogObject.Declaration =
            switch entry {
            case .table(let table): .table(table.declaration)
            case .view(let view): .view(view.declaration)
            }
        if replacing { _ = try script.locating(span) { try catalog.drop(path) } }
        guard try catalog.create(declaration, entry) else {
            throw script.error(.conflict, "\(path.name) was created by another process in the meantime", fix: "drop it first", at: span)
        }
    }

    // MARK: CREATE TABLE AS

    /// The columns of the statement come first, then those of the query that are not among them.
    private func createTable(_ create: CreateTable, _ path: ObjectPath, as query: Query, replacing: Bool, _ script: ScriptText) throws
        -> StatementResult
    {
        if create.like != nil {
            throw script.error(.parse, "LIKE and AS exclude each other", fix: "list the columns in place of LIKE", at: create.span)
        }
        if create.temporary {
            throw script.error(
                .plan, "not supported yet: CREATE TEMPORARY TABLE ... AS SELECT", fix: "write CREATE TEMPORARY VIEW ... AS SELECT",
                at: create.name.span)
        }
        let given = try QueryBinder(try context(script)).bind(query, isOutermost: true).uniquelyNamed.columns
        var declaration = TableDeclaration(create)
        var order = given.map(\.name)
        if let wanted = create.columnOrder {
            guard wanted.sorted() == order.sorted() else {
                throw script.error(
                    .validate, "table \(path.name) lists \(wanted.joined(separator: ", ")), but the query gives \(order.joined(separator: ", "))",
                    fix: "list each column of the query once, or none", at: create.name.span)
            }
            order = wanted
        }
        for name in order {
            if let i = declaration.index(of: name) {
                guard case .physical = declaration.columns[i].kind else {
                    throw script.error(
                        .validate, "column \(name) of table \(path.name) is not physical, but the query gives it", fix: "rename it in the query with AS",
                        at: create.name.span)
                }
                continue
            }
            let column = given.first { $0.name == name }!
            declaration.columns.append(
                .init(name: name, type: SyntaxText.type(column.type), nullable: column.nullable && !declaration.primaryKey.contains(name)))
        }
        let table = try relocating(script, create.name.span) { try self.table(declaration, path) }
        let insert = Insert(target: create.name, columns: given.map(\.name), query: query, span: create.span)
        // Planned before anything changes: a query that cannot run leaves no table behind.
        let bound = try InsertBinder(try context(script)).bind(insert, into: table)
        let graph = try planner(script).jobGraph([bound], try context(script)).graph
        try save(.table(table), temporary: false, replacing: replacing, script, at: create.name.span)
        return .insert(graph)
    }

    // MARK: views

    func createView(_ create: CreateView, _ script: ScriptText) throws -> StatementResult {
        let path = try catalog.path(of: create.name, script)
        let existing = try existing(path, temporary: create.temporary)
        if existing != nil, !create.orReplace {
            if create.ifNotExists { return .message("view \(path.name) exists already") }
            throw script.error(
                .validate, "\(path.name) exists already", fix: "drop it first, or write CREATE OR REPLACE VIEW", at: create.name.span)
        }
        if existing == "table" {
            throw script.error(.validate, "\(path.name) is a table", fix: "drop it first: DROP TABLE \(path.name)", at: create.name.span)
        }
        var inner = script
        inner.namespace = script.namespace ?? catalog.current
        let declaration = ViewDeclaration(columns: create.columns, query: create.text, comment: create.comment, namespace: inner.namespace!)
        let view = try view(declaration, create.query, path, create.temporary, inner, at: create.name.span)
        if existing != nil, !create.temporary {
            try replace(path, with: view)
        } else {
            try save(.view(view), temporary: create.temporary, script, at: create.name.span)
        }
        return .message("view \(path.name) \(existing == nil ? "created" : "replaced")")
    }

    private func replace(_ path: ObjectPath, with view: CatalogView) throws {
        guard var object = try catalog.object(path) else {
            throw StreamError(.conflict, "view \(path.name) was dropped by another process in the meantime", fix: "repeat the statement")
        }
        object.declaration = .view(view.declaration)
        try catalog.update(object, at: path, .view(view))
    }

    func alterView(_ name: QualifiedName, _ query: Query, _ text: String, _ script: ScriptText) throws -> StatementResult {
        guard case .view(let old) = try catalog.lookUp(name, script, as: "view") else {
            throw script.error(.validate, "\(name.text) is a table", fix: "write ALTER TABLE", at: name.span)
        }
        var inner = script
        inner.namespace = script.namespace ?? catalog.current
        let declaration = ViewDeclaration(columns: nil, query: text, comment: old.declaration.comment, namespace: inner.namespace!)
        let view = try view(declaration, query, old.path, old.temporary, inner, at: name.span)
        if old.temporary { catalog.setTemporary(.view(view), at: old.path) } else { try replace(old.path, with: view) }
        return .message("view \(old.name) altered")
    }

    // MARK: RENAME, DROP

    /// Gives a table or view another name in its database.
    func rename(_ name: QualifiedName, to new: QualifiedName, kind: String, _ script: ScriptText) throws -> StatementResult {
        let entry = try catalog.lookUp(name, script, as: kind)
        try check(entry, is: kind, name, script, form: "ALTER")
        var inner = script
        inner.namespace = entry.path.namespace
        let path = try catalog.path(of: new, inner)
        guard path.namespace == entry.path.namespace else {
            throw script.error(
                .validate, "\(kind) \(entry.path) cannot move to \(path.namespace)", fix: "write RENAME TO \(path.name)", at: new.span)
        }
        let isTemporary = catalog.temporaryEntry(entry.path) != nil
        guard try existing(path, temporary: isTemporary) == nil else {
            throw script.error(.validate, "\(path.name) exists already", fix: "choose another name", at: new.span)
        }
        if isTemporary {
            var renamed = entry
            switch entry {
            case .table(var table):
                table.path = path
                table.descriptor.name = path.name
                renamed = .table(table)
            case .view(var view):
                view.path = path
                renamed = .view(view)
            }
            catalog.setTemporary(nil, at: entry.path)
            catalog.setTemporary(renamed, at: path)
        } else {
            guard var object = try catalog.object(entry.path) else {
                throw StreamError(.conflict, "\(kind) \(name.text) was dropped by another process in the meantime")
            }
            object.name = path.name
            try catalog.update(object, at: entry.path, nil)
        }
        return .message("\(kind) \(entry.path.name) is now \(path.name)")
    }

    func check(_ entry: Catalog.Entry, is kind: String, _ name: QualifiedName, _ script: ScriptText, form: String) throws {
        guard entry.kind == kind else {
            throw script.error(
                .validate, "\(entry.path.name) is a \(entry.kind)", fix: "write \(form) \(entry.kind.uppercased()) \(entry.path.name)", at: name.span)
        }
    }

    func drop(_ kind: String, _ name: QualifiedName, _ ifExists: Bool, _ temporary: Bool, _ script: ScriptText) throws -> StatementResult {
        let what = kind.lowercased(), isView = kind == "VIEW"
        let path: ObjectPath
        do { path = try catalog.path(of: name, script) } catch where ifExists { return .message("there was no \(what) \(name.text)") }
        func check(_ isOther: Bool) throws {
            guard isOther else { return }
            let other = isView ? "table" : "view"
            throw script.error(.validate, "\(path.name) is a \(other)", fix: "write DROP \(other.uppercased()) \(path.name)", at: name.span)
        }
        if let entry = catalog.temporaryEntry(path) {
            try check(entry.isView != isView)
            guard temporary else {
                throw script.error(
                    .validate, "\(path.name) is a temporary \(what)", fix: "write DROP TEMPORARY \(kind) \(path.name)", at: name.span)
            }
            catalog.setTemporary(nil, at: path)
            return .message("temporary \(what) \(path.name) dropped")
        }
        guard !temporary, let object = try catalog.object(path) else {
            if ifExists { return .message("there was no \(temporary ? "temporary " : "")\(what) \(path.name)") }
            if temporary {
                throw script.error(.validate, "there is no temporary \(what) \(path.name)", fix: "write DROP \(kind) \(path.name)", at: name.span)
            }
            _ = try catalog.lookUp(name, script, as: what)
            return .message("")
        }
        try check(object.isView != isView)
        _ = try script.locating(name.span) { try catalog.drop(path) }
        return .message("\(what) \(path.name) dropped")
    }
}
