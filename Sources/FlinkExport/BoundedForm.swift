import StreamCore
import StreamSQL

/// The same script over files: every table that is read is a file of records, every table that is written, and every query, has its changes
/// in files. Both engines run it.
///
/// The changes are Debezium's, which both engines write for inserts, updates and deletes alike. What a table holds at the end follows from them
/// and from its key: see ``Result``.
public struct BoundedForm: Sendable {
    /// A table or query whose changes are kept.
    public struct Result: Sendable, Hashable {
        public struct Column: Sendable, Hashable { public var name: String, type: DataType }
        /// The folder in the results' folder: the table's name, with its database when that is not the default one.
        public var name: String
        public var path: ObjectPath
        /// `table orders`, `query in line 12`
        public var title: String
        public var columns: [Column]
        /// Columns by which the table keeps the newest row; none = all rows stay.
        public var key: [String]
        /// The column that says which of two rows with equal key is newer; nil = the one that comes later.
        public var ordering: String?
        public var location: SourceLocation?
    }

    /// A table that is read, and what its records have to be in.
    public struct Input: Sendable, Hashable {
        public var table: String, path: String, format: String
    }

    public private(set) var results: [Result] = []
    public private(set) var inputs: [Input] = []
    /// What has no bounded form.
    public private(set) var findings = Findings()
    private var pieces: [(text: String, kind: Kind)] = []
    private var needsOrder = false
    /// Tables that are there.
    private var made = Set<ObjectPath>()
    /// Tables and views that it does without.
    private var leftOut = Set<ObjectPath>()
    private enum Kind { case setting, other }

    /// Finds the file or folder that holds a table's records; nil = there is none. Those of a table whose files begin with a header must have
    /// none any more: Flink has no option for it.
    public typealias Find = (_ table: String, _ hasHeader: Bool) throws -> String?

    /// - Parameters:
    ///   - inputs: asked for each table that is read.
    public init(_ survey: ScriptSurvey, inputs find: Find) throws {
        for step in survey.steps { try add(step, survey, find) }
        // What one job writes and the next one reads has to be there first.
        if needsOrder { pieces.insert(("SET 'table.dml-sync' = 'true'", .setting), at: 0) }
    }

    /// The statements, in this engine's SQL, with results in `folder`.
    public func script(results folder: String) -> String {
        pieces.map { $0.text.replacing(Self.folderMark, with: folder) + ";\n" }.joined()
    }

    private static let folderMark = "\u{1}results\u{1}"

    // MARK: Statements

