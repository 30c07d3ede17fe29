import Notebook
import StreamCore
import struct StreamCore.Host

/// A notebook that was read to be run: its parameters are known, and its cells are checked.
struct NotebookPlan {
    let path: String
    let notebook: Notebook
    let parameters: NotebookParameters
    /// One for each cell; nil for cells that do nothing: Markdown, raw text, parameters.
    let requests: [(request: CellRequest, mayFail: Bool)?]

    /// What every notebook may write without defining it.
    static func given(data: String, path: String) -> [String: String] {
        ["data": data, "notebook": path.split(separator: "/").last.map(String.init) ?? path]
    }

    init(path: String, overrides: [String: String], data: String) throws {
        self.path = path
        notebook = try NotebookFile.parse(Array(try Engine.read(path).utf8), path: path)
        parameters = try NotebookParameters(cells: notebook.cells, overrides: overrides, given: Self.given(data: data, path: path), file: path)
        let parameters = parameters
        requests = try notebook.cells.map { try Self.request($0, parameters, path) }
    }

    static func request(_ cell: NotebookCell, _ parameters: NotebookParameters, _ path: String?) throws -> (request: CellRequest, mayFail: Bool)? {
        guard cell.kind == .code, !cell.isParameters, cell.source.contains(where: { !$0.isWhitespace }) else { return nil }
        let directives = try CellDirectives(of: cell, file: path)
        let filled = try parameters.filled(cell)
        var request = CellRequest(interpreter: cell.interpreter ?? CellInterpreter("flink.ssql"), source: filled.text)
        (request.filled, request.written) = (filled, cell.source)
        (request.file, request.line, request.indent) = (path, cell.line, cell.indent)
        (request.chart, request.time, request.rows, request.isBackground) = (directives.chart, directives.duration, directives.rows, directives.isBackground)
        request.needs = directives.needs
        return (request, directives.allowsFailure)
    }

    /// `-p name=value` of the command line.
    static func overrides(_ options: [String]) throws -> [String: String] {
        var out: [String: String] = [:]
        for option in options {
            guard let split = option.firstIndex(of: "="), split != option.startIndex else {
                throw StreamError(.validate, "-p '\(option)' has no value", fix: "write -p name=value")
            }
            out[String(option[..<split])] = String(option[option.index(after: split)...])
        }
        return out
    }
}

extension NotebookCell {
    /// What to call the cell: its title, else where it begins.
    func name(_ index: Int) -> String { "cell \(index + 1)" + (title.map { " \"\($0)\"" } ?? "") }
}
