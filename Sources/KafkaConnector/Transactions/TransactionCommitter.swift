import Dispatch
import StreamCore
import Synchronization

/// Commits the transactions that writers prepared: with the producer that wrote them while it lives, else over a connection of its own.
final class TransactionCommitter: SinkCommitter {
    private let pool: TransactionPool
    private let parallelism: Int
    private let ignoresLost: Bool
    private lazy var cluster = KafkaWireClient(pool.clusterConfiguration, table: pool.table)

    /// Subtasks that are looked at beyond those known of: a run with more of them may have died before its first checkpoint.
    private static let moreSubtasks = 32

    init(_ pool: TransactionPool, parallelism: Int, ignoresLost: Bool) {
        self.ignoresLost = ignoresLost
        self.pool = pool
        self.parallelism = parallelism
    }

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        var open: [TransactionalProducer] = []
        for committable in committables {
            let prepared = try PreparedTransaction(bytes: committable.bytes)
            switch pool.find(prepared) {
            case .open(let producer): open.append(producer)
            case .committed: break
            case .unknown:
                try commitElsewhere(prepared)
            }
        }
        try commit(open)
        pool.completed(checkpoint)
    }

    private func commit(_ open: [TransactionalProducer]) throws {
        let pool = pool, failure = Mutex<StreamError?>(nil)
        // Each waits for its answer.
        DispatchQueue.concurrentPerform(iterations: open.count) { i in
            do {
                try open[i].commit()
                pool.committed(open[i].name)
            } catch {
                failure.withLock { $0 = $0 ?? error as? StreamError ?? StreamError(.io, "\(error)") }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// Commits what another run prepared.
    private func commitElsewhere(_ prepared: PreparedTransaction) throws {
        do { try cluster.commit(prepared) } catch let error as StreamError where error.code == .corrupt && ignoresLost { pool.warn(error.problem) }
        // A run with another prefix has other names.
        if prepared.id == pool.id(prepared.name) { pool.committed(prepared.name) }
    }

    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        let prepared = try committables.map { try PreparedTransaction(bytes: $0.bytes) }
        for transaction in prepared {
            try commitElsewhere(transaction)
        }
        try abortOthers(than: prepared)
    }

    /// Aborts what this sink has open beside the transactions of the checkpoint, and fences who wrote it.
    ///
    /// The ids of those transactions are left alone: to fence them would make it impossible to tell, should this recovery be
    /// repeated, that they were committed.
    func abortOthers(than kept: [PreparedTransaction]) throws {
        let names = Set(kept.filter { $0.id == pool.id($0.name) }.map(\.name))
        let known = max(parallelism, kept.map { max($0.parallelism, $0.name.subtask + 1) }.max() ?? 0)
        for subtask in 0..<known + Self.moreSubtasks {
            var isUsed = subtask < known
            for number in 0..<TransactionPool.most {
                let name = TransactionName(subtask: subtask, number: number)
                if names.contains(name) {
                    isUsed = true
                    continue
                }
                // A new id begins with epoch 0. Ids are used in their order, so none that follows was used.
                if try cluster.fence(pool.id(name)) == 0 { break }
                isUsed = true
            }
            if !isUsed { break }
        }
    }

    func close() {
        cluster.close()
        pool.close()
    }
}
