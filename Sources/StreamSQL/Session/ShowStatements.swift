import StreamCore

/// SHOW.
extension SQLSession {
    func show(_ subject: ShowSubject, _ filter: NameFilter?, _ script: ScriptText) throws -> StatementResult {
        let matches: (String) -> Bool = filter.map { filter in { filter.admits($0) } } ?? { _ in true }
        func names(_ title: String, _ names: [String]) -> StatementResult { Self.list(title, names.filter(matches)) }
        switch subject {
        case .catalogs: return names("catalog name", catalog.catalogNames)
        case .currentCatalog: return Self.list("current catalog name", [catalog.current.catalog])
        case .databases(let place):
            let name = try place.map { try definition($0, script).name } ?? catalog.current.catalog
            return names("database name", try catalog.store(name).databaseNames())
        case .currentDatabase: return Self.list("current database name", [catalog.current.database])
        case .tables(let place): return names("table name", try catalog.names(in: try space(place, script)).map(\.name))
        case .views(let place): return names("view name", try catalog.names(in: try space(place, script)).filter(\.isView).map(\.name))
        case .columns(let table): return DescribeText.describe(try catalog.lookUp(table, script, as: "table or view"), matches)
        case .partitions(let table, let spec): return names("partition name", try partitionNames(table, spec, script))
        case .functions(let place, let userOnly):
            let own = try catalog.functions(in: try space(place, script)).map { $0.name.lowercased() }
            return names("function name", Set(own + (userOnly ? [] : builtinFunctions)).sorted())
        case .modules(let full):
            if !full { return names("module name", ["core"]) }
            return .rows([Field("module name", .string, nullable: false), Field("used", .boolean, nullable: false)], [[.string("core"), .bool(true)]])
        case .jars: return Self.list("jars", [])
        case .jobs:
            let fields = [
                Field("job id", .string, nullable: false), Field("job name", .string, nullable: false), Field("status", .string, nullable: false),
                Field("start time", .timestampLTZ(3), nullable: false),
            ]
            return .rows(fields, try (jobs?() ?? []).map { [.string($0.id), .string($0.name), .string($0.status), .int($0.start)] })
        case .createTable(let name):
            guard case .table(let table) = try catalog.lookUp(name, script) else {
                throw script.error(.validate, "\(name.text) is a view", fix: "write SHOW CREATE VIEW \(name.text)", at: name.span)
            }
            return Self.list("result", [DescribeText.create(table)])
        case .createView(let name):
            guard case .view(let view) = try catalog.lookUp(name, script, as: "view") else {
                throw script.error(.validate, "\(name.text) is a table", fix: "write SHOW CREATE TABLE \(name.text)", at: name.span)
            }
            return Self.list("result", [DescribeText.create(view)])
        case .createCatalog(let name):
            let found = try definition(name, script)
            return Self.list("result", [Self.create("CATALOG \(SyntaxText.identifier(found.name))", found.comment, found.options)])
        case .createDatabase(let name):
            let (space, found) = try database(name, script)
            let shown = [space.catalog, found.name].map(SyntaxText.identifier).joined(separator: ".")
            return Self.list("result", [Self.create("DATABASE \(shown)", found.comment, found.options)])
        }
    }

    private static func create(_ what: String, _ comment: String?, _ options: [String: String]) -> String {
        "CREATE \(what)" + (comment.map { " COMMENT \(SyntaxText.quoted($0))" } ?? "") + (options.isEmpty ? "" : "\nWITH " + SyntaxText.options(options))
    }

    private func space(_ place: QualifiedName?, _ script: ScriptText) throws -> Namespace {
        guard let place else { return catalog.current }
        let space = try catalog.namespace(of: place, script)
        try script.locating(place.span) { try catalog.check(space) }
        return space
    }
}

extension NameFilter {
    func admits(_ name: String) -> Bool {
        let (text, like) = ignoresCase ? (name.lowercased(), pattern.lowercased()) : (name, pattern)
        return Self.matches(Array(text)[...], Array(like)[...]) != negated
    }

    /// SQL LIKE: `%` any text, `_` one character, `\` takes what follows as it is.
    private static func matches(_ text: ArraySlice<Character>, _ pattern: ArraySlice<Character>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        switch first {
        case "%":
            let next = rest.drop { $0 == "%" }
            return next.isEmpty || text.indices.contains { matches(text[$0...], next) }
        case "\\" where !rest.isEmpty: return text.first == rest.first && matches(text.dropFirst(), rest.dropFirst())
        case "_": return !text.isEmpty && matches(text.dropFirst(), rest)
        default: return text.first == first && matches(text.dropFirst(), rest)
        }
    }
}
