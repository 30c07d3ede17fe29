import Dispatch
import StreamCore
import Synchronization

/// The transactional producers of one run of a sink: a few for each subtask, used in turn.
///
///     opening -> free -> writing -> prepared (barrier n) -> committed -> ... -> free
///
/// A transaction is named by transactional id, producer id and epoch only, so the next one under the same id has the same name.
/// What a recovery may commit again must therefore not have a successor: a committed producer is free for the next transaction only
/// when a checkpoint is complete that its subtask began after the commit. No manifest from then on names the old transaction.
final class TransactionPool: Sendable {
    /// Most producers of a subtask. More than three are used only while commits come late.
    static let most = 16

    private enum Use {
        /// Being opened by a thread of its own.
        case opening
        case free, writing
        case prepared
        /// `successor`: the first checkpoint that was begun after the commit.
        case committed(successor: UInt64?)
    }

    private struct Member {
        var use: Use
        /// nil = opening, or committed by an earlier run under this name.
        var producer: TransactionalProducer?
    }

    private struct State {
        var members: [TransactionName: Member] = [:]
        var failure: StreamError?
        var warnings: [String] = []
        var isClosed = false
    }

    private let configuration: KafkaConfiguration
    private let prefix: String
    let table: String
    private let state = Mutex(State())
    /// Signalled whenever an opening ends.
    private let opened = DispatchSemaphore(value: 0)

    /// - Parameter prefix: what the transactional ids of all subtasks begin with.
    init(_ configuration: KafkaConfiguration, prefix: String, table: String) {
        var configuration = configuration
        // Flink's default is longer than the most that brokers allow by default, 15 minutes.
        configuration.set("transaction.timeout.ms", "900000", unlessGiven: true)
        if let timeout = configuration["transaction.timeout.ms"].flatMap({ Int($0) }), timeout < 60_000 {
            configuration.set("socket.timeout.ms", String(timeout), unlessGiven: true)
        }
        self.configuration = configuration
        self.prefix = prefix
        self.table = table
    }

    func id(_ name: TransactionName) -> String { "\(prefix)-\(name.subtask)-\(name.number)" }

    var clusterConfiguration: KafkaConfiguration { configuration }

    /// Begins to open a producer for each subtask, and waits for the one of this subtask.
    func open(_ subtask: Int, parallelism: Int) throws {
        state.withLock { state in
            for subtask in 0..<parallelism where !Self.hasSpare(state, subtask) { _ = start(&state, subtask) }
        }
        try wait(for: subtask)
    }

    /// A producer without a transaction.
    func take(_ subtask: Int) throws -> TransactionalProducer {
        while true {
            let taken: TransactionalProducer? = try state.withLock { state in
                if let failure = state.failure { throw failure }
                let free = state.members.filter { if $0.key.subtask == subtask, case .free = $0.value.use { true } else { false } }.keys.min()
                guard let free else {
                    guard Self.hasSpare(state, subtask) || start(&state, subtask) else {
                        throw StreamError(.runtime, "table \(table): the transactions of \(Self.most) checkpoints wait for their commit",
                                          fix: "look at why checkpoints do not complete, or make their interval longer")
                    }
                    return nil
                }
                state.members[free]!.use = .writing
                // The next barrier is not to wait for a connection.
                if !Self.hasSpare(state, subtask) { _ = start(&state, subtask) }
                return state.members[free]!.producer
            }
            if let taken { return taken }
            try wait(for: subtask)
        }
    }

    /// The subtask's rows of the checkpoint are complete, and delivered.
    func barrier(_ checkpoint: UInt64, _ subtask: Int, _ transaction: TransactionalProducer?) {
        state.withLock { state in
            for (name, member) in state.members where name.subtask == subtask {
                if case .committed(successor: nil) = member.use { state.members[name]!.use = .committed(successor: checkpoint) }
            }
            if let transaction { state.members[transaction.name]?.use = .prepared }
        }
    }

    /// What became of a prepared transaction in this run.
    enum Known {
        case open(TransactionalProducer)
        case committed
        /// An earlier run prepared it.
        case unknown
    }

