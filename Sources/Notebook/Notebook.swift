import StreamCore

/// A notebook, whatever file it came from: cells in order.
package struct Notebook: Sendable, Hashable {
    package var cells: [NotebookCell]
    /// What the file says of the whole notebook, as it stood there: kernelspec, jupytext's header, Zeppelin's settings.
    package var metadata: [JSON.Member]

    package init(cells: [NotebookCell] = [], metadata: [JSON.Member] = []) { (self.cells, self.metadata) = (cells, metadata) }
}

package struct NotebookCell: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable { case code, markdown, raw }

    package var kind: Kind
    package var title: String?
    /// What runs the cell; nil = the notebook's own, `flink.ssql`.
    package var interpreter: CellInterpreter?
    /// The cell's text without marker, interpreter line and comment prefixes: statements, Markdown, Python.
    package var source: String
    package var tags: [String]
    /// Further metadata of the cell, as it stood in the file.
    package var metadata: [JSON.Member]
    /// Of `source`'s first line in a text file, from 1; 1 where the file has no lines.
    package var line: Int
    /// Characters that stand before `source` in each of its lines in a text file: the comment prefix, 0 for SQL.
    package var indent: Int

    package init(kind: Kind = .code, title: String? = nil, interpreter: CellInterpreter? = nil, source: String, tags: [String] = [],
                 metadata: [JSON.Member] = [], line: Int = 1, indent: Int = 0) {
        (self.kind, self.title, self.interpreter, self.source, self.tags, self.metadata, self.line, self.indent) =
            (kind, title, interpreter, source, tags, metadata, line, indent)
    }

    /// Whether the cell's lines say what parameters there are: a tag, as papermill has it.
    package var isParameters: Bool { tags.contains("parameters") }
}

/// `%flink.ssql(type=update, refreshInterval=1000)`: what runs a cell, and how.
package struct CellInterpreter: Sendable, Hashable {
    /// `flink.ssql`, `flink.bsql`, `md`, `sh`, `python`, `flink.pyflink`, `swift`.
    package var name: String
    package var properties: [Property]

    package struct Property: Sendable, Hashable {
        package var name: String, value: String
        package init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
    }

    package init(_ name: String, _ properties: [Property] = []) { (self.name, self.properties) = (name, properties) }

    package subscript(name: String) -> String? { properties.last { $0.name == name }?.value }
}
