import StreamCore
import StreamSQL

/// Writes a script for Flink: its text comes from the syntax trees, its tables from ``TableTranslations``.
///
/// What has no equal in Flink is among the findings of the result, and with it what reads or writes that; the rest of the script is complete.
public struct FlinkExporter {
    private let survey: ScriptSurvey, session: SQLSession, target: FlinkTarget
    private var findings: Findings
    private var statements: [FlinkStatement] = []
    /// Tables so far, and what was made of them.
    private var written: [ObjectPath: (source: SourceTable, made: TranslatedTable)] = [:]
    /// By ``key(_:_:)``.
    private var hintOptions: [String: [String: String]] = [:]
    /// The one that is written.
    private var step: ScriptSurvey.Step?
    /// Tables, views and functions that are left out, and the names of those of the script's own functions.
    private var leftOut = Set<ObjectPath>(), leftOutFunctions = Set<String>(), functions = Set<String>()
    private var given: Set<String> = []
    private var tables: [SourceTable] = []
    /// Options that take the place of those of a table, in Flink's words, by the table's name; for a start where a savepoint ended.
    public var startOptions: [String: [String: String]] = [:]
    /// Files that hold a table's records in its own format, in place of what its connector reads: by the table's name.
    public var files: [String: String] = [:]
    /// Settings by which windows give results before or after their end.
    private var firing = Set<String>()

    /// - Parameter session: the one that made the survey.
    public init(_ survey: ScriptSurvey, session: SQLSession, target: FlinkTarget, findings: Findings = Findings()) {
        (self.survey, self.session, self.target, self.findings) = (survey, session, target, findings)
    }

    /// - Throws: only what the catalog throws when a name is looked up.
    public func script(name: String, description: String? = nil) throws -> FlinkScript {
        var work = self
        for (key, value) in survey.given.sorted(by: { $0.key < $1.key }) { work.set(key, value, nil) }
        for step in survey.steps { try work.add(step) }
        let defaults = FlinkSettings.defaults(
            given: work.given, name: name, parallelism: survey.settings.parallelism, commitInterval: FlinkSettings.commitInterval(of: work.tables))
        func lines(_ settings: [(String, String)]) -> [FlinkStatement] { settings.map { FlinkStatement(.setting, Self.set($0.0, $0.1), summary: "SET '\($0.0)'") } }
        // RESET takes them away as well.
        let all = FlinkSettings.defaults(given: [], name: name, parallelism: survey.settings.parallelism, commitInterval: FlinkSettings.commitInterval(of: work.tables))
        let statements = work.statements.flatMap { statement -> [FlinkStatement] in
            guard statement.summary == "RESET" else { return [statement] }
            return [statement] + lines(all.filter { statement.text == "RESET" || statement.text == "RESET \(SQLWriter.quoted($0.0))" })
        }
        return FlinkScript(name: name, description: description, version: target.version, statements: lines(defaults) + statements, findings: work.findings)
    }

    private static func set(_ key: String, _ value: String) -> String { "SET \(SQLWriter.quoted(key)) = \(SQLWriter.quoted(value))" }

    private mutating func set(_ key: String, _ value: String, _ statement: Statement?) {
        if ["table.exec.emit.early-fire.enabled", "table.exec.emit.late-fire.enabled"].contains(key) {
            if value.lowercased() == "true" { firing.insert(key) } else { firing.remove(key) }
        }
        for (key, value) in FlinkSettings.translate(key: key, value: value, target: target, findings: &findings, at: statement.flatMap { location($0) }) {
            given.insert(key)
            put(.setting, Self.set(key, value), "SET '\(key)'", statement)
        }
    }

    // MARK: Statements

    private func path(_ name: QualifiedName) -> ObjectPath { step?.path(of: name) ?? ObjectPath(.standard, name.parts.last ?? "") }

