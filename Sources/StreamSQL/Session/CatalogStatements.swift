import StreamCore
import StreamExpressions
import StreamOperators

/// Statements about catalogs, databases and functions, and ALTER.
extension SQLSession {
    func execute(_ statement: CatalogStatement, _ script: ScriptText) throws -> StatementResult {
        switch statement {
        case .createCatalog(let name, let ifNotExists, let comment, let options):
            let local = try single(name, "catalog", script)
            if catalog.definition(of: local) != nil {
                if ifNotExists { return .message("catalog \(local) exists already") }
                throw script.error(.validate, "catalog \(local) exists already", fix: "write CREATE CATALOG IF NOT EXISTS", at: name.span)
            }
            try script.locating(name.span) { try catalog.createCatalog(CatalogDefinition(name: local, comment: comment, options: dictionary(options))) }
            return .message("catalog \(local) created")
        case .alterCatalog(let name, let set, let reset, let comment):
            var definition = try definition(name, script)
            if definition.name == Catalog.catalogName, !set.isEmpty || !reset.isEmpty {
                throw script.error(.validate, "the options of \(definition.name) cannot be changed", fix: "create another catalog", at: name.span)
            }
            if reset.contains("type") { throw script.error(.validate, "the type of a catalog cannot be reset", fix: "drop it and create it again", at: name.span) }
            definition.options.merge(dictionary(set)) { $1 }
            for key in reset { definition.options[key] = nil }
            definition.comment = comment ?? definition.comment
            try catalog.alterCatalog(definition)
            return .message("catalog \(definition.name) altered")
        case .dropCatalog(let name, let ifExists):
            let local = try single(name, "catalog", script)
            if ifExists, catalog.definition(of: local) == nil { return .message("there was no catalog \(local)") }
            _ = try definition(name, script)
            if local == catalog.current.catalog || local == Catalog.catalogName {
                throw script.error(
                    .validate, local == Catalog.catalogName ? "\(local) cannot be dropped" : "catalog \(local) is the current one",
                    fix: local == Catalog.catalogName ? "drop what is in it" : "USE another CATALOG first", at: name.span)
            }
            try catalog.dropCatalog(local)
            return .message("catalog \(local) dropped")
        case .createDatabase(let name, let ifNotExists, let comment, let options):
            let space = try catalog.namespace(of: name, script)
            let made = try store(space, name, script).create(CatalogDatabase(name: space.database, comment: comment, options: dictionary(options)))
            guard made || ifNotExists else {
                throw script.error(.validate, "database \(space.database) exists already", fix: "write CREATE DATABASE IF NOT EXISTS", at: name.span)
            }
            return .message(made ? "database \(space.database) created" : "database \(space.database) exists already")
        case .alterDatabase(let name, let set):
            var (space, database) = try database(name, script)
            database.options.merge(dictionary(set)) { $1 }
            try catalog.store(space.catalog).update(database)
            return .message("database \(space.database) altered")
        case .dropDatabase(let name, let ifExists, let cascade): return try dropDatabase(name, ifExists, cascade, script)
        case .useCatalog(let name):
            try catalog.use(catalog: try definition(name, script).name)
            return .message("the current catalog is \(catalog.current.catalog), the database \(catalog.current.database)")
        case .use(let name):
            let space = try catalog.namespace(of: name, script)
            try script.locating(name.span) { try catalog.use(space) }
            return .message("the current database is \(space)")
        case .describeCatalog(let name, let extended):
            let found = try definition(name, script)
            return Self.info(
                [("name", found.name), ("type", found.type), ("comment", found.comment ?? "")]
                    + (extended ? found.options.sorted { $0.key < $1.key }.filter { $0.key != "type" }.map { ("option:\($0.key)", $0.value) } : []))
        case .describeDatabase(let name, let extended):
            let (space, found) = try database(name, script)
            return Self.info(
                [("catalog name", space.catalog), ("database name", found.name), ("comment", found.comment ?? "")]
                    + (extended ? found.options.sorted { $0.key < $1.key }.map { ("option:\($0.key)", $0.value) } : []))
        case .describeFunction(let name, let extended): return try describeFunction(name, extended, script)
        case .show(let subject, let filter): return try show(subject, filter, script)
        case .alterTable(let name, let ifExists, let change):
            if ifExists, try catalog.entry(try catalog.path(of: name, script)) == nil { return .message("there was no table \(name.text)") }
            return try alterTable(name, change, script)
        case .renameView(let name, let new): return try rename(name, to: new, kind: "view", script)
        case .alterView(let name, let query, let text): return try alterView(name, query, text, script)
        case .createFunction(let definition): return try createFunction(definition, script)
        case .alterFunction(let definition): return try alterFunction(definition, script)
        case .dropFunction(let name, let ifExists, let temporary, let system): return try dropFunction(name, ifExists, temporary, system, script)
        case .truncate(let name): return try truncate(name, script)
        case .delete(let name, let filter): return try delete(name, filter, script)
        case .update(let name, let assignments, let filter): return try update(name, assignments, filter, script)
        case .idle(let text, let reason):
            catalog.notices.note("\(text) means nothing here: \(reason)")
            return .message("\(text): nothing to do")
        case .stopJob(let id, let savepoint, let drain, let span):
            guard let stopJob else { throw script.error(.plan, "not supported yet: STOP JOB", fix: "stop the job from the command line: swiftwater stop JOB", at: span) }
            return .message(try script.locating(span) { try stopJob(id, savepoint, drain) })
        case .analyze(let name):
            if let name { _ = try catalog.lookUp(name, script) }
            return .message("no statistics are needed: plans do not depend on them")
        }
    }

