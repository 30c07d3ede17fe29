import Foundation
import Notebook
import StreamCore

/// A cell as the page knows it.
struct StudioCell: Sendable, Hashable {
    /// Stays while the cell is edited or moved; another one after the daemon has started anew.
    let id: String
    var cell: NotebookCell

    /// Of all that an edit changes: an edit of another state is refused.
    var hash: String {
        let parts = [cell.kind.rawValue, interpreter, cell.title ?? "", cell.source] + cell.tags
        return StudioFiles.hash(Array(parts.joined(separator: "\0").utf8))
    }

    /// As the kernel takes it.
    var interpreter: String { cell.interpreter.map { String($0.text.dropFirst()) } ?? "flink.ssql" }
    var language: CellLanguage { cell.kind == .raw ? .other : cell.language }
    var isSQL: Bool { language == .sql }
    var canRun: Bool { cell.kind == .code && !cell.isParameters && [.sql, .python, .shell, .swift].contains(language) }
    var isBlank: Bool { cell.source.allSatisfy(\.isWhitespace) }

    /// None of them, when one cannot be read: the kernel says what is wrong with it.
    var directives: CellDirectives { (try? CellDirectives(of: cell)) ?? CellDirectives() }

    private static func json(_ chart: ChartSpec) -> JSON {
        FlinkAnswers.object([
            "kind": .string(chart.kind.rawValue), "x": chart.x.map { .string($0) } ?? .null, "y": .array(chart.y.map { .string($0) }), "group": chart.group.map { .string($0) } ?? .null,
            "title": chart.title.map { .string($0) } ?? .null, "aggregate": chart.aggregate.map { .string($0.rawValue) } ?? .null,
        ])
    }

    var json: JSON {
        let name = switch language {
        case .sql: "sql"
        case .markdown: "markdown"
        case .python: "python"
        case .shell: "sh"
        case .swift: "swift"
        case .scala, .other: "text"
        }
        return FlinkAnswers.object([
            "id": .string(id), "hash": .string(hash), "kind": .string(cell.kind.rawValue), "interpreter": .string(cell.interpreter?.text ?? ""), "title": .string(cell.title ?? ""),
            "source": .string(cell.source), "tags": .array(cell.tags.map { .string($0) }), "line": .int(Int64(cell.line)), "language": .string(name), "isParameters": .bool(cell.isParameters),
            "canRun": .bool(canRun), "chart": directives.chart.map(Self.json) ?? .null, "html": cell.kind == .markdown ? .string(StudioDocument.html(cell.source)) : .null,
        ])
    }
}

/// A notebook's text and its cells. Edits of a script change the lines of one cell and no other byte.
struct StudioDocument: Sendable {
    struct Change: Sendable {
        var source: String?
        /// `%flink.ssql(type=update)`, with or without the percent sign; empty = the notebook's own.
        var interpreter: String?
        /// Empty = none.
        var title: String?
        var kind: NotebookCell.Kind?
    }

    let name: String
    private(set) var bytes: [UInt8]
    private(set) var cells: [StudioCell]
    let hash: String
    /// nil for other forms than scripts: they are shown and run, and not changed.
    private let script: PercentDocument?
    private var nextID: Int

    static let cellsMax = 2_000

    init(_ bytes: [UInt8], name: String) throws {
        let (script, found) = try Self.parse(bytes, name)
        (self.name, self.bytes, self.script, hash) = (name, bytes, script, StudioFiles.hash(bytes))
        cells = found.enumerated().map { StudioCell(id: "c\($0 + 1)", cell: $1) }
        nextID = found.count + 1
    }

    /// The same notebook with another text: cells that are there again keep their ids.
    init(_ bytes: [UInt8], name: String, after before: StudioDocument) throws {
        let (script, found) = try Self.parse(bytes, name)
        (self.name, self.bytes, self.script, hash, nextID) = (name, bytes, script, StudioFiles.hash(bytes), before.nextID)
        cells = []
        for (id, cell) in zip(Self.match(before.cells, found), found) {
            cells.append(StudioCell(id: id ?? "c\(nextID)", cell: cell))
            if id == nil { nextID += 1 }
        }
    }

    /// The ids of the old cells for the new ones: of equal cells in their order, and of what stands between them one by one.
    private static func match(_ old: [StudioCell], _ new: [NotebookCell]) -> [String?] {
        struct Text: Hashable { var kind: NotebookCell.Kind, source: String }
        let before = old.map { Text(kind: $0.cell.kind, source: $0.cell.source) }, after = new.map { Text(kind: $0.kind, source: $0.source) }
        var removed: Set<Int> = [], inserted: Set<Int> = []
        for change in after.difference(from: before) {
            switch change {
            case .remove(let at, _, _): removed.insert(at)
            case .insert(let at, _, _): inserted.insert(at)
            }
        }
        var out = [String?](repeating: nil, count: new.count)
        var i = 0, j = 0
        while i < old.count || j < new.count {
            // A stretch of cells that differ, then one that is the same.
            let oldStart = i, newStart = j
            while i < old.count, removed.contains(i) { i += 1 }
            while j < new.count, inserted.contains(j) { j += 1 }
            for (a, b) in zip(oldStart..<i, newStart..<j) { out[b] = old[a].id }
            if i < old.count, j < new.count { out[j] = old[i].id }
            i += 1
            j += 1
        }
        return out
    }

