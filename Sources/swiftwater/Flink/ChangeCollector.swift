import StreamCore
import Synchronization

/// Keeps every change that a query gives, in the order in which it comes.
final class ChangeCollector: TableSink {
    private let kept = Mutex<[(kind: RowKind, row: [Value])]>([])

    var maxParallelism: Int? { 1 }
    var acceptsChanges: Bool { true }
    var keepsRows: Bool { false }
    var changes: [(kind: RowKind, row: [Value])] { kept.withLock { $0 } }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self) }

    private final class Writer: SinkWriter {
        private let sink: ChangeCollector
        init(_ sink: ChangeCollector) { self.sink = sink }
        func write(_ batch: Batch) throws {
            sink.kept.withLock { kept in
                for i in 0..<batch.count {
                    let row = batch.row(i)
                    kept.append((batch.kind(atPhysical: row), batch.columns.map { $0.value(at: row) }))
                }
            }
        }
        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
    }
}
