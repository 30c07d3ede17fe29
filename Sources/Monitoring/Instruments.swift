import CoreMetrics
import StreamCore
import StreamRuntime
import Synchronization

/// The process's own instruments, and those of libraries that use swift-metrics:
///
///     let instruments = Instruments()
///     MetricsSystem.bootstrap(instruments)
///     ...
///     text.add(instruments)
///
/// Two of the same name and dimensions are one. Names get underscores for what Prometheus does not have in names; timers are in seconds.
public final class Instruments: MetricsFactory {
    private struct Key: Hashable {
        var name: String
        var labels: [String: String]
    }

    private let instruments = Mutex<[Key: Instrument]>([:])

    public init() {}

    private func make(_ kind: Instrument.Kind, _ label: String, _ dimensions: [(String, String)]) -> Instrument {
        var labels: [String: String] = [:]
        for (name, value) in dimensions { labels[FlinkNames.valid(name)] = value }
        var name = FlinkNames.valid(label)
        if kind == .timer { name += "_seconds" }
        if kind == .counter, !name.hasSuffix("_total") { name += "_total" }
        return instruments.withLock { instruments in
            // One name cannot stand for two kinds of things.
            while let other = instruments.first(where: { $0.key.name == name && $0.value.kind != kind }) { name = other.key.name + "_\(kind)" }
            let key = Key(name: name, labels: labels)
            if let known = instruments[key] { return known }
            let made = Instrument(kind, label)
            instruments[key] = made
            return made
        }
    }

    private func destroy(_ handler: AnyObject) {
        instruments.withLock { instruments in
            for (key, instrument) in instruments where instrument === handler { instruments[key] = nil }
        }
    }

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { make(.counter, label, dimensions) }
    public func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler { make(.counter, label, dimensions) }
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { make(.meter, label, dimensions) }
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { make(.timer, label, dimensions) }
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        make(aggregate ? .recorder : .meter, label, dimensions)
    }

    public func destroyCounter(_ handler: any CounterHandler) { destroy(handler) }
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { destroy(handler) }
    public func destroyMeter(_ handler: any MeterHandler) { destroy(handler) }
    public func destroyRecorder(_ handler: any RecorderHandler) { destroy(handler) }
    public func destroyTimer(_ handler: any TimerHandler) { destroy(handler) }

    fileprivate var all: [(name: String, labels: [String: String], Instrument)] {
        instruments.withLock { $0.map { ($0.key.name, $0.key.labels, $0.value) } }
    }
}

/// One value or distribution, whichever way it is measured.
private final class Instrument: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler, Sendable {
    enum Kind: Sendable { case counter, meter, recorder, timer }

    struct Contents: Sendable {
        var value = 0.0
        var count = 0
        var durations = DurationHistogram()
    }

    let kind: Kind
    let label: String
    private let contents = Mutex(Contents())

    init(_ kind: Kind, _ label: String) { (self.kind, self.label) = (kind, label) }

    var now: Contents { contents.withLock { $0 } }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { contents.withLock { $0.value += amount } }
    func decrement(by amount: Double) { contents.withLock { $0.value -= amount } }
    func reset() { contents.withLock { $0.value = 0 } }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { contents.withLock { $0.value = value } }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) {
        contents.withLock { contents in
            contents.value = kind == .recorder ? contents.value + value : value
            contents.count += 1
        }
    }
    func recordNanoseconds(_ duration: Int64) {
        let now = Clock.monotonicNanoseconds()
        contents.withLock { $0.durations.record(nanoseconds: UInt64(max(duration, 0)), now: now) }
    }
}

extension PrometheusText {
    /// Counters and meters as they are, recorders as a summary without quantiles, timers with them.
    public mutating func add(_ instruments: Instruments) {
        for (name, labels, instrument) in instruments.all.sorted(by: { ($0.name, $0.labels.description) < ($1.name, $1.labels.description) }) {
            let help = "\(instrument.label) of the process."
            let contents = instrument.now
            switch instrument.kind {
            case .counter: add(name, .counter, help, labels.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, contents.value)
            case .meter: add(name, .gauge, help, labels.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, contents.value)
            case .recorder: add(.init(name: name, labels: labels, count: Int64(contents.count), sum: contents.value, quantiles: []), name: name, help: help)
            case .timer:
                guard var histogram = contents.durations.report(name, labels) else { continue }
                histogram.sum /= 1_000
                for i in histogram.quantiles.indices { histogram.quantiles[i].value /= 1_000 }
                add(histogram, name: name, help: help)
            }
        }
    }
}