    private mutating func add(_ step: ScriptSurvey.Step) throws {
        self.step = step
        for entry in step.found { try add(entry) }
        let statement = step.statement
        switch statement.node {
        case .set(let key, let value):
            // What the command line sets stands for what the script sets.
            if survey.given[key] == nil { set(key, value, statement) }
        case .reset(let key):
            put(.setting, key.map { "RESET \(SQLWriter.quoted($0))" } ?? "RESET", "RESET", statement)
        case .showSettings: put(.other, "SET", "SET", statement)
        case .createTable(let create):
            guard let table = step.survey.created else {
                return refuse("table \(create.name.text)", "its statement has no effect here", "write CREATE TABLE for a name that is free", statement)
            }
            try add(create, table, statement)
        case .createView(let view):
            let what = "view \(view.name.text)", path = self.path(view.name)
            leftOut.remove(path)
            guard try checks(what, statement, SyntaxWalk.calls(in: view.query), SyntaxWalk.tables(in: view.query), SyntaxWalk.sources(in: view.query), SyntaxWalk.types(in: view.query)) else {
                leftOut.insert(path)
                return
            }
            put(.definition, writer(for: statement).text(statement), "CREATE VIEW \(view.name.text)", statement)
        case .insert(let insert):
            if try accepts(insert, statement) { put(.insert, writer(for: statement).text(fitted(insert, step.inserts[0])), Self.summary(insert), statement, targets: [path(insert.target)]) }
        case .statementSet(let inserts):
            let kept = try zip(inserts, step.inserts).filter { try accepts($0.0, statement) }.map { fitted($0, $1) }
            guard !kept.isEmpty else { return }
            var reduced = statement
            reduced.node = kept.count == 1 ? .insert(kept[0]) : .statementSet(kept)
            put(.insert, writer(for: statement).text(reduced), kept.map { Self.summary($0) }.joined(separator: ", "), statement, targets: kept.map { path($0.target) })
        case .query(let query):
            if try checks("a query", statement, SyntaxWalk.calls(in: query), SyntaxWalk.tables(in: query), SyntaxWalk.sources(in: query), SyntaxWalk.types(in: query)) {
                put(.query, writer(for: statement).text(unordered(query, isByTime: step.isOrderedByTime, "a query")), "SELECT", statement)
            }
        case .explain(let inner, _):
            if try checks("EXPLAIN", statement, SyntaxWalk.calls(in: inner), SyntaxWalk.tables(in: inner), SyntaxWalk.sources(in: inner), SyntaxWalk.types(in: inner)) {
                put(.other, writer(for: statement).text(statement), "EXPLAIN", statement)
            }
        case .drop(let kind, let name, _, _):
            if leftOut.contains(path(name)) { return }
            put(.other, writer(for: statement).text(statement), "DROP \(kind) \(name.text)", statement)
        case .describe(let name):
            if leftOut.contains(path(name)) { return }
            put(.other, writer(for: statement).text(statement), "DESCRIBE \(name.text)", statement)
        case .catalog(let inner): try add(inner, statement)
        case .help, .quit: break
        }
    }

