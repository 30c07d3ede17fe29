import StreamCore

/// When a refused request is made again.
public struct RetryPolicy: Hashable, Sendable {
    public enum Strategy: Hashable, Sendable {
        case disabled, constant, exponential
    }

    public var strategy = Strategy.exponential
    /// Times that a request is made again.
    public var maxRetries = 8
    /// Milliseconds before the first of them; doubled each time by the exponential strategy.
    public var delay: Int64 = 50
    /// No pause is longer, in milliseconds.
    public var delayMax: Int64 = 30_000
    /// No retry begins later than this many milliseconds after the first try; nil = only ``maxRetries`` counts.
    public var durationMax: Int64?

    public init(strategy: Strategy = .exponential, maxRetries: Int = 8, delay: Int64 = 50, delayMax: Int64 = 30_000, durationMax: Int64? = nil) {
        (self.strategy, self.maxRetries, self.delay, self.delayMax, self.durationMax) = (strategy, maxRetries, delay, delayMax, durationMax)
    }

    /// Milliseconds to wait after try `attempt` (from 1) failed, `elapsed` after the first began; nil = give up.
    public func pause(after attempt: Int, elapsed: Int64) -> Int64? {
        guard strategy != .disabled, attempt <= maxRetries else { return nil }
        let factor: Int64 = strategy == .exponential ? 1 << Int64(min(attempt - 1, 40)) : 1
        let (product, overflow) = delay.multipliedReportingOverflow(by: factor)
        let pause = overflow ? delayMax : min(product, delayMax)
        if let durationMax, elapsed + pause > durationMax { return nil }
        return pause
    }

    /// Reads `<prefix>.strategy`, `.max-retries` and `.delay`, as Flink's connectors name them.
    init(_ options: TableOptions, prefix: String) throws {
        switch try options.choice(prefix + ".strategy", ["DISABLED", "CONSTANT", "EXPONENTIAL"]) {
        case "DISABLED": strategy = .disabled
        case "CONSTANT": strategy = .constant
        default: strategy = .exponential
        }
        maxRetries = try options.int(prefix + ".max-retries", in: 0...1_000_000) ?? 8
        delay = try options.milliseconds(prefix + ".delay") ?? 50
        if strategy == .disabled {
            for key in [".max-retries", ".delay"] where options.has(prefix + key) {
                throw options.error(prefix + key, "has no effect with '\(prefix).strategy' = 'DISABLED'", fix: "leave one of the two out")
            }
        }
    }

    static func keys(_ prefix: String) -> Set<String> { [prefix + ".strategy", prefix + ".max-retries", prefix + ".delay"] }
}