    private mutating func add(_ step: ScriptSurvey.Step, _ survey: ScriptSurvey, _ find: Find) throws {
        for entry in step.found {
            switch entry {
            case .table(let table): try add(table, named: QualifiedName([table.name], span: step.statement.span), survey, find, nil)
            case .view(let view):
                let names = SyntaxWalk.tables(in: view.query)
                guard try isComplete(names, "view \(view.name)", step) else {
                    leftOut.insert(view.path)
                    continue
                }
                let columns = view.columns.map { " (" + $0.map { SQLWriter.identifier($0) }.joined(separator: ", ") + ")" } ?? ""
                pieces.append(("CREATE TEMPORARY VIEW \(SQLWriter.identifier(view.name))\(columns) AS\n\(view.declaration.query)", .other))
            }
        }
        let statement = step.statement
        switch statement.node {
        case .set(let key, _):
            // Where checkpoints are and how a job starts is for the run, not for the rows.
            if ["execution.checkpointing.", "state.", "execution.savepoint.", "restart-strategy"].contains(where: { key.hasPrefix($0) }) { return }
            // With several subtasks which rows are late is a race on Flink: those that read nothing hold the watermark back.
            if ["parallelism.default", "table.exec.resource.default-parallelism", "pipeline.max-parallelism"].contains(key) { return }
            pieces.append((Self.plain.text(statement), .setting))
        case .reset: pieces.append((Self.plain.text(statement), .setting))
        case .createTable(let create):
            guard let table = step.survey.created else { return }
            try add(table, named: create.name, survey, find, statement)
            if let insert = step.survey.inserted, try isComplete([create.name] + SyntaxWalk.tables(in: insert.query), "INSERT INTO \(create.name.text)", step) {
                pieces.append((Self.plain.text(insert), .other))
            }
        case .createView(let view):
            guard try isComplete(SyntaxWalk.tables(in: view.query), "view \(view.name.text)", step) else {
                leftOut.insert(step.path(of: view.name))
                return
            }
            pieces.append((Self.plain.text(statement), .other))
        case .insert(let insert):
            guard insert.partition == nil else {
                return findings.refuse("INSERT INTO \(insert.target.text)", reason: "its PARTITION is of a table, and the bounded form writes files of changes", instead: "select the value as a column", at: location(statement))
            }
            if try isComplete([insert.target] + SyntaxWalk.tables(in: insert.query), "INSERT INTO \(insert.target.text)", step) { pieces.append((Self.plain.text(statement), .other)) }
        case .statementSet(let inserts):
            let kept = try inserts.filter { try isComplete([$0.target] + SyntaxWalk.tables(in: $0.query), "INSERT INTO \($0.target.text)", step) }
            guard !kept.isEmpty else { return }
            var reduced = statement
            reduced.node = kept.count == 1 ? .insert(kept[0]) : .statementSet(kept)
            pieces.append((Self.plain.text(reduced), .other))
        case .query(let query):
            guard try isComplete(SyntaxWalk.tables(in: query), "a query", step) else { return }
            guard let planned = step.survey.query else { return }
            let name = "result_\(results.count + 1)", line = location(statement)?.line
            let columns = Self.distinct(planned.schema.map(\.name)).enumerated().map { Result.Column(name: $1, type: planned.schema[$0].type) }
            let declared = columns.map { "  \(SQLWriter.identifier($0.name)) \(SQLWriter.type($0.type))" }.joined(separator: ",\n")
            pieces.append(("CREATE TEMPORARY TABLE \(name) (\n\(declared)\n) WITH \(Self.resultOptions(name))", .other))
            pieces.append((Self.plain.text(Insert(target: QualifiedName([name], span: query.span), query: query, span: query.span)), .other))
            results.append(Result(name: name, path: ObjectPath(step.namespace, name), title: "query" + (line.map { " in line \($0)" } ?? ""), columns: columns, key: [], location: location(statement)))
        case .catalog(let inner):
            switch inner {
            case .createFunction, .createDatabase, .use, .useCatalog, .createCatalog, .renameView, .alterView: pieces.append((Self.plain.text(statement), .other))
            case .show, .describeCatalog, .describeDatabase, .describeFunction, .analyze: break
            default:
                let first = Self.plain.text(statement).split(separator: "\n").first.map(String.init) ?? ""
                findings.refuse(first, reason: "it changes a table that in the bounded form is a file", instead: "compare the script without it", at: location(statement))
            }
        case .drop(let kind, let name, let ifExists, _):
            let path = step.path(of: name)
            guard kind == "TABLE" else {
                if !leftOut.contains(path) { pieces.append((Self.plain.text(statement), .other)) }
                break
            }
            // Tables of the bounded form are temporary.
            guard made.remove(path) != nil else { break }
            var dropped = statement
            dropped.node = .drop(kind: kind, name: name, ifExists: ifExists, temporary: true)
            pieces.append((Self.plain.text(dropped), .other))
        case .describe, .explain, .showSettings, .help, .quit: break
        }
    }

    /// Whether all that a statement names is there.
    private mutating func isComplete(_ names: [QualifiedName], _ what: String, _ step: ScriptSurvey.Step) throws -> Bool {
        for name in names where leftOut.contains(step.path(of: name)) {
            findings.refuse(what, reason: "it needs \(name.text), which is left out", instead: "see there", at: location(step.statement))
            return false
        }
        return true
    }

    /// Names of columns; ones that come again have a number.
    private static func distinct(_ names: [String]) -> [String] {
        var seen = Set<String>()
        return names.map { name in
            var unique = name, n = 0
            while !seen.insert(unique).inserted { n += 1; unique = "\(name)_\(n)" }
            return unique
        }
    }

    private static func resultOptions(_ name: String) -> String {
        "(\n  'connector' = 'filesystem',\n  'path' = \(SQLWriter.quoted("\(folderMark)/\(name)")),\n  'format' = 'debezium-json'\n)"
    }

    /// Without hints, which are for connectors that are not there any more.
    private static let plain: SQLWriter = {
        var writer = SQLWriter()
        writer.hints = { _, _ in [:] }
        return writer
    }()

    /// A name for a table's folder and file.
    private static func short(_ path: ObjectPath) -> String {
        path.namespace == .standard ? path.name : path.catalog == Namespace.standard.catalog ? "\(path.database).\(path.name)" : path.description
    }

    // MARK: Tables