    private mutating func add(_ catalog: CatalogStatement, _ statement: Statement) throws {
        let text = writer(for: statement).text(statement), summary = text.split(separator: "\n").first.map(String.init) ?? text
        switch catalog {
        case .createCatalog(let name, _, _, let options):
            let type = options.first { $0.key == "type" }?.value ?? ""
            guard type == "generic_in_memory" else {
                return refuse("catalog \(name.text)", "Flink has no catalog of type '\(type)' that this engine shares with it",
                              "write its tables as CREATE TABLE in the file, or make the catalog of the cluster ('hive', 'jdbc', ...) there and name its tables", statement)
            }
            put(.definition, text, summary, statement)
        case .alterTable(let name, _, let change):
            switch change {
            case .setOptions, .resetOptions:
                refuse("ALTER TABLE \(name.text)", "options of tables are other ones in Flink, and are translated where the table is made", "write them into CREATE TABLE", statement)
            case .addPartitions, .dropPartitions, .recoverPartitions:
                refuse("ALTER TABLE \(name.text)", "Flink changes no partitions of such tables", "leave the statement to this engine, or to the table's own tools", statement)
            default:
                if leftOut.contains(path(name)) { return }
                put(.definition, text, summary, statement)
            }
        case .createFunction(let function), .alterFunction(let function): add(function, text, statement)
        case .dropFunction(let name, _, _, _):
            if leftOutFunctions.contains(name.parts.last!.uppercased()) { return }
            put(.other, text, summary, statement)
        case .truncate(let name), .delete(let name, _), .update(let name, _, _):
            refuse("\(summary.split(separator: " ").first ?? "") of \(name.text)", "Flink changes rows in place only in batch jobs over connectors that can, and this script is a streaming one",
                   "leave the statement to this engine, or to the table's own tools", statement)
        case .show(let subject, _):
            switch subject {
            case .createTable(let name), .createView(let name), .columns(let name), .partitions(let name, _):
                if leftOut.contains(path(name)) { return }
            default: break
            }
            put(.other, text, summary, statement)
        case .alterView(let name, let query, _):
            guard try checks("view \(name.text)", statement, SyntaxWalk.calls(in: query), SyntaxWalk.tables(in: query), SyntaxWalk.sources(in: query), SyntaxWalk.types(in: query)) else {
                leftOut.insert(path(name))
                return
            }
            put(.definition, text, summary, statement)
        case .renameView(let name, let other):
            let path = self.path(name)
            if leftOut.contains(path) {
                leftOut.insert(self.path(other))
                return
            }
            put(.definition, text, summary, statement)
        default: put(.definition, text, summary, statement)
        }
    }

    private mutating func add(_ function: FunctionDefinition, _ text: String, _ statement: Statement) {
        let name = function.name.parts.last!.uppercased()
        functions.insert(name)
        if function.language == "PYTHON" {
            findings.need(FlinkJars.python(target.version))
            findings.note("\(function.identifier) must be found by the cluster's Python: set 'python.files' to its file on storage that all TaskManagers reach. Flink reads no annotations: decorate it with pyflink.table.udf.udf(result_type=...)", about: "function \(function.name.text)")
        }
        put(.definition, text, "CREATE FUNCTION \(function.name.text)", statement)
    }

    // MARK: Tables

    private mutating func add(_ create: CreateTable, _ table: CatalogTable, _ statement: Statement) throws {
        guard try add(table, name: create.name, shown: create.name.text, isTemporary: create.temporary, ifNotExists: create.ifNotExists, statement) else { return }
        guard let step, let insert = step.survey.inserted else { return }
        if try accepts(insert, statement) { put(.insert, writer(for: statement).text(fitted(insert, step.inserts[0])), Self.summary(insert), statement, targets: [path(insert.target)]) }
    }

    /// What an earlier session has left in the catalog.
    private mutating func add(_ entry: Catalog.Entry) throws {
        switch entry {
        case .table(let table): _ = try add(table, name: QualifiedName([table.name], span: SourceSpan(start: 0, end: 0, line: 1, column: 1)), shown: table.name, isTemporary: true, ifNotExists: false, nil)
        case .view(let view):
            let statement = Statement(.query(view.query), span: view.query.span, text: view.declaration.query)
            guard try checks("view \(view.name)", statement, SyntaxWalk.calls(in: view.query), SyntaxWalk.tables(in: view.query), SyntaxWalk.sources(in: view.query), SyntaxWalk.types(in: view.query)) else {
                leftOut.insert(view.path)
                return
            }
            let columns = view.columns.map { " (" + $0.map { SQLWriter.identifier($0) }.joined(separator: ", ") + ")" } ?? ""
            put(.definition, "CREATE TEMPORARY VIEW \(SQLWriter.identifier(view.name))\(columns) AS\n" + writer(for: statement).text(view.query), "CREATE VIEW \(view.name)", nil)
        }
    }