    func dictionary(_ options: [OptionSyntax]) -> [String: String] { Dictionary(options.map { ($0.key, $0.value) }) { $1 } }

    static func info(_ rows: [(String, String)]) -> StatementResult {
        .rows(
            [Field("info name", .string, nullable: false), Field("info value", .string)],
            rows.map { [.string($0.0), .string($0.1)] })
    }

    // MARK: catalogs and databases

    private func single(_ name: QualifiedName, _ what: String, _ script: ScriptText) throws -> String {
        guard name.parts.count == 1 else { throw script.error(.validate, "\(name.text) is no name of a \(what)", fix: "write one name", at: name.span) }
        return name.parts[0]
    }

    func definition(_ name: QualifiedName, _ script: ScriptText) throws -> CatalogDefinition {
        let local = try single(name, "catalog", script)
        guard let found = catalog.definition(of: local) else {
            throw script.error(.validate, "there is no catalog \(local)", fix: NearName.hint(for: local, in: catalog.catalogNames), at: name.span)
        }
        return found
    }

    private func store(_ space: Namespace, _ name: QualifiedName, _ script: ScriptText) throws -> any CatalogStore {
        try script.locating(name.span) { try catalog.store(space.catalog) }
    }

    func database(_ name: QualifiedName, _ script: ScriptText) throws -> (Namespace, CatalogDatabase) {
        let space = try catalog.namespace(of: name, script)
        try script.locating(name.span) { try catalog.check(space) }
        guard let found = try catalog.store(space.catalog).database(space.database) else {
            throw script.error(.conflict, "database \(space.database) was dropped by another process in the meantime", at: name.span)
        }
        return (space, found)
    }

    private func dropDatabase(_ name: QualifiedName, _ ifExists: Bool, _ cascade: Bool, _ script: ScriptText) throws -> StatementResult {
        let space = try catalog.namespace(of: name, script)
        if ifExists, try store(space, name, script).database(space.database) == nil { return .message("there was no database \(space.database)") }
        _ = try database(name, script)
        let store = try catalog.store(space.catalog)
        if space == .standard || space == catalog.current {
            throw script.error(
                .validate, space == .standard ? "\(space.database) cannot be dropped" : "database \(space.database) is the current one",
                fix: space == .standard ? "drop what is in it" : "USE another database first", at: name.span)
        }
        let objects = try store.objectNames(in: space.database), functions = try store.functions(in: space.database)
        guard cascade || objects.isEmpty && functions.isEmpty else {
            throw script.error(
                .validate, "database \(space.database) is not empty: it has \((objects.map(\.name) + functions.map(\.name)).prefix(5).joined(separator: ", "))",
                fix: "write DROP DATABASE \(name.text) CASCADE", at: name.span)
        }
        try script.locating(name.span) { try store.dropDatabase(space.database) }
        return .message("database \(space.database) dropped")
    }

    // MARK: functions

    /// The functions that nobody had to create.
    var builtinFunctions: [String] { functions.names.filter { $0.first!.isLetter && !$0.contains(" ") } + AggregateRegistry.names }

    private func made(_ definition: FunctionDefinition, _ script: ScriptText) throws -> CatalogFunction {
        let language = CatalogFunction.Language(rawValue: definition.language ?? "JAVA")!
        if !language.needsJVM, let jar = definition.resources.first(where: { $0.kind != "FILE" }) {
            throw script.error(.plan, "not supported yet: USING \(jar.kind)", fix: "write USING FILE '...'", at: definition.span)
        }
        let function = CatalogFunction(
            name: definition.name.parts.last!, identifier: definition.identifier, language: language, resources: definition.resources,
            temporary: definition.temporary)
        if language.needsJVM {
            catalog.notices.note("function \(function.name) is written in \(language.name) (\(function.identifier)): a statement that calls it is refused")
        } else if let resolve = catalog.functionResolver { _ = try script.locating(definition.span) { try resolve(function, functions) } }
        return function
    }