    private mutating func add(_ table: CatalogTable, named name: QualifiedName, _ survey: ScriptSurvey, _ find: Find, _ statement: Statement?) throws {
        let isRead = survey.reads.contains(table.path), isWritten = survey.writes[table.path] != nil, location = statement.flatMap { self.location($0) }
        guard isRead || isWritten else { return }
        var declaration = table.declaration
        if declaration.columns.isEmpty {
            declaration.columns = table.descriptor.schema.map { .init(name: $0.name, type: SQLWriter.type($0.type), nullable: $0.nullable) }
            (declaration.primaryKey, declaration.partitionKeys) = (table.descriptor.primaryKey, table.descriptor.partitionKeys)
        }
        let what = "table \(name.text)"
        if isWritten {
            let key = declaration.primaryKey, ordering = Self.ordering(declaration)
            if isRead {
                guard key.isEmpty else {
                    leftOut.insert(table.path)
                    return findings.refuse(what, reason: "the script reads what it writes there, and only the table itself knows its newest rows", instead: "compare the statements before and after it by themselves", at: location)
                }
                needsOrder = true
            }
            declaration = sink(declaration, isRead: isRead)
            declaration.options = ["connector": "filesystem", "format": "debezium-json", "path": "\(Self.folderMark)/\(Self.short(table.path))"]
            let columns = table.columns.filter { column in
                switch column.kind {
                case .physical, .metadata(_, virtual: false): true
                case .computed, .metadata: false
                }
            }
            results.append(Result(
                name: Self.short(table.path), path: table.path, title: what, columns: columns.map { .init(name: $0.name, type: $0.type) }, key: key, ordering: ordering, location: location))
        } else {
            let format = declaration.options["value.format"] ?? declaration.options["format"]
            let hasHeader = format == "csv" && (declaration.options["csv.header"] ?? declaration.options["value.csv.header"]) == "true"
            guard !hasHeader || (declaration.options["csv.header.columns"] ?? "position") == "position" else {
                leftOut.insert(table.path)
                return findings.refuse(what, reason: "Flink does not find columns by the names in a header", instead: "declare the columns in the order of the files, without 'csv.header.columns'", at: location)
            }
            guard let path = try find(Self.short(table.path), hasHeader) else {
                leftOut.insert(table.path)
                return findings.refuse(what, reason: "the folder of inputs has no records for it", instead: "put them into a file \(Self.short(table.path)).json (or a folder \(Self.short(table.path))), in the table's own format", at: location)
            }
            guard let options = fileOptions(declaration, path: path, what: what, at: location) else {
                leftOut.insert(table.path)
                return
            }
            declaration.options = options
            declaration.partitionKeys = []
            inputs.append(Input(table: table.name, path: path, format: options["format"] ?? ""))
        }
        guard case .createTable(var create)? = try SQLParser(text: declaration.statement(named: "t")).parseScript().first?.node else { return }
        (create.name, create.temporary, create.constraintName) = (name, true, declaration.constraintName)
        made.insert(table.path)
        pieces.append((SQLWriter().text(create), .other))
    }

    /// The columns of a table whose changes are written to files.
    private func sink(_ declaration: TableDeclaration, isRead: Bool) -> TableDeclaration {
        var sink = declaration
        // Keys are NOT NULL without saying so.
        for i in sink.columns.indices where declaration.primaryKey.contains(sink.columns[i].name) { sink.columns[i].nullable = false }
        (sink.primaryKey, sink.constraintName, sink.partitionKeys) = ([], nil, [])
        if !isRead {
            sink.watermark = nil
            sink.columns.removeAll { column in
                switch column.kind {
                case .physical, .metadata(_, virtual: false): false
                case .computed, .metadata: true
                }
            }
            // What a connector takes beside the row is part of it in a file.
            for i in sink.columns.indices { sink.columns[i].kind = .physical }
        }
        return sink
    }

    private static func ordering(_ declaration: TableDeclaration) -> String? {
        for key in ["precombine.field", "ordering.fields", "hoodie.datasource.write.precombine.field", "write.ordering-field", "ordering-field"] {
            if let field = declaration.options[key], field != "no_precombine" { return field }
        }
        return nil
    }

    /// Options of a table over the same records in files.
    private mutating func fileOptions(_ declaration: TableDeclaration, path: String, what: String, at location: SourceLocation?) -> [String: String]? {
        let given = declaration.options
        for column in declaration.columns {
            if case .metadata(let key, _) = column.kind, !["file.path", "file.name", "file.size", "file.modification-time", "row"].contains(key ?? column.name), given["connector"] != "filesystem" {
                findings.refuse(what, reason: "column \(column.name) is what '\(given["connector"] ?? "")' tells about a record, and files do not", instead: "make it a column of the records", at: location)
                return nil
            }
        }
        if given["connector"] == "upsert-kafka" {
            guard path.hasSuffix(".debezium-json") else {
                findings.refuse(what, reason: "its messages are newest rows by key, and a file of values has no keys", instead: "give its changes as Debezium's, in a file that ends in .debezium-json", at: location)
                return nil
            }
            return ["connector": "filesystem", "path": path, "format": "debezium-json"]
        }
        var options: [String: String] = ["connector": "filesystem", "path": path]
        guard let format = given["value.format"] ?? given["format"] else {
            // What has no format of its own, such as a lake table, is given as JSON rows.
            options["format"] = "json"
            return options
        }
        options["format"] = format
        for (key, value) in given {
            if key.hasPrefix(format + ".") { options[key] = value }
            if key.hasPrefix("value." + format + ".") { options[String(key.dropFirst(6))] = value }
        }
        options["csv.header"] = nil
        options["csv.header.columns"] = nil
        return options
    }

    private func location(_ statement: Statement) -> SourceLocation? { statement.source?.error(.plan, "", at: statement.span).location }
}