    /// - Returns: false when the table is left out.
    private mutating func add(_ table: CatalogTable, name: QualifiedName, shown: String, isTemporary: Bool, ifNotExists: Bool, _ statement: Statement?) throws -> Bool {
        leftOut.remove(table.path)
        let source = sourceTable(table, name: shown, at: statement.flatMap { location($0) })
        tables.append(source)
        guard source.isRead || source.isWritten else {
            findings.note("nothing reads or writes it; it is left out", about: "table \(shown)")
            leftOut.insert(table.path)
            return false
        }
        guard var made = TableTranslations.translate(source, target, &findings) else {
            leftOut.insert(table.path)
            return false
        }
        written[table.path] = (source, made)
        for (key, value) in startOptions[shown] ?? [:] { made.declaration.options[key] = value.isEmpty ? nil : value }
        guard var create = try Self.definition(of: made.declaration) else { return false }
        create.name = made.view.map { QualifiedName([$0.name], span: create.span) } ?? name
        (create.temporary, create.ifNotExists) = (isTemporary, ifNotExists)
        let own = Statement(.createTable(create), span: create.span, text: "")
        guard try checks("table \(shown)", statement ?? own, SyntaxWalk.calls(in: own), [], [], [], at: statement?.span) else {
            leftOut.insert(table.path)
            return false
        }
        let text = writer(for: own).text(create)
        put(.definition, text, "CREATE TABLE \(made.view?.name ?? shown)", statement)
        if let view = made.view {
            put(.definition, "CREATE \(isTemporary ? "TEMPORARY " : "")VIEW \(SQLWriter.identifier(name)) AS\n\(view.query)", "CREATE VIEW \(shown)", statement)
        }
        return true
    }

    /// The declaration as syntax, with its connector before the other options.
    private static func definition(of declaration: TableDeclaration) throws -> CreateTable? {
        guard case .createTable(var create)? = try SQLParser(text: declaration.statement(named: "t")).parseScript().first?.node else { return nil }
        create.options = create.options.filter { $0.key == "connector" } + create.options.filter { $0.key != "connector" }
        if declaration.constraintName == nil { create.constraintName = nil }
        return create
    }

    /// Tables of the script, as far as something reads or writes them.
    public var sourceTables: [SourceTable] {
        survey.steps.flatMap { step -> [SourceTable] in
            let found = step.found.compactMap { entry in if case .table(let table) = entry { sourceTable(table, name: table.name, at: nil) } else { nil } }
            guard case .createTable(let create) = step.statement.node, let table = step.survey.created else { return found }
            return found + [sourceTable(table, name: create.name.text, at: location(step.statement))]
        }.filter { $0.isRead || $0.isWritten }
    }

    private func sourceTable(_ table: CatalogTable, name: String, at location: SourceLocation?) -> SourceTable {
        var declaration = table.declaration
        if let path = files[name] {
            let given = declaration.options, format = given["format"] ?? given["value.format"] ?? "json"
            declaration.options = given.filter { $0.key.hasPrefix(format + ".") }.merging(["connector": "filesystem", "format": format, "path": path]) { $1 }
            declaration.partitionKeys = []
        }
        // A table without columns takes those of its files.
        if declaration.columns.isEmpty {
            declaration.columns = table.descriptor.schema.map { .init(name: $0.name, type: SQLWriter.type($0.type), nullable: $0.nullable) }
            (declaration.primaryKey, declaration.partitionKeys) = (table.descriptor.primaryKey, table.descriptor.partitionKeys)
        }
        return SourceTable(
            name: name, path: table.path.namespace == .standard ? table.path.name : table.path.description, declaration: declaration, isRead: survey.reads.contains(table.path), isWritten: survey.writes[table.path] != nil,
            takesChanges: survey.writes[table.path] == true, location: location,
            // What LIKE made has places in a text of its own.
            optionLocations: table.descriptor.optionLocations.filter { $0.value.file == location?.file })
    }

    // MARK: Queries

