import StreamCore

/// Files that hold notebooks, by the ends of their names.
package enum NotebookFile {
    package enum Format: String, Sendable, Hashable, CaseIterable {
        /// `.sql`: cells apart by `-- %%`; a script without a marker is one cell.
        case script
        /// `.ipynb`
        case jupyter
        /// `.zpln`
        case zeppelin

        package var fileExtension: String {
            switch self {
            case .script: "sql"
            case .jupyter: "ipynb"
            case .zeppelin: "zpln"
            }
        }
    }

    /// - Throws: `.validate` when the name has another end.
    package static func format(of path: String) throws -> Format {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let end = name.lastIndex(of: ".").map { name[name.index(after: $0)...].lowercased() } ?? ""
        if let format = Format.allCases.first(where: { $0.fileExtension == end }) { return format }
        // What Zeppelin before 0.9 wrote.
        if end == "json" { return .zeppelin }
        throw StreamError(.validate, "\(path) is not named as a notebook", fix: "name it .sql (a script with cells), .ipynb (Jupyter) or .zpln (Zeppelin)")
    }

    /// - Throws: `.validate`, `.corrupt` or `.parse` when it is no notebook, with the place in a script.
    package static func parse(_ bytes: [UInt8], path: String) throws -> Notebook {
        switch try format(of: path) {
        case .script: return try PercentScript.parse(text(bytes, path: path), file: path)
        case .jupyter: return try JupyterNotebook.parse(bytes, path: path)
        case .zeppelin: return try ZeppelinNote.parse(bytes, path: path)
        }
    }

    /// - Throws: `.corrupt` when the bytes are not UTF-8.
    package static func text(_ bytes: [UInt8], path: String) throws -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.utf8.count == bytes.count, text.utf8.elementsEqual(bytes) else {
            let line = zip(text.utf8, bytes).prefix { $0 == $1 }.count { $0.0 == 0x0A } + 1
            throw StreamError(.corrupt, "\(path) is not UTF-8 in line \(line)", fix: "save it as UTF-8")
        }
        return text
    }

    /// - Parameter name: of a Zeppelin note; other formats have no place for it.
    /// - Throws: `.validate` when the format cannot hold a cell.
    package static func text(of notebook: Notebook, as format: Format, name: String = "Notebook", results: [CellResult] = [],
                             chart: (ResultTable, ChartSpec) -> String? = { _, _ in nil }) throws -> String {
        switch format {
        case .script: try PercentScript.text(notebook)
        case .jupyter: JupyterNotebook.text(notebook, results: results, chart: chart)
        case .zeppelin: ZeppelinNote.text(notebook, name: name)
        }
    }
}
