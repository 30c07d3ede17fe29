import StreamCore

/// What a cell did when it ran.
package struct CellResult: Sendable, Hashable {
    package enum State: String, Sendable, Hashable {
        case finished, failed
        /// By a limit of time or rows, or by the reader.
        case stopped
        /// A cell before it failed.
        case skipped
    }

    /// From 0, as in ``Notebook/cells``.
    package var cell: Int
    package var state: State
    package var outputs: [CellOutput]
    package var error: CellError?
    /// Milliseconds since 1970, and how long it took.
    package var startedAt: Int64
    package var milliseconds: Int64

    package init(cell: Int, state: State, outputs: [CellOutput] = [], error: CellError? = nil, startedAt: Int64 = 0, milliseconds: Int64 = 0) {
        (self.cell, self.state, self.outputs, self.error, self.startedAt, self.milliseconds) = (cell, state, outputs, error, startedAt, milliseconds)
    }
}

package enum CellOutput: Sendable, Hashable {
    /// What a program wrote; `isError` = on its standard error.
    case text(String, isError: Bool)
    /// What a statement without rows did: `table sensor_data created`.
    case message(String)
    case table(ResultTable, ChartSpec?)
    case html(String)
    /// `image/png` or `image/svg+xml`.
    case image(type: String, bytes: [UInt8])
}

/// Rows as they are shown. Numbers and booleans are such; everything else is text, as `CAST(x AS STRING)` writes it.
package struct ResultTable: Sendable, Hashable {
    package struct Column: Sendable, Hashable {
        package var name: String
        /// In SQL: `INT`, `TIMESTAMP(3)`.
        package var type: String
        package var isNumeric: Bool
        package init(name: String, type: String, isNumeric: Bool) { (self.name, self.type, self.isNumeric) = (name, type, isNumeric) }
    }

    package var columns: [Column]
    /// The newest of them when there are more than are shown.
    package var rows: [[JSON]]
    /// Rows that the result has; at least `rows.count`.
    package var total: Int64

    package init(columns: [Column], rows: [[JSON]], total: Int64? = nil) {
        (self.columns, self.rows, self.total) = (columns, rows, total ?? Int64(rows.count))
    }
}

package struct CellError: Sendable, Hashable {
    package var message: String
    /// In the notebook's file, from 1; nil when no place is known.
    package var line: Int?, column: Int?

    package init(message: String, line: Int? = nil, column: Int? = nil) { (self.message, self.line, self.column) = (message, line, column) }
}
