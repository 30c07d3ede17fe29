import StreamCore
import StreamRuntime

/// Prometheus' text format, version 0.0.4, with the names and labels of Flink's own reporter.
///
///     var text = PrometheusText()
///     for report in reports { text.add(report, rates: trackers[report.id]) }
///     text.add(ProcessMetrics.current())
///     let body = text.render()             // Content-Type: PrometheusText.contentType
///
/// Differences to Flink's reporter: counters have the type `counter`, and label values are as they are.
public struct PrometheusText: Sendable {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private struct Family {
        var kind: MetricKind
        var help: String
        var lines: [UInt8] = []
    }

    private var families: [String: Family] = [:]
    private let labels: [(String, String)]
    private var reports = 0, running = 0

    /// - Parameter labels: of every sample of a job; Flink has `host` and `tm_id`.
    public init(labels: [String: String] = [:]) { self.labels = labels.sorted { $0.key < $1.key } }

    // MARK: What there is

    /// All of a job.
    public mutating func add(_ report: JobReport, rates: RateTracker? = nil) {
        reports += 1
        if report.state == .running || report.state == .restarting { running += 1 }
        for sample in report.samples(rates: rates) { add(sample) }
        for histogram in report.histograms {
            let isLatency = histogram.name == "latency"
            let name = (isLatency ? FlinkNames.latency : FlinkNames.job) + FlinkNames.valid(histogram.name)
            add(histogram, name: name, help: FlinkNames.help(histogram.name), more: [("job_id", report.id), ("job_name", report.name)] + labels)
        }
    }

    /// A sample with Flink's name; its labels say of what it is.
    public mutating func add(_ sample: MetricSample) {
        let (kind, help) = FlinkNames.describe(sample.name)
        let name = FlinkNames.scope(sample.labels) + FlinkNames.valid(sample.name)
        add(name, kind, help, sample.labels.sorted { $0.key < $1.key } + labels, sample.value)
    }

    public mutating func add(_ process: ProcessMetrics) {
        for metric in process.metrics { add(metric.name, metric.kind, metric.help, [], metric.value) }
    }

    /// A sample under a name of its own, which must be of letters, digits and underscores.
    public mutating func add(_ name: String, _ kind: MetricKind, _ help: String, _ labels: [(String, String)], _ value: Double) {
        withFamily(name, kind, help) { lines in Self.line(name, labels, value, to: &lines) }
    }

    /// As a summary.
    public mutating func add(_ histogram: JobReport.Histogram, name: String, help: String, more: [(String, String)] = []) {
        let labels = more + histogram.labels.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        withFamily(name, .summary, help) { lines in
            for quantile in histogram.quantiles { Self.line(name, labels + [("quantile", Self.text(quantile.quantile))], quantile.value, to: &lines) }
            Self.line(name + "_sum", labels, histogram.sum, to: &lines)
            Self.line(name + "_count", labels, Double(histogram.count), to: &lines)
        }
    }

    private mutating func withFamily(_ name: String, _ kind: MetricKind, _ help: String, _ body: (inout [UInt8]) -> Void) {
        body(&families[name, default: Family(kind: kind, help: help)].lines)
    }

    // MARK: Text

    /// The whole exposition: families in the order of their names.
    public func render() -> [UInt8] {
        var all = self
        if reports > 0 {
            all.add("flink_jobmanager_numRunningJobs", .gauge, FlinkNames.help("numRunningJobs"), labels, Double(running))
            all.add("flink_jobmanager_numRegisteredTaskManagers", .gauge, FlinkNames.help("numRegisteredTaskManagers"), labels, 1)
        }
        var text: [UInt8] = []
        text.reserveCapacity(all.families.values.reduce(0) { $0 + $1.lines.count + 256 })
        for (name, family) in all.families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) ".utf8
            Self.escape(family.help, quotes: false, to: &text)
            text += "\n# TYPE \(name) \(family.kind.rawValue)\n".utf8
            text += family.lines
        }
        return text
    }

    private static func line(_ name: String, _ labels: [(key: String, value: String)], _ value: Double, to text: inout [UInt8]) {
        text += name.utf8
        if !labels.isEmpty {
            text.append(UInt8(ascii: "{"))
            for (i, label) in labels.enumerated() {
                if i > 0 { text.append(UInt8(ascii: ",")) }
                text += label.key.utf8
                text += "=\"".utf8
                escape(label.value, quotes: true, to: &text)
                text.append(UInt8(ascii: "\""))
            }
            text.append(UInt8(ascii: "}"))
        }
        text.append(UInt8(ascii: " "))
        text += Self.text(value).utf8
        text.append(UInt8(ascii: "\n"))
    }

    private static func escape(_ value: String, quotes: Bool, to text: inout [UInt8]) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): text += "\\\\".utf8
            case UInt8(ascii: "\n"): text += "\\n".utf8
            case UInt8(ascii: "\"") where quotes: text += "\\\"".utf8
            default: text.append(byte)
            }
        }
    }

    /// Whole numbers as such.
    static func text(_ value: Double) -> String {
        if let whole = Int64(exactly: value), abs(value) < 1e15 { return String(whole) }
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return String(value)
    }
}

/// What a sample is.
public enum MetricKind: String, Sendable {
    case counter, gauge, summary
}
