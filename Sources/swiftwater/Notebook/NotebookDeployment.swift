import Foundation
import Notebook
import StreamCore
import StreamSQL

/// A topology made of a notebook's cells: the chosen ones, and what they need of those before them.
struct NotebookDeployment {
    let text: String
    /// What is not part of it, for the reader.
    let leftOut: [String]

    private struct Piece {
        var cell: Int, isChosen: Bool
        var statement: Statement
    }

    /// - Parameters:
    ///   - choice: cells from 1, ranges, titles and tags with commas between: `2,4-6,insert`; nil = all.
    ///   - settings: written in front, as SET.
    init(_ plan: NotebookPlan, choice: String?, settings: [(key: String, value: String)]) throws {
        let chosen = try Self.cells(plan.notebook, choice, plan.path)
        var pieces: [Piece] = [], leftOut: [String] = [], scoped: [(key: String, value: String)] = []
        for (index, entry) in plan.requests.enumerated() where index <= (chosen.max() ?? -1) {
            guard let (request, _) = entry else { continue }
            let isChosen = chosen.contains(index), name = plan.notebook.cells[index].name(index)
            guard ["flink.ssql", "flink.bsql"].contains(request.interpreter.name) else {
                if isChosen { leftOut.append("\(name): %\(request.interpreter.name) is no part of a job") }
                continue
            }
            let text = String(repeating: "\n", count: max(0, request.line - 1)) + request.source
            for statement in try SQLParser(text: text, file: plan.path).parseScript() { pieces.append(Piece(cell: index, isChosen: isChosen, statement: statement)) }
            if isChosen { scoped += try CellQueryOptions(request).settings }
        }
        var kept: [Piece] = []
        for piece in pieces {
            switch Self.role(piece.statement) {
            case .environment, .definition: kept.append(piece)
            case .insert: if piece.isChosen { kept.append(piece) }
            case .look: if piece.isChosen { leftOut.append("\(plan.notebook.cells[piece.cell].name(piece.cell)): a job shows no rows: \(Self.short(piece.statement))") }
            }
        }
        guard kept.contains(where: { if case .insert = Self.role($0.statement) { true } else { false } }) else {
            throw StreamError(.validate, "the \(choice == nil ? "notebook writes" : "chosen cells write") nothing: there is no INSERT in \(choice == nil ? "it" : "them")", fix: "choose a cell with INSERT INTO ... SELECT, with --cells")
        }
        // What nothing that is kept names is not needed, but for what the chosen cells define themselves.
        var needed = Set<String>(), texts: [String] = [], out: [Piece] = []
        for piece in kept.reversed() {
            if case .definition(let name?) = Self.role(piece.statement), !piece.isChosen {
                let name = name.lowercased(), isWord = Self.words(name) == [name]
                guard isWord ? needed.contains(name) : texts.contains(where: { $0.contains(name) }) else { continue }
            }
            needed.formUnion(Self.words(piece.statement.text))
            texts.append(piece.statement.text.lowercased())
            out.append(piece)
        }
        out.reverse()
        var lines = ["-- From \(plan.path.split(separator: "/").last ?? "a notebook")" + (choice.map { ", cells \($0)" } ?? "") + "."]
        let given = Set(settings.map(\.key))
        for (key, value) in scoped.filter({ !given.contains($0.key) }) + settings { lines.append("SET '\(key)' = '\(value.replacing("'", with: "''"))';") }
        lines.append("")
        // What the command line sets stands for what the notebook sets.
        for piece in out {
            if case .set(let key, _) = piece.statement.node, given.contains(key) { continue }
            lines += [piece.statement.text.trimmedOfSpace + ";", ""]
        }
        (text, self.leftOut) = (lines.joined(separator: "\n"), leftOut)
    }

    private enum Role { case environment, definition(String?), insert, look }

    private static func role(_ statement: Statement) -> Role {
        switch statement.node {
        case .createTable(let table): .definition(table.name.parts.last)
        case .createView(let view): .definition(view.name.parts.last)
        case .insert, .statementSet: .insert
        case .set, .reset: .environment
        case .drop: .environment
        case .query, .explain, .describe, .showSettings, .help, .quit: .look
        case .catalog: statement.text.trimmedOfSpace.uppercased().hasPrefix("SHOW") || statement.text.trimmedOfSpace.uppercased().hasPrefix("DESC") ? .look : .environment
        }
    }

    private static func short(_ statement: Statement) -> String {
        let line = statement.text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.count > 60 ? line.prefix(59) + "…" : line
    }

    private static func words(_ text: String) -> Set<String> {
        Set(text.lowercased().split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "$") }.map(String.init))
    }

    /// Positions of cells that the choice names.
    static func cells(_ notebook: Notebook, _ choice: String?, _ path: String) throws -> Set<Int> {
        guard let choice else { return Set(notebook.cells.indices) }
        var out: Set<Int> = []
        for part in choice.split(separator: ",").map({ $0.trimmingPrefix(" ") }) {
            let text = String(part).trimmedOfSpace
            let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            if ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil {
                guard first >= 1, last >= first, last <= notebook.cells.count else {
                    throw StreamError(.validate, "--cells \(text): \(path) has the cells 1 to \(notebook.cells.count)", fix: "count Markdown cells, too")
                }
                out.formUnion(first - 1...last - 1)
                continue
            }
            let found = notebook.cells.indices.filter { notebook.cells[$0].title?.lowercased() == text.lowercased() || notebook.cells[$0].tags.contains(text) }
            guard !found.isEmpty else {
                let names = notebook.cells.compactMap(\.title) + notebook.cells.flatMap(\.tags)
                throw StreamError(.validate, "--cells \(text): no cell has this title or tag", fix: NearName.hint(for: text, in: names) ?? "give numbers: 2,4-6")
            }
            out.formUnion(found)
        }
        return out
    }
}

extension String {
    var trimmedOfSpace: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