    private mutating func accepts(_ insert: Insert, _ statement: Statement) throws -> Bool {
        let what = "INSERT INTO \(insert.target.text)", path = self.path(insert.target)
        if leftOut.contains(path) {
            refuse(what, "table \(insert.target.text) is left out", "see there", statement, at: insert.target.span)
            return false
        }
        if insert.overwrite, step?.isBatch != true {
            refuse(what, "Flink overwrites tables only in batch mode", "set 'execution.runtime-mode' = 'batch', or write INSERT INTO", statement, at: insert.span)
            return false
        }
        return try checks(what, statement, SyntaxWalk.calls(in: insert.query), SyntaxWalk.tables(in: insert.query), SyntaxWalk.sources(in: insert.query), SyntaxWalk.types(in: insert.query))
    }

    /// Where this engine narrows numbers and checks each, Flink wants a cast.
    private mutating func fitted(_ insert: Insert, _ facts: ScriptSurvey.InsertFacts) -> Insert {
        var insert = insert
        insert.query = unordered(insert.query, isByTime: facts.isOrderedByTime, Self.summary(insert))
        let columns = facts.columns
        let narrowed = columns.filter(\.isNarrowed)
        guard !narrowed.isEmpty else { return insert }
        findings.note("\(narrowed.map(\.name).joined(separator: ", ")): a value that does not fit ends the job here; Flink's CAST makes another number of it", about: Self.summary(insert))
        let span = insert.query.span
        func name(_ name: String) -> SyntaxExpr { SyntaxExpr(.name(QualifiedName([name], span: span)), span: span) }
        let items = columns.map { column in
            Select.Item(expr: column.isNarrowed ? SyntaxExpr(.cast(name(column.name), column.type, safe: false), span: span) : name(column.name), alias: nil)
        }
        var fitted = insert
        let rows = TableRef(.query(insert.query), alias: "given", columnAliases: columns.map(\.name), span: span)
        fitted.query = Query(body: .select(Select(distinct: false, items: items, from: rows, filter: nil, groupBy: [], having: nil, span: span)), span: span)
        return fitted
    }

    /// Flink sorts streams by time alone, and the rows of a result without LIMIT are the same in any order.
    private mutating func unordered(_ query: Query, isByTime: Bool, _ what: String) -> Query {
        guard !query.orderBy.isEmpty, query.limit == nil, query.offset == nil, step?.isBatch != true else { return query }
        // Behind a regular join Flink takes no column for a time attribute to sort by, also where it still makes windows of it.
        let joins = SyntaxWalk.sources(in: query).contains { if case .join = $0.node { true } else { false } }
        if isByTime, !joins { return query }
        findings.note("ORDER BY is left out: Flink sorts a stream by its time attribute alone", about: what)
        var unordered = query
        unordered.orderBy = []
        return unordered
    }

    /// Whether Flink has all that a query uses. What it does not have is refused.
    private mutating func checks(_ what: String, _ statement: Statement, _ calls: [SyntaxWalk.Call], _ tables: [QualifiedName], _ sources: [TableRef], _ types: [SyntaxWalk.TypeUse],
                                 at place: SourceSpan? = nil) throws -> Bool {
        var isGood = true
        func refuse(_ reason: String, _ instead: String, _ span: SourceSpan) {
            self.refuse(what, reason, instead, statement, at: place ?? span)
            isGood = false
        }
        if !translate(SyntaxWalk.hints(in: statement), what, statement) { isGood = false }
        for name in tables {
            guard leftOut.contains(path(name)) else { continue }
            refuse("it reads \(name.text), which is left out", "see there", name.span)
        }
        for use in calls {
            let name = use.call.name.uppercased()
            if functions.contains(name) {
                if leftOutFunctions.contains(name) { refuse("it calls \(use.call.name), which is left out", "see there", use.span) }
                continue
            }
            if let problem = FlinkFunctions.problem(name, arguments: use.call.arguments.count, target.version) { refuse(problem.reason, problem.instead, use.span) }
        }
        for source in sources {
            switch source.node {
            case .randomCutForest:
                refuse("Flink has no RANDOM_CUT_FOREST", "keep this step here and send its rows to a topic that Flink reads, or score in a Flink function of your own", source.span)
            case .path:
                refuse("Flink un-nests arrays of declared types only, with UNNEST", "declare the column as ARRAY<ROW<...>> and write CROSS JOIN UNNEST(column)", source.span)
            case .windowFunction(let name, _, _, _) where !firing.isEmpty:
                refuse("Flink's \(name.uppercased()) behind FROM gives no results before or after the end of a window, as 'table.exec.emit.*' asks for",
                       "write GROUP BY \(name.uppercased())(time, INTERVAL ...), or set 'table.exec.emit.early-fire.enabled' and '.late-fire.enabled' to 'false'", source.span)
            default: break
            }
        }
        for use in types where use.type.mentionsVariant {
            refuse("Flink casts nothing to VARIANT", "write PARSE_JSON(text), or read the values with JSON_VALUE", use.span)
        }
        return isGood
    }

