import StreamCore
import StreamRuntime

extension JobGraph {
    /// Plants a bug: sinks publish what they prepare at once, before the checkpoint's manifest is durable.
    func committingEarly() -> JobGraph {
        var graph = self
        for i in graph.vertices.indices {
            if case .sink(let sink) = graph.vertices[i].kind { graph.vertices[i].kind = .sink(EarlySink(sink)) }
        }
        return graph
    }
}

private final class EarlySink: TableSink, @unchecked Sendable {  // SAFETY: simulations are on one thread
    private let sink: any TableSink
    private var committer: (any SinkCommitter)?

    init(_ sink: any TableSink) { self.sink = sink }

    var maxParallelism: Int? { sink.maxParallelism }
    var distributionKeys: [Int] { sink.distributionKeys }
    var acceptsChanges: Bool { sink.acceptsChanges }
    var commitInterval: Duration? { sink.commitInterval }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        committer = try sink.committer(context)
        return committer
    }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(try sink.writer(context), committer) }

    private final class Writer: SinkWriter {
        private let writer: any SinkWriter
        private let committer: (any SinkCommitter)?

        init(_ writer: any SinkWriter, _ committer: (any SinkCommitter)?) { (self.writer, self.committer) = (writer, committer) }

        func write(_ batch: Batch) throws { try writer.write(batch) }
        func idle() throws { try writer.idle() }
        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
            let parts = try writer.prepareCommit(checkpoint)
            try committer?.commit(checkpoint, parts)
            return parts
        }
        func state() throws -> [UInt8]? { try writer.state() }
        func abort() { writer.abort() }
        func close() throws { try writer.close() }
    }
}
