import CRdKafka
import StreamCore
import Synchronization

/// The consumer that all readers of a source share: one set of connections to the cluster, whatever the number of partitions.
///
/// Partitions are read by position, never as a member of a group. Errors that librdkafka meets by itself, its statistics and the
/// answers to commits are taken by whichever reader comes by.
final class KafkaSourceConnection: @unchecked Sendable {
    // SAFETY: librdkafka's handles may be used by any thread; what is ours is behind a mutex or does not change.
    let client: KafkaClient
    private let what: String
    private let commits: OpaquePointer
    private let nextService = Atomic<UInt64>(0)
    private let state = Mutex(State())

    private struct State {
        var openCommits = 0
        var committed: [TopicPartition: Int64] = [:]
        var quiet = Quiet()
        var statistics: String?
    }

    /// Time between looks at what librdkafka has to say.
    private static let serviceInterval: UInt64 = 100_000_000

    init(_ configuration: KafkaConfiguration, what: String) throws {
        client = try KafkaClient(.consumer, configuration)
        self.what = what
        commits = rd_kafka_queue_new(client.handle)
    }

    deinit { rd_kafka_queue_destroy(commits) }

    /// - Returns: the time (monotonic nanoseconds).
    /// - Throws: what trying again does not mend: a refused password, an unknown certificate.
    func serve(_ metrics: OperatorMetrics) throws -> UInt64 {
        let now = Clock.monotonicNanoseconds(), due = nextService.load(ordering: .relaxed)
        guard now >= due, nextService.compareExchange(expected: due, desired: now + Self.serviceInterval, ordering: .relaxed).exchanged else { return now }
        client.poll()
        if let fatal = client.fatalFailure(what) { throw fatal }
        if let failure = client.takeFailure(what) { warn(failure.problem, now, metrics) }
        takeCommitAnswers(waiting: 0) { warn($0, now, metrics) }
        noteStatistics(metrics)
        return now
    }

    /// Warns unless it has done so just now: a cluster that is away would have the same told again and again.
    func warn(_ text: String, _ now: UInt64, _ metrics: OperatorMetrics) {
        if state.withLock({ $0.quiet.mayTell(now) }) { metrics.warn(text) }
    }

    /// Longer and longer silence between warnings, until there was no trouble for a minute.
    private struct Quiet {
        var until: UInt64 = 0
        var gap: UInt64 = 10_000_000_000
        var last: UInt64 = 0
        mutating func mayTell(_ now: UInt64) -> Bool {
            if now > last + 60_000_000_000 { self = Quiet() }
            last = now
            guard now >= until else { return false }
            until = now + gap
            gap = min(gap * 2, 300_000_000_000)
            return true
        }
    }

    // MARK: Offsets for the group

    /// Sends offsets to the group, and does not wait for the answer.
    func commit(_ offsets: [TopicPartition: Int64]) {
        let new = state.withLock { state in
            let new = offsets.filter { state.committed[$0.key] != $0.value }
            state.committed.merge(new) { $1 }
            if !new.isEmpty { state.openCommits += 1 }
            return new
        }
        guard !new.isEmpty else { return }
        let list = rd_kafka_topic_partition_list_new(Int32(new.count))!
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for (partition, offset) in new { rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset }
        _ = rd_kafka_commit_queue(client.handle, list, commits, nil, nil)
    }

    private func takeCommitAnswers(waiting milliseconds: Int32, _ failed: (String) -> Void) {
        while state.withLock({ $0.openCommits > 0 }), let event = rd_kafka_queue_poll(commits, milliseconds) {
            defer { rd_kafka_event_destroy(event) }
            state.withLock { $0.openCommits -= 1 }
            let code = rd_kafka_event_error(event)
            if code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET { continue }
            // The next checkpoint sends them all again.
            state.withLock { $0.committed = [:] }
            failed("offsets could not be committed to group \(client.configuration["group.id"] ?? ""), which tools that show its lag look at: \(KafkaFailure.text(code))")
        }
    }

    /// Gives commits under way a little time.
    func finish() { takeCommitAnswers(waiting: 3_000) { _ in } }

    // MARK: Statistics

    private func noteStatistics(_ metrics: OperatorMetrics) {
        guard let text = client.statistics, state.withLock({ state in defer { state.statistics = text }; return state.statistics != text }) else { return }
        for (name, value) in KafkaStatistics.gauges(text) { metrics.setGauge(name, value) }
    }
}