    /// Options of hints in Flink's words, or a refusal.
    private mutating func translate(_ hints: [SyntaxWalk.Hint], _ what: String, _ statement: Statement) -> Bool {
        var isGood = true
        for hint in hints where hint.kind == .options && !hint.values.isEmpty {
            guard let name = hint.table, let table = written[path(name)] else { continue }
            func refuse(_ reason: String, _ instead: String) {
                self.refuse(what, reason, instead, statement, at: hint.span)
                isGood = false
            }
            guard table.made.view == nil else {
                refuse("Flink's \(name.text) is a view, which takes no options", "write them into CREATE TABLE")
                continue
            }
            var changed = table.source, found = Findings()
            changed.declaration.options.merge(hint.values) { $1 }
            guard let made = TableTranslations.translate(changed, target, &found), made.view == nil else {
                for refusal in found.refusals { refuse(refusal.reason, refusal.instead) }
                isGood = false
                continue
            }
            for note in found.notes { findings.note(note.text, about: note.about) }
            let before = table.made.declaration.options
            if let gone = before.keys.sorted().first(where: { made.declaration.options[$0] == nil }) {
                refuse("with these options Flink's table has no '\(gone)', which a hint cannot take away", "make a table of its own with them")
                continue
            }
            hintOptions[Self.key(name, hint.values)] = made.declaration.options.filter { before[$0.key] != $0.value }
        }
        return isGood
    }

    private static func key(_ name: QualifiedName, _ values: [String: String]) -> String {
        name.text + "\u{1}" + values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "\u{1}")
    }

    private func writer(for statement: Statement) -> SQLWriter {
        var writer = SQLWriter()
        let hints = hintOptions
        writer.hints = { $1.isEmpty ? $1 : hints[Self.key($0, $1)] ?? $1 }
        let version = target.version
        writer.call = { call, writer in FlinkFunctions.rewriting(call.name, arguments: call.arguments.map { writer.text($0) }, version) }
        return writer
    }

    private static func summary(_ insert: Insert) -> String { "INSERT INTO \(insert.target.text)" }

    // MARK: Findings

    private mutating func put(_ kind: FlinkStatement.Kind, _ text: String, _ summary: String, _ statement: Statement?, targets: [ObjectPath] = []) {
        statements.append(FlinkStatement(kind, text, summary: summary, at: statement.flatMap { location($0) }, targets: targets))
    }

    private mutating func refuse(_ what: String, _ reason: String, _ instead: String, _ statement: Statement, at span: SourceSpan? = nil) {
        findings.refuse(what, reason: reason, instead: instead, at: location(statement, span))
    }

    private func location(_ statement: Statement, _ span: SourceSpan? = nil) -> SourceLocation? {
        guard let source = statement.source else { return nil }
        return source.error(.plan, "", at: span ?? statement.span).location
    }
}

extension DataType {
    /// It is VARIANT, or has one inside.
    var mentionsVariant: Bool {
        switch self {
        case .variant: true
        case .array(let element): element.mentionsVariant
        case .map(let key, let value): key.mentionsVariant || value.mentionsVariant
        case .row(let fields): fields.contains { $0.type.mentionsVariant }
        default: false
        }
    }
}