    func find(_ prepared: PreparedTransaction) -> Known {
        state.withLock { state in
            guard prepared.id == id(prepared.name), let member = state.members[prepared.name] else { return .unknown }
            switch member.use {
            case .prepared:
                guard let producer = member.producer, producer.producerID == prepared.producerID, producer.epoch == prepared.epoch else { return .unknown }
                return .open(producer)
            case .committed: return .committed
            default: return .unknown
            }
        }
    }

    /// Committed by this run, or by recovery: the name is not to be used until later checkpoints have taken its place.
    func committed(_ name: TransactionName) {
        state.withLock { state in state.members[name] = Member(use: .committed(successor: nil), producer: state.members[name]?.producer) }
    }

    /// All transactions of the checkpoint are committed, so its manifest is what a recovery would begin from.
    func completed(_ checkpoint: UInt64) {
        state.withLock { state in
            for (name, member) in state.members {
                guard case .committed(let successor?) = member.use, successor <= checkpoint else { continue }
                if member.producer == nil { state.members[name] = nil } else { state.members[name]!.use = .free }
            }
        }
    }

    /// Gives up a transaction that was not prepared.
    func abort(_ transaction: TransactionalProducer) {
        state.withLock { $0.members[transaction.name] = nil }
        transaction.abandon()
    }

    /// Lets go of all producers. Prepared transactions stay for a recovery.
    func close() {
        let members = state.withLock { state in
            state.isClosed = true
            defer { state.members = [:] }
            return state.members.values.compactMap(\.producer)
        }
        members.forEach { $0.producer.close() }
    }

    func warn(_ text: String) { state.withLock { $0.warnings.append(text) } }

    /// What the user is to be told, given once.
    func takeWarnings() -> [String] {
        state.withLock { state in
            defer { state.warnings = [] }
            return state.warnings
        }
    }

    // MARK: Opening

    private static func hasSpare(_ state: State, _ subtask: Int) -> Bool {
        state.members.contains { name, member in
            guard name.subtask == subtask else { return false }
            switch member.use {
            case .opening, .free: return true
            default: return false
            }
        }
    }

    /// - Returns: false when the subtask has as many as it may.
    private func start(_ state: inout State, _ subtask: Int) -> Bool {
        guard let number = (0..<Self.most).first(where: { state.members[.init(subtask: subtask, number: $0)] == nil }) else { return false }
        let name = TransactionName(subtask: subtask, number: number)
        state.members[name] = Member(use: .opening)
        let (id, configuration, table) = (id(name), configuration, table)
        Background.start { [self] in
            let result = Result { try TransactionalProducer(name, id: id, configuration, table: table) }
            let unused: TransactionalProducer? = self.state.withLock { state in
                switch result {
                case .success(let producer):
                    if state.isClosed { return producer }
                    state.members[name] = Member(use: .free, producer: producer)
                case .failure(let error):
                    state.members[name] = nil
                    state.failure = error as? StreamError ?? StreamError(.io, "\(error)")
                }
                return nil
            }
            unused?.producer.close()
            opened.signal()
        }
        return true
    }

    /// Until a producer of the subtask is free.
    private func wait(for subtask: Int) throws {
        while true {
            let isReady = try state.withLock { state in
                if let failure = state.failure { throw failure }
                if state.isClosed { throw StreamError(.runtime, "table \(table): the sink is closed") }
                return state.members.contains { if $0.key.subtask == subtask, case .free = $0.value.use { true } else { false } }
            }
            if isReady { return }
            // Another subtask may have taken the signal: look again before long.
            _ = opened.wait(timeout: .now() + .milliseconds(20))
        }
    }
}

private enum Background {
    static func start(_ body: @escaping @Sendable () -> Void) { DispatchQueue.global().async(execute: body) }
}

/// Holds the pool of the present run: the sink outlives runs that fail.
final class TransactionRun: Sendable {
    private let current = Mutex<TransactionPool?>(nil)

    /// Begins a run.
    func restart(_ pool: TransactionPool) -> TransactionPool {
        let old = current.withLock { current in defer { current = pool }; return current }
        old?.close()
        return pool
    }

    func pool(_ pool: TransactionPool) -> TransactionPool {
        current.withLock { current in
            if current == nil { current = pool }
            return current!
        }
    }
}
