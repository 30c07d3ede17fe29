import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime

/// Window functions in FROM, and what else depends on where watermarks stand between rows.
extension JobGraphBuilder {
    mutating func addWindowTable(_ w: LogicalPlan.WindowTable, _ stream: Stream) throws -> Stream {
        let name = ExprText.windowTable(w, stream.columns), schema = stream.columns.map(\.field)
        guard case .session(let gap) = w.origin.window else {
            if w.origin.isProcessingTime {
                throw StreamError(
                    .plan, "not supported yet: rows with their windows of processing time (Processing time Window TableFunction is not supported)",
                    fix: "group by window_start and window_end right over the window function")
            }
            return addStep(
                name, after: stream, .forward, w.columns,
                Operators.windowTableFunction(
                    inputSchema: schema, timeColumn: w.timeColumn, window: w.origin.window, timeZone: settings.timeZone))
        }
        if !w.origin.isProcessingTime { tellWatermarks(of: stream, ahead: 1) }
        let spec = SessionTableSpec(
            inputSchema: schema, keys: w.partitionKeys, timeColumn: w.timeColumn, gap: gap, timeZone: settings.timeZone,
            isProcessingTime: w.origin.isProcessingTime)
        return addStep(name, after: stream, .keys(w.partitionKeys), w.columns, Operators.sessionTable(spec))
    }

    /// Makes the sources of a stream tell a watermark also before a row that touches a session that the watermark ends.
    mutating func cutBeforeTouchingRows(_ stream: Stream) { tellWatermarks(of: stream, ahead: 1) }

    /// Makes the sources of a stream tell each watermark before the next row.
    mutating func tellEveryWatermark(of stream: Stream) { tellWatermarks(of: stream, ahead: .max / 4) }

    private mutating func tellWatermarks(of stream: Stream, ahead: Int64) {
        var open = stream.vertices, seen: Set<Int> = []
        while let id = open.popLast() {
            guard seen.insert(id).inserted else { continue }
            if case .source(var vertex) = graph.vertices[id].kind, vertex.watermark != nil {
                vertex.watermark!.tellsAhead = max(vertex.watermark!.tellsAhead, ahead)
                graph.vertices[id].kind = .source(vertex)
            }
            open += graph.edges.filter { $0.to == id }.map(\.from)
        }
    }

    /// A filter and projection with CURRENT_WATERMARK: the watermark becomes a column in front of it. The sources tell each watermark
    /// before the next row.
    mutating func addWatermarkCalc(_ filter: Expr?, _ p: LogicalPlan.Projection, after stream: Stream) -> Stream {
        tellEveryWatermark(of: stream)
        let types = Array(Set(([filter].compactMap { $0 } + p.exprs).flatMap(\.watermarkTypes))).sorted { "\($0)" < "\($1)" }
        let marks = types.map { PlanColumn("current_watermark", $0) }, width = stream.columns.count
        let marked = addStep("current watermark", after: stream, .forward, stream.columns + marks, Operators.watermarkColumns(types))
        func over(_ expr: Expr) -> Expr {
            expr.map { part in part.watermarkType.map { .column(width + types.firstIndex(of: $0)!, $0) } }
        }
        return addStep(
            Self.calcName(filter, p, stream.columns), after: marked, .forward, p.columns,
            Operators.calc(filter: filter.map(over), projection: p.exprs.map(over), context: evaluation))
    }
}

/// CURRENT_WATERMARK(time attribute): the watermark that had been told before the row, null before the first.
enum CurrentWatermark {
    static let name = "CURRENT_WATERMARK"

    static func call(_ time: Expr) -> Expr {
        .call(
            BoundFunction(name: name, resultType: time.type, isDeterministic: false) { _, _, _, _ in
                throw StreamError(
                    .plan, "not supported yet: CURRENT_WATERMARK here", fix: "compute it in SELECT or WHERE of a query over the table that has the time attribute")
            }, [time])
    }
}

extension Expr {
    /// The type of a call of CURRENT_WATERMARK.
    fileprivate var watermarkType: DataType? {
        if case .call(let f, _) = self, f.name == CurrentWatermark.name { f.resultType } else { nil }
    }

    fileprivate var watermarkTypes: [DataType] {
        var types: [DataType] = []
        _ = map {
            if let type = $0.watermarkType { types.append(type) }
            return nil
        }
        return types
    }

    var readsWatermark: Bool { !watermarkTypes.isEmpty }
}