    private func createFunction(_ definition: FunctionDefinition, _ script: ScriptText) throws -> StatementResult {
        let name = definition.name.parts.last!
        func exists() throws -> StatementResult {
            if definition.isConditional { return .message("function \(name) exists already") }
            throw script.error(
                .validate, "function \(name) exists already", fix: "drop it first, or write CREATE FUNCTION IF NOT EXISTS", at: definition.name.span)
        }
        if definition.system {
            guard definition.temporary else { throw script.error(.parse, "a system function is temporary", fix: "write CREATE TEMPORARY SYSTEM FUNCTION", at: definition.span) }
            let name = try single(definition.name, "system function", script)
            if catalog.systemFunction(name) != nil { return try exists() }
            catalog.setSystemFunction(try made(definition, script), named: name)
        } else {
            let path = try catalog.path(of: definition.name, script)
            if definition.temporary {
                if catalog.temporaryFunction(path) != nil { return try exists() }
                catalog.setTemporaryFunction(try made(definition, script), at: path)
            } else {
                let store = try catalog.store(path.catalog)
                if try store.functions(in: path.database).contains(where: { $0.name.lowercased() == name.lowercased() }) { return try exists() }
                guard try store.save(try made(definition, script), in: path.database, replacing: false) else { return try exists() }
            }
        }
        return .message("function \(name) created")
    }

    private func alterFunction(_ definition: FunctionDefinition, _ script: ScriptText) throws -> StatementResult {
        let name = definition.name.parts.last!
        func missing() throws -> StatementResult {
            if definition.isConditional { return .message("there was no function \(name)") }
            throw script.error(.validate, "there is no function \(name)", fix: "write CREATE FUNCTION", at: definition.name.span)
        }
        if definition.system {
            guard catalog.systemFunction(name) != nil else { return try missing() }
            catalog.setSystemFunction(try made(definition, script), named: name)
        } else {
            let path = try catalog.path(of: definition.name, script)
            if definition.temporary {
                guard catalog.temporaryFunction(path) != nil else { return try missing() }
                catalog.setTemporaryFunction(try made(definition, script), at: path)
            } else {
                let store = try catalog.store(path.catalog)
                guard try store.functions(in: path.database).contains(where: { $0.name.lowercased() == name.lowercased() }) else { return try missing() }
                _ = try store.save(try made(definition, script), in: path.database, replacing: true)
            }
        }
        return .message("function \(name) altered")
    }

    private func dropFunction(_ name: QualifiedName, _ ifExists: Bool, _ temporary: Bool, _ system: Bool, _ script: ScriptText) throws -> StatementResult {
        let local = name.parts.last!
        var dropped = false
        if system {
            dropped = catalog.systemFunction(local) != nil
            catalog.setSystemFunction(nil, named: local)
        } else {
            let path = try catalog.path(of: name, script)
            if temporary {
                dropped = catalog.temporaryFunction(path) != nil
                catalog.setTemporaryFunction(nil, at: path)
            } else {
                if catalog.temporaryFunction(path) != nil {
                    throw script.error(.validate, "\(local) is a temporary function", fix: "write DROP TEMPORARY FUNCTION \(name.text)", at: name.span)
                }
                dropped = try catalog.store(path.catalog).dropFunction(path.name, in: path.database)
            }
        }
        guard dropped || ifExists else {
            let kind = temporary ? system ? "temporary system function" : "temporary function" : "function"
            throw script.error(
                .validate, "there is no \(kind) \(local)", fix: NearName.hint(for: local, in: try catalog.functions().map(\.name)) ?? "SHOW USER FUNCTIONS lists them",
                at: name.span)
        }
        return .message(dropped ? "function \(local) dropped" : "there was no function \(local)")
    }

    private func describeFunction(_ name: QualifiedName, _ extended: Bool, _ script: ScriptText) throws -> StatementResult {
        let local = name.parts.last!
        let space = name.parts.count == 1 ? nil : try catalog.path(of: name, script).namespace
        if let found = try catalog.function(local, in: space) {
            return Self.info(
                [("is system function", "\(catalog.systemFunction(local) != nil)"), ("is temporary", "\(found.temporary)"), ("class name", found.identifier),
                 ("function language", found.language.rawValue)]
                    + (extended ? [("resource uris", found.resources.map(\.path).joined(separator: ", "))] : []))
        }
        guard builtinFunctions.contains(local.uppercased()) else {
            throw script.error(.validate, "there is no function \(local)", fix: NearName.hint(for: local.uppercased(), in: builtinFunctions), at: name.span)
        }
        return Self.info([("is system function", "true"), ("is temporary", "false")])
    }
}
