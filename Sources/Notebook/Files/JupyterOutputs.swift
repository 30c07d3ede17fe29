import StreamCore

/// What cells did, as a notebook's outputs.
enum JupyterOutputs {
    static func outputs(of result: CellResult, count: Int64, chart: (ResultTable, ChartSpec) -> String?) -> [JSON] {
        var outputs: [JSON] = [], stream: (name: String, text: String)?
        func flush() {
            guard let (name, text) = stream else { return }
            outputs.append(.object([JSON.Member("name", .string(name)), JSON.Member("output_type", .string("stream")), JSON.Member("text", JupyterNotebook.lines(text))]))
            stream = nil
        }
        func write(_ text: String, to name: String) {
            if stream?.name != name { flush() }
            stream = (name, (stream?.text ?? "") + text)
        }
        let last = result.outputs.lastIndex { if case .table = $0 { true } else { false } }
        for (i, output) in result.outputs.enumerated() {
            switch output {
            case .text(let text, let isError): write(text, to: isError ? "stderr" : "stdout")
            case .message(let text): write(text + "\n", to: "stdout")
            case .table(let table, let spec):
                flush()
                if let spec, spec.kind != .table, let svg = chart(table, spec) {
                    outputs.append(display([("image/svg+xml", JupyterNotebook.lines(svg)), ("text/plain", JupyterNotebook.lines(spec.title ?? "<\(spec.kind.rawValue) chart>"))]))
                }
                outputs.append(display([("text/html", JupyterNotebook.lines(table.html)), ("text/plain", JupyterNotebook.lines(table.plainText))], count: i == last ? count : nil))
            case .html(let html):
                flush()
                outputs.append(display([("text/html", JupyterNotebook.lines(html)), ("text/plain", .array([.string("<HTML>")]))]))
            case .image(let type, let bytes):
                flush()
                let data = type == "image/svg+xml" ? JupyterNotebook.lines(String(decoding: bytes, as: UTF8.self)) : .string(Base64.text(bytes) + "\n")
                outputs.append(display([(type, data), ("text/plain", .array([.string("<image>")]))]))
            }
        }
        flush()
        if let error = result.error {
            let place = error.line.map { line in "line \(line)" + (error.column.map { ":\($0)" } ?? "") + ": " } ?? ""
            outputs.append(.object([JSON.Member("ename", .string("Error")), JSON.Member("evalue", .string(error.message)), JSON.Member("output_type", .string("error")),
                                    JSON.Member("traceback", .array((place + error.message).splitLines.map { .string($0) }))]))
        }
        return outputs
    }

    private static func display(_ data: [(String, JSON)], count: Int64? = nil) -> JSON {
        var fields = [JSON.Member("data", .object(data.map { JSON.Member($0.0, $0.1) })), JSON.Member("metadata", .object([])),
                      JSON.Member("output_type", .string(count == nil ? "display_data" : "execute_result"))]
        if let count { fields.append(JSON.Member("execution_count", .int(count))) }
        return .object(fields)
    }
}

extension ResultTable {
    /// A cell as it is shown: text as it is, NULL by name.
    static func shown(_ value: JSON) -> String {
        switch value {
        case .string(let text): text
        case .null: "NULL"
        default: value.text()
        }
    }

    /// What says that there are more rows than these; empty when there are not.
    private var remainder: String { total > Int64(rows.count) ? "the newest \(rows.count) of \(total) rows" : "" }

    var plainText: String {
        let cells = [columns.map(\.name)] + rows.map { row in row.map { Self.shown($0).splitLines.joined(separator: " ") } }
        let widths = columns.indices.map { column in cells.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        var lines = cells.map { row in
            columns.indices.map { column in
                let text = column < row.count ? row[column] : "", space = String(repeating: " ", count: widths[column] - text.count)
                return columns[column].isNumeric ? space + text : text + space
            }.joined(separator: "  ").trimmedAtEnd
        }
        lines.insert(widths.map { String(repeating: "-", count: $0) }.joined(separator: "  "), at: 1)
        if !remainder.isEmpty { lines.append("(\(remainder))") }
        return lines.joined(separator: "\n")
    }

    var html: String {
        func escaped(_ text: String) -> String {
            text.unicodeScalars.reduce(into: "") { out, c in
                switch c {
                case "&": out += "&amp;"
                case "<": out += "&lt;"
                case ">": out += "&gt;"
                case "\"": out += "&quot;"
                default: out.unicodeScalars.append(c)
                }
            }
        }
        var html = "<table>\n<thead><tr>" + columns.map { "<th title=\"\(escaped($0.type))\">\(escaped($0.name))</th>" }.joined() + "</tr></thead>\n<tbody>\n"
        for row in rows {
            html += "<tr>" + zip(columns, row).map { column, value in
                (column.isNumeric ? "<td style=\"text-align: right\">" : "<td>") + escaped(Self.shown(value)) + "</td>"
            }.joined() + "</tr>\n"
        }
        html += "</tbody>\n</table>"
        return remainder.isEmpty ? html : html + "\n<p>\(remainder)</p>"
    }
}

/// JSON as nbformat and Zeppelin write it: over several lines.
enum PrettyJSON {
    /// With a space of indent a level and sorted names, as `json.dumps(indent=1, sort_keys=True)`; or in the members' order.
    static func text(_ value: JSON, indent: Int = 1, isSorted: Bool = true) -> String {
        var out = ""
        write(value, indent, isSorted, 0, &out)
        return out
    }

    private static func write(_ value: JSON, _ indent: Int, _ isSorted: Bool, _ depth: Int, _ out: inout String) {
        func newLine(_ depth: Int) { out += "\n" + String(repeating: " ", count: indent * depth) }
        switch value {
        case .array(let items) where !items.isEmpty:
            out += "["
            for (i, item) in items.enumerated() {
                if i > 0 { out += "," }
                newLine(depth + 1)
                write(item, indent, isSorted, depth + 1, &out)
            }
            newLine(depth)
            out += "]"
        case .object(let members) where !members.isEmpty:
            out += "{"
            let sorted = isSorted ? members.sortedByName : members
            for (i, member) in sorted.enumerated() {
                if i > 0 { out += "," }
                newLine(depth + 1)
                out += PythonLiteral.quoted(member.name, isASCII: false) + ": "
                write(member.value, indent, isSorted, depth + 1, &out)
            }
            newLine(depth)
            out += "}"
        case .string(let text): out += PythonLiteral.quoted(text, isASCII: false)
        default: out += value.text()
        }
    }
}