    // MARK: Forms of files

    private static func parse(_ bytes: [UInt8], _ name: String) throws -> (script: PercentDocument?, cells: [NotebookCell]) {
        let file = name.split(separator: "/").last.map(String.init) ?? name
        var script: PercentDocument?
        if try NotebookFile.format(of: name) == .script { script = try PercentDocument(try NotebookFile.text(bytes, path: file), file: file) }
        let cells = try script?.cells ?? NotebookFile.parse(bytes, path: file).cells
        guard cells.count <= cellsMax else { throw StreamError(.validate, "\(name) has \(cells.count) cells; the page opens notebooks of up to \(cellsMax)", fix: "split it") }
        return (script, cells)
    }

    /// A new notebook.
    static func empty(name: String, title: String?) throws -> [UInt8] {
        guard try NotebookFile.format(of: name) == .script else {
            throw StreamError(.validate, "\(name) is no script, and only scripts are changed here", fix: "give it a name that ends with .sql; swiftwater notebook convert makes other forms of it")
        }
        let heading = title.flatMap { $0.isEmpty ? nil : $0 } ?? name.split(separator: "/").last.map { String($0.prefix { $0 != "." }) } ?? name
        let cells = [NotebookCell(kind: .markdown, source: "# " + heading), NotebookCell(kind: .code, source: "")]
        return Array(try PercentScript.text(Notebook(cells: cells)).utf8)
    }

    static func html(_ markdown: String) -> String { MarkdownHTML.text(markdown) }

    // MARK: Looking

    func cell(_ id: String) -> StudioCell? { cells.first { $0.id == id } }

    func index(_ id: String) throws -> Int {
        guard let at = cells.firstIndex(where: { $0.id == id }) else {
            throw StreamError(.validate, "\(name) has no cell '\(id.prefix(50))': it may have been deleted", fix: "GET the notebook for its cells").notFound
        }
        return at
    }

