import StreamCore

/// A notebook with what its cells did, for programs.
package enum JSONPage {
    /// One JSON object and a line feed: `title`, `state`, `milliseconds`, `parameters`, and `cells` with their `source`, `state`, `outputs` and `error`.
    package static func text(notebook: Notebook, results: [CellResult], title: String, parameters: [(name: String, value: String)] = []) -> String {
        let byCell = Dictionary(results.map { ($0.cell, $0) }) { $1 }
        let members: [JSON.Member] = [
            .init("title", .string(title)), .init("state", .string(PageText.state(results).rawValue)), .init("milliseconds", .int(results.reduce(0) { $0 + $1.milliseconds })),
            .init("parameters", .object(parameters.map { .init($0.name, .string($0.value)) })),
            .init("cells", .array(notebook.cells.enumerated().map { cell($1, $0, byCell[$0]) })),
        ]
        return JSON.object(members).text() + "\n"
    }

    private static func cell(_ cell: NotebookCell, _ index: Int, _ result: CellResult?) -> JSON {
        var members: [JSON.Member] = [.init("cell", .int(Int64(index))), .init("kind", .string(cell.kind.rawValue))]
        if let title = cell.title { members.append(.init("title", .string(title))) }
        if let interpreter = cell.interpreter { members.append(.init("interpreter", .string(PageText.interpreter(interpreter)))) }
        if !cell.tags.isEmpty { members.append(.init("tags", .array(cell.tags.map { .string($0) }))) }
        members += [.init("line", .int(Int64(cell.line))), .init("source", .string(cell.source))]
        guard let result else { return .object(members) }
        members += [
            .init("state", .string(result.state.rawValue)), .init("startedAt", .int(result.startedAt)), .init("milliseconds", .int(result.milliseconds)),
            .init("outputs", .array(result.outputs.map(output))),
        ]
        if let error = result.error {
            members.append(.init("error", .object([
                .init("message", .string(error.message)), .init("line", error.line.map { .int(Int64($0)) } ?? .null), .init("column", error.column.map { .int(Int64($0)) } ?? .null),
            ])))
        }
        return .object(members)
    }

    package static func output(_ output: CellOutput) -> JSON {
        switch output {
        case .text(let text, let isError): .object([.init("type", .string("text")), .init("text", .string(text)), .init("isError", .bool(isError))])
        case .message(let text): .object([.init("type", .string("message")), .init("text", .string(text))])
        case .html(let html): .object([.init("type", .string("html")), .init("html", .string(html))])
        case .image(let type, let bytes): .object([.init("type", .string("image")), .init("mediaType", .string(type)), .init("base64", .string(Base64.text(bytes)))])
        case .table(let table, let chart): .object([.init("type", .string("table"))] + (table.json.members ?? []) + [.init("chart", chart?.json ?? .null)])
        }
    }
}

extension ResultTable {
    /// `columns`, `rows` and `total`.
    package var json: JSON {
        .object([
            .init("columns", .array(columns.map { .object([.init("name", .string($0.name)), .init("type", .string($0.type)), .init("isNumeric", .bool($0.isNumeric))]) })),
            .init("rows", .array(rows.map { .array($0) })), .init("total", .int(total)),
        ])
    }
}

extension ChartSpec {
    package var json: JSON {
        .object([
            .init("kind", .string(kind.rawValue)), .init("x", x.map { .string($0) } ?? .null), .init("y", .array(y.map { .string($0) })), .init("group", group.map { .string($0) } ?? .null),
            .init("title", title.map { .string($0) } ?? .null), .init("aggregate", aggregate.map { .string($0.rawValue) } ?? .null),
        ])
    }
}
