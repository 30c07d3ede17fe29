import StreamOperators
import StreamRuntime

/// Window functions in FROM.
extension JobGraphBuilder {
    mutating func addWindowTable(_ w: LogicalPlan.WindowTable, _ stream: Stream) -> Stream {
        let name = ExprText.windowTable(w, stream.columns), schema = stream.columns.map(\.field)
        guard case .session(let gap) = w.origin.window else {
            return addStep(
                name, after: stream, .forward, w.columns,
                Operators.windowTableFunction(
                    inputSchema: schema, timeColumn: w.timeColumn, window: w.origin.window, timeZone: settings.timeZone))
        }
        cutBeforeTouchingRows(stream)
        let spec = SessionTableSpec(inputSchema: schema, keys: w.partitionKeys, timeColumn: w.timeColumn, gap: gap, timeZone: settings.timeZone)
        return addStep(name, after: stream, .keys(w.partitionKeys), w.columns, Operators.sessionTable(spec))
    }

    /// Makes the sources of a stream tell a watermark also before a row that touches a session that the watermark ends.
    mutating func cutBeforeTouchingRows(_ stream: Stream) {
        var open = stream.vertices, seen: Set<Int> = []
        while let id = open.popLast() {
            guard seen.insert(id).inserted else { continue }
            if case .source(var vertex) = graph.vertices[id].kind, vertex.watermark != nil {
                vertex.watermark!.tellsAhead = 1
                graph.vertices[id].kind = .source(vertex)
            }
            open += graph.edges.filter { $0.to == id }.map(\.from)
        }
    }
}
