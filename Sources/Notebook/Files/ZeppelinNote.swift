import StreamCore

/// Zeppelin's notes: `.zpln` files, and `note.json` of older versions. Results are not read.
package enum ZeppelinNote {
    /// A member of the metadata of cells and notebooks: what Zeppelin alone has, where it is not as Zeppelin makes it.
    static let member = "zeppelin"
    /// A member of Zeppelin's free `config`: what it has no place for.
    private static let ours = "swiftwater"

    // MARK: Reading

    /// - Throws: `.corrupt` when the bytes are no JSON, `.parse` when they are no note or a paragraph's interpreter cannot be read.
    package static func parse(_ bytes: [UInt8], path: String) throws -> Notebook {
        let root = try JupyterNotebook.readJSON(bytes, path)
        guard let paragraphs = root["paragraphs"]?.array else {
            throw StreamError(.parse, "\(path) is no Zeppelin note: it has no paragraphs", fix: "export the note from Zeppelin as .zpln")
        }
        var notebook = Notebook(metadata: root["config"]?[ours]?.members ?? [])
        var kept: [JSON.Member] = []
        for name in ["name", "id", "defaultInterpreterGroup"] {
            if let value = root[name]?.string, !value.isEmpty { kept.append(JSON.Member(name, .string(value))) }
        }
        if let values = root["noteParams"], values.members?.isEmpty == false { kept.append(JSON.Member("noteParams", values)) }
        if !kept.isEmpty { notebook.metadata.append(JSON.Member(member, .object(kept))) }
        // Zeppelin runs a paragraph that names no interpreter in the note's group; before notes had one, in Spark.
        let group = root["defaultInterpreterGroup"]?.string ?? "spark"
        for (i, paragraph) in paragraphs.enumerated() {
            do {
                notebook.cells.append(try cell(paragraph, group: group))
            } catch var error as StreamError {
                error.problem = "\(path): paragraph \(i + 1): " + error.problem
                error.location = nil
                throw error
            }
        }
        return notebook
    }

    private static func cell(_ paragraph: JSON, group: String) throws -> NotebookCell {
        let text = (paragraph["text"]?.string ?? "").splitLines.joined(separator: "\n"), config = paragraph["config"], ours = config?[ours]
        var cell = NotebookCell(source: text), isOnOneLine = false
        if let title = paragraph["title"]?.string, !title.isBlank { cell.title = title }
        if let (interpreter, end) = try CellInterpreter.parse(text) {
            cell.interpreter = interpreter
            let rest = text[end...], line = rest.prefix { $0 != "\n" }
            isOnOneLine = !line.isBlank
            cell.source = isOnOneLine ? String(rest.drop { $0.isWhitespace }) : String(rest.dropFirst(line.count + 1))
        } else if !text.isBlank, ours == nil {
            cell.interpreter = CellInterpreter(group)
        }
        if cell.interpreter?.language == .markdown { cell.kind = .markdown }
        if ours?["kind"] == .string("raw") { cell.kind = .raw }
        if cell.kind != .code, cell.interpreter?.properties.isEmpty == true { cell.interpreter = nil }
        if ours?["isImplied"] == .bool(true), cell.interpreter == CellInterpreter("flink.ssql") { cell.interpreter = nil }
        cell.tags = ours?["tags"]?.array?.compactMap(\.string) ?? []
        cell.metadata = ours?["metadata"]?.members ?? []
        if ours == nil {
            // Blank lines at the end mean nothing in Zeppelin, and would not stay in a script.
            var lines = cell.source.splitLines
            while let last = lines.last, last.isBlank { lines.removeLast() }
            if cell.kind == .markdown { while let first = lines.first, first.isBlank { lines.removeFirst() } }
            if cell.kind == .code, cell.language == .sql, !lines.contains(where: { $0.trimmed.hasPrefix("-- @chart") }), let chart = chart(in: config) {
                if lines.first?.isBlank == true { lines.removeFirst() }
                lines.insert("-- @chart " + chart.text, at: 0)
            }
            cell.source = lines.joined(separator: "\n")
        }
        var kept: [JSON.Member] = []
        if let width = number(config?["colWidth"]), width != 12 { kept.append(JSON.Member("colWidth", .double(width))) }
        for (name, usual) in [("editorHide", false), ("enabled", true), ("runOnSelectionChange", true), ("tableHide", false)] {
            if let value = config?[name]?.bool, value != usual, name != "editorHide" || cell.kind == .code { kept.append(JSON.Member(name, .bool(value))) }
        }
        if let values = paragraph["settings"]?["params"], values.members?.isEmpty == false { kept.append(JSON.Member("params", values)) }
        // Options of interpreters that we do not know may have to stand on its line.
        if isOnOneLine, cell.kind == .code, cell.interpreter?.isKnown != true { kept.append(JSON.Member("onOneLine", .bool(true))) }
        cell.metadata.removeAll { $0.name == member }
        if !kept.isEmpty { cell.metadata.append(JSON.Member(member, .object(kept.sortedByName))) }
        cell.metadata = cell.metadata.sortedByName
        return cell
    }

    private static func number(_ value: JSON?) -> Double? {
        switch value {
        case .int(let n)?: Double(n)
        case .double(let d)?: d
        case .string(let text)?: Double(text)
        default: nil
        }
    }

    // MARK: Charts

    private static let modes: [(String, ChartSpec.Kind)] = [("multiBarChart", .bar), ("lineChart", .line), ("stackedAreaChart", .area), ("pieChart", .pie), ("scatterChart", .scatter)]

    /// The chart that a paragraph's first result is shown as; nil for a table.
    private static func chart(in config: JSON?) -> ChartSpec? {
        let graph = (config?["results"]?["0"] ?? config?["results"]?.array?.first)?["graph"] ?? config?["graph"]
        guard let mode = graph?["mode"]?.string, let kind = modes.first(where: { $0.0 == mode })?.1 else { return nil }
        func names(_ list: String) -> [String] { graph?[list]?.array?.compactMap { $0["name"]?.string } ?? [] }
        if kind == .scatter {
            let axes = graph?["scatter"] ?? graph?["setting"]?["scatterChart"]
            return ChartSpec(.scatter, x: axes?["xAxis"]?["name"]?.string ?? names("keys").first, y: axes?["yAxis"]?["name"]?.string.map { [$0] } ?? names("values"), group: axes?["group"]?["name"]?.string)
        }
        // Zeppelin sums unless told otherwise; bars and slices do so here as well.
        let said = graph?["values"]?.array?.first?["aggr"]?.string.flatMap(ChartSpec.Aggregate.init)
        let isUsual = said == .sum && (kind == .bar || kind == .pie)
        return ChartSpec(kind, x: names("keys").first, y: names("values"), group: names("groups").first, aggregate: isUsual ? nil : said)
    }

    private static func graph(_ spec: ChartSpec) -> JSON {
        // It has no last value.
        let aggregate = spec.aggregate.flatMap { $0 == .last ? nil : $0 } ?? .sum
        func columns(_ names: [String]) -> JSON {
            .array(names.enumerated().map { .object([JSON.Member("name", .string($1)), JSON.Member("index", .double(Double($0))), JSON.Member("aggr", .string(aggregate.rawValue))]) })
        }
        let mode = modes.first { $0.1 == spec.kind }?.0 ?? "table"
        var members = [JSON.Member("mode", .string(mode)), JSON.Member("height", .double(300)), JSON.Member("optionOpen", .bool(false)), JSON.Member("setting", .object([])),
                       JSON.Member("commonSetting", .object([])), JSON.Member("keys", columns(spec.x.map { [$0] } ?? [])), JSON.Member("groups", columns(spec.group.map { [$0] } ?? [])),
                       JSON.Member("values", columns(spec.y))]
        if spec.kind == .scatter {
            func axis(_ name: String?) -> JSON? { name.map { .object([JSON.Member("name", .string($0)), JSON.Member("index", .double(0)), JSON.Member("aggr", .string("sum"))]) } }
            let axes = [("xAxis", axis(spec.x)), ("yAxis", axis(spec.y.first)), ("group", axis(spec.group))].compactMap { name, value in value.map { JSON.Member(name, $0) } }
            members[3].value = .object([JSON.Member("scatterChart", .object(axes))])
        }
        return .object(members)
    }

    // MARK: Writing

    /// - Parameter name: the note's, when the notebook brings none.
    package static func text(_ notebook: Notebook, name: String = "Notebook") -> String {
        let kept = notebook.metadata[member], others = notebook.metadata.filter { $0.name != member }
        var fields = [JSON.Member("paragraphs", .array(notebook.cells.enumerated().map { paragraph($1, at: $0) }))]
        let name = kept?["name"]?.string ?? name
        fields.append(JSON.Member("name", .string(name)))
        fields.append(JSON.Member("id", .string(kept?["id"]?.string ?? identity(name, count: 9))))
        fields.append(JSON.Member("defaultInterpreterGroup", .string(kept?["defaultInterpreterGroup"]?.string ?? "flink")))
        fields.append(JSON.Member("version", .string("0.11.2")))
        fields.append(JSON.Member("noteParams", kept?["noteParams"] ?? .object([])))
        fields += [JSON.Member("noteForms", .object([])), JSON.Member("angularObjects", .object([]))]
        var config = [JSON.Member("isZeppelinNotebookCronEnable", .bool(false))]
        if !others.isEmpty { config.append(JSON.Member(ours, .object(others))) }
        fields += [JSON.Member("config", .object(config)), JSON.Member("info", .object([]))]
        return PrettyJSON.text(.object(fields), indent: 2, isSorted: false) + "\n"
    }

    private static func paragraph(_ cell: NotebookCell, at index: Int) -> JSON {
        let kept = cell.metadata[member], others = cell.metadata.filter { $0.name != member }
        let isImplied = cell.kind == .code && cell.interpreter == nil
        let interpreter = cell.interpreter ?? CellInterpreter(cell.kind == .code ? "flink.ssql" : "md")
        let isOnOneLine = kept?["onOneLine"] == .bool(true)
        let text = interpreter.text + (isOnOneLine ? " " : "\n") + cell.source
        let language = cell.kind == .code ? cell.language : .markdown
        let mode = switch language {
        case .sql: "sql"
        case .markdown: "markdown"
        case .python: "python"
        case .shell: "sh"
        case .scala: "scala"
        case .swift, .other: "text"
        }
        var config = [JSON.Member("colWidth", kept?["colWidth"] ?? .double(12)), JSON.Member("fontSize", .double(9)), JSON.Member("enabled", kept?["enabled"] ?? .bool(true)),
                      JSON.Member("title", .bool(cell.title != nil)), JSON.Member("runOnSelectionChange", kept?["runOnSelectionChange"] ?? .bool(true)),
                      JSON.Member("editorHide", cell.kind == .code ? kept?["editorHide"] ?? .bool(false) : .bool(true)), JSON.Member("tableHide", kept?["tableHide"] ?? .bool(false)),
                      JSON.Member("editorMode", .string("ace/mode/" + mode)),
                      JSON.Member("editorSetting", .object([JSON.Member("language", .string(mode)), JSON.Member("editOnDblClick", .bool(mode == "markdown"))]))]
        // A directive that cannot be read stays in the text, and is reported when the cell runs.
        let chart = (try? CellDirectives(of: cell))?.chart
        config.append(JSON.Member("results", .object(chart.map { [JSON.Member("0", .object([JSON.Member("graph", graph($0)), JSON.Member("helium", .object([]))]))] } ?? [])))
        var special: [JSON.Member] = []
        if isImplied { special.append(JSON.Member("isImplied", .bool(true))) }
        if cell.kind == .raw { special.append(JSON.Member("kind", .string("raw"))) }
        if !cell.tags.isEmpty { special.append(JSON.Member("tags", .array(cell.tags.map { .string($0) }))) }
        if !others.isEmpty { special.append(JSON.Member("metadata", .object(others))) }
        config.append(JSON.Member(ours, .object(special)))
        var fields: [JSON.Member] = []
        if let title = cell.title { fields.append(JSON.Member("title", .string(title))) }
        let id = "paragraph_\(1_600_000_000_000 + Int64(index))_" + identity(text + (cell.title ?? ""), count: 10)
        fields += [JSON.Member("text", .string(text)), JSON.Member("user", .string("anonymous")), JSON.Member("config", .object(config)),
                   JSON.Member("settings", .object([JSON.Member("params", kept?["params"] ?? .object([])), JSON.Member("forms", forms(of: cell))])), JSON.Member("apps", .array([])),
                   JSON.Member("progressUpdateIntervalMs", .int(500)), JSON.Member("jobName", .string(id)), JSON.Member("id", .string(id)), JSON.Member("status", .string("READY"))]
        return .object(fields)
    }

    private static func forms(of cell: NotebookCell) -> JSON {
        var members: [JSON.Member] = []
        for form in NotebookParameters.places(in: cell).compactMap(\.form) {
            let types: [ParameterForm.Kind: String] = [.text: "TextBox", .select: "Select", .checkbox: "CheckBox", .password: "Password"]
            var fields = [JSON.Member("type", .string(types[form.kind]!))]
            if !form.options.isEmpty {
                fields.append(JSON.Member("options", .array(form.options.map { option in
                    .object([JSON.Member("value", .string(option.value))] + (option.label.map { [JSON.Member("displayName", .string($0))] } ?? []))
                })))
            }
            fields += [JSON.Member("name", .string(form.name)), JSON.Member("displayName", .string(form.label ?? form.name))]
            if let value = form.defaultValue {
                fields.append(JSON.Member("defaultValue", form.kind == .checkbox ? .array(ParameterForm.split(value).map { .string($0) }) : .string(value)))
            }
            fields.append(JSON.Member("hidden", .bool(false)))
            members = members.setting(form.name, .object(fields))
        }
        return .object(members)
    }

    /// The same for the same text, so that writing a notebook twice gives the same file.
    private static func identity(_ text: String, count: Int) -> String {
        let digits = Array("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String((0..<count).map { i in i == 0 ? "2" : digits[Int(hash >> UInt64(5 * i) & 31)] })
    }
}
