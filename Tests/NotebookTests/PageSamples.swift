import StreamCore
@testable import Notebook

extension Samples {
    static let evil = "</pre></style><script>self.hacked = 1</script><img src=x onerror='self.hacked = 1'>"

    /// A notebook with every kind of cell and output, and with text that tries to be more than text.
    static func notebook() -> (Notebook, [CellResult]) {
        var cells: [NotebookCell] = [], results: [CellResult] = []
        func add(_ cell: NotebookCell, _ state: CellResult.State = .finished, _ outputs: [CellOutput]? = nil, error: CellError? = nil, milliseconds: Int64 = 120) {
            if let outputs {
                results.append(CellResult(cell: cells.count, state: state, outputs: outputs, error: error, startedAt: 1_795_316_400_000 + Int64(cells.count) * 1000, milliseconds: milliseconds))
            }
            cells.append(cell)
        }
        add(NotebookCell(kind: .markdown, source: """
            # Sensors

            What the **sensors** send, statement by statement. See [the file](https://example.org/a?b=1&c=2).

            | column | type |
            | --- | ---: |
            | `sensor_id` | INT |

            - [x] create the table
            - [ ] look at it

            <script>self.hacked = 1</script>

            [a link](javascript:self.hacked=1) and <b onclick="self.hacked=1">bold</b>, ![a picture](https://example.org/x.png) and ~~gone~~<br>next line<!-- a comment -->
            """))
        add(NotebookCell(source: "status = OK\nseconds = 10", tags: ["parameters"]), .finished, [])
        add(NotebookCell(kind: .markdown, source: "## Tables"))
        add(NotebookCell(title: "The table of the stream", interpreter: CellInterpreter("flink.ssql"), source: """
            -- What the stream has; 'ISO-8601' is how it writes times.
            CREATE TABLE sensor_data (
                sensor_id INTEGER,
                current_temperature DOUBLE,
                status VARCHAR(6),
                event_time TIMESTAMP(3),
                WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
            ) WITH ('connector' = 'kinesis', 'stream' = '${stream=my-input-stream}', 'format' = 'json')
            """), .finished, [.message("table sensor_data created")])
        add(NotebookCell(kind: .markdown, source: "## Results\n\n### Averages"))
        add(NotebookCell(title: "Average temperature by status", interpreter: CellInterpreter("flink.ssql", [.init("type", "update")]), source: """
            -- @chart bar x=status y=avg_current_temperature
            SELECT status, COUNT(*) AS num, AVG(current_temperature) AS avg_current_temperature
            FROM sensor_data
            GROUP BY status
            """, tags: ["overview"]), .stopped, [.table(byStatus, charts[0].spec)], milliseconds: 10_240)
        for chart in charts.dropFirst() {
            add(NotebookCell(title: chart.name, source: "-- @chart \(chart.spec.kind.rawValue)\nSELECT * FROM \(chart.name.replacing("-", with: "_"))"), .finished, [.table(chart.table, chart.spec)], milliseconds: 2_300)
        }
        add(NotebookCell(kind: .markdown, source: "## Programs"))
        add(NotebookCell(interpreter: CellInterpreter("python"), source: "import pandas  # for frames\nprint('it''s', 12.5, \"text\")\nfor i in range(3): pass"), .finished, [
            .text("it's 12.5 text\n\u{1B}[31mred\u{1B}[0m\n", isError: false), .text("a warning\n", isError: true),
            .html("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table><script>parent.hacked = 1</script>"),
            .image(type: "image/svg+xml", bytes: Array("<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><rect width='40' height='20' fill='teal'/></svg>".utf8)),
        ])
        add(NotebookCell(kind: .markdown, source: "## Trouble"))
        let hostile = table([(evil, "STRING"), ("\" onload=\"x", "INT")], [[.string(evil), .null], [.string("| a | `b`"), .int(9_007_199_254_740_993)]], total: 5_210)
        add(NotebookCell(title: evil, interpreter: CellInterpreter(evil, [.init("a", evil)]), source: "SELECT '\(evil)'", tags: [evil]), .finished, [
            .table(hostile, ChartSpec(.bar, title: evil)), .message(evil), .text(evil, isError: false), .table(byStatus, ChartSpec(.bar, x: "stauts")),
        ])
        add(NotebookCell(title: "A statement that fails", source: "SELECT statu FROM sensor_data"), .failed, [], error: CellError(message: "column 'statu' does not exist. Fix: write \"status\".\n\(evil)", line: 88, column: 8))
        add(NotebookCell(source: "SELECT 1"), .skipped, [], milliseconds: 0)
        add(NotebookCell(kind: .raw, source: evil))
        return (Notebook(cells: cells), results)
    }
}