    /// The first heading of a text, else the file's name.
    var title: String {
        for cell in cells where cell.cell.kind == .markdown {
            for line in cell.cell.source.split(whereSeparator: \.isNewline) where line.hasPrefix("#") {
                let text = line.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces)
                if !text.isEmpty { return String(text.prefix(200)) }
            }
        }
        return name.split(separator: "/").last.map { String($0) } ?? name
    }

    /// What the notebook asks its reader for; none while it cannot be read, which running it tells.
    var parameterForms: JSON {
        let forms = (try? NotebookParameters(cells: cells.map(\.cell), file: name))?.forms ?? []
        return .array(forms.map { form in
            FlinkAnswers.object([
                "name": .string(form.name), "label": .string(form.label ?? form.name), "kind": .string(form.kind.rawValue), "default": form.value.map { .string($0) } ?? .null, "separator": .string("|"),
                "options": .array(form.options.map { FlinkAnswers.object(["value": .string($0.value), "label": .string($0.label ?? $0.value)]) }),
            ])
        })
    }

    /// The values of parameters: what the reader chose, else what the notebook says.
    /// - Throws: `.validate` when a value is none of a form's options.
    func parameters(chosen: [String: String]) throws -> [JSON.Member] {
        let known = try NotebookParameters(cells: cells.map(\.cell), file: name).forms
        let values = try NotebookParameters(cells: cells.map(\.cell), overrides: chosen.filter { choice in known.contains { $0.name == choice.key } }, file: name)
        return values.forms.compactMap { form in form.value.map { .init(form.name, .string($0)) } }
    }

    var isEditable: Bool { script != nil }

    func json(_ path: String, epoch: String) -> JSON {
        FlinkAnswers.object([
            "path": .string(path), "epoch": .string(epoch), "title": .string(title), "etag": .string(hash), "isEditable": .bool(isEditable), "cells": .array(cells.map(\.json)), "parameters": parameterForms,
        ])
    }

    // MARK: Changing

    private func check(_ at: Int, hash: String) throws {
        guard cells[at].hash != hash else { return }
        throw StreamError(.conflict, "the cell has been changed by another reader, or in the file, since it was read", fix: "GET the notebook, look at the cell's present text, and send the change with its hash")
    }

    private func editable() throws -> PercentDocument {
        guard let script else {
            let target = name.split(separator: "/").last.map { String($0.prefix { $0 != "." }) } ?? "notebook"
            throw StreamError(.validate, "\(name) is shown and run here, and not changed", fix: "make a script of it: swiftwater notebook convert \(name) \(target).sql")
        }
        return script
    }

    mutating func change(_ id: String, hash: String, _ change: Change) throws {
        let at = try index(id), script = try editable()
        try check(at, hash: hash)
        let before = cells[at].cell, cell = try Self.applied(change, to: before)
        guard cell != before else { return }
        var expected = cells
        expected[at].cell = cell
        try take(try script.replacing(at, with: cell), expected)
    }

    /// - Returns: the new cell's id.
    mutating func insert(after id: String?, _ change: Change) throws -> String {
        let at = try id.map { try index($0) + 1 } ?? 0, script = try editable()
        guard cells.count < Self.cellsMax else { throw StreamError(.conflict, "there are \(cells.count) cells already", fix: "begin another notebook") }
        let cell = try Self.applied(change, to: NotebookCell(kind: change.kind ?? .code, source: ""))
        let made = "c\(nextID)"
        nextID += 1
        var expected = cells
        expected.insert(StudioCell(id: made, cell: cell), at: at)
        try take(try script.inserting(cell, at: at), expected)
        return made
    }

    mutating func remove(_ id: String, hash: String) throws {
        let at = try index(id), script = try editable()
        try check(at, hash: hash)
        var expected = cells
        expected.remove(at: at)
        try take(try script.removing(at), expected)
    }

    mutating func move(_ id: String, after other: String?) throws {
        let from = try index(id), script = try editable()
        guard other != id else { return }
        let target = try other.map { try index($0) + 1 } ?? 0
        let to = target > from ? target - 1 : target
        guard to != from else { return }
        var expected = cells
        expected.insert(expected.remove(at: from), at: to)
        try take(try script.moving(from, to: to), expected)
    }

    private static func applied(_ change: Change, to cell: NotebookCell) throws -> NotebookCell {
        var cell = cell, source = change.source, interpreter = change.interpreter
        if let kind = change.kind { cell.kind = kind }
        // A paragraph as it is pasted from elsewhere begins with its interpreter.
        if cell.kind == .code, interpreter == nil || interpreter == (cell.interpreter?.text ?? ""), let text = source, let (pasted, end) = try CellInterpreter.parse(text), pasted.isKnown {
            let rest = text[end...]
            if rest.allSatisfy(\.isWhitespace) || rest.prefix(while: { !$0.isNewline }).allSatisfy(\.isWhitespace) {
                interpreter = pasted.text
                source = String(rest.drop { !$0.isNewline }.dropFirst())
            }
        }
        if let source { cell.source = source }
        if let title = change.title { cell.title = title.isEmpty ? nil : title }
        if let text = interpreter {
            if text.isEmpty {
                cell.interpreter = nil
            } else {
                let spelled = text.hasPrefix("%") ? text : "%" + text
                guard let (found, end) = try CellInterpreter.parse(spelled), end == spelled.endIndex, found.isKnown else {
                    let known = CellInterpreter.known.map { "%" + $0 }
                    throw StreamError(.validate, "'\(text.prefix(80))' is no interpreter", fix: NearName.hint(for: spelled, in: known) ?? "write one of " + known.joined(separator: ", "))
                }
                cell.kind = found.language == .markdown ? .markdown : .code
                cell.interpreter = cell.kind == .markdown ? nil : found
            }
        }
        // jupytext's own spelling of a language goes with it.
        if interpreter != nil { cell.metadata.removeAll { $0.name == "language" } }
        if cell.kind == .markdown { cell.interpreter = nil }
        return cell
    }

    /// Takes the edited script; it must hold the cells that were wanted.
    private mutating func take(_ next: PercentDocument, _ expected: [StudioCell]) throws {
        let found = next.cells
        let isAsWanted = found.count == expected.count && zip(found, expected).allSatisfy { Self.isSame($0.source, $1.cell.source) && $0.kind == $1.cell.kind && $0.interpreter == $1.cell.interpreter }
        guard isAsWanted else {
            throw StreamError(.validate, "the text holds a line that would begin another cell, or reads as an interpreter", fix: "change lines that begin with -- %% or %")
        }
        var made = try StudioDocument(Array(next.text.utf8), name: name)
        made.cells = zip(expected, found).map { StudioCell(id: $0.id, cell: $1) }
        made.nextID = nextID
        self = made
    }

    private static func isSame(_ a: String, _ b: String) -> Bool {
        func trimmed(_ text: String) -> Substring { text[...].dropLast(text.reversed().prefix { $0.isWhitespace }.count) }
        return trimmed(a) == trimmed(b)
    }
}
