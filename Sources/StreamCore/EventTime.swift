/// Milliseconds since 1970-01-01 of event time, as watermarks and windows use it.
@frozen
public struct EventTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var milliseconds: Int64

    @inlinable public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Before every time: no watermark was seen yet.
    public static let min = EventTime(milliseconds: .min)
    /// After every time: the input has ended.
    public static let max = EventTime(milliseconds: .max)

    @inlinable public static func < (a: Self, b: Self) -> Bool { a.milliseconds < b.milliseconds }
    public var description: String { self == .min ? "-inf" : self == .max ? "+inf" : "\(milliseconds)" }
}

/// The watermark of several inputs: the minimum over those that are neither idle nor finished. It never moves back.
public struct WatermarkMerge: Sendable {
    private struct Input { var watermark = EventTime.min, idle = false, finished = false }
    private var inputs: [Input]
    public private(set) var current = EventTime.min

    public init(inputs: Int) { self.inputs = Array(repeating: Input(), count: inputs) }

    /// Each returns the new merged watermark when it advanced, else nil.
    public mutating func update(_ input: Int, to watermark: EventTime) -> EventTime? {
        if watermark > inputs[input].watermark { inputs[input].watermark = watermark }
        inputs[input].idle = false
        return advance()
    }

    public mutating func setIdle(_ input: Int, _ idle: Bool) -> EventTime? {
        inputs[input].idle = idle
        return advance()
    }

    public mutating func finish(_ input: Int) -> EventTime? {
        inputs[input].finished = true
        return advance()
    }

    /// What one input has reached.
    public func watermark(of input: Int) -> EventTime { inputs[input].watermark }

    /// True when every input that has not finished is idle, and at least one has not.
    public var allIdle: Bool {
        let open = inputs.filter { !$0.finished }
        return !open.isEmpty && open.allSatisfy(\.idle)
    }

    public var allFinished: Bool { inputs.allSatisfy(\.finished) }

    private mutating func advance() -> EventTime? {
        var low: EventTime?
        for input in inputs where !input.idle && !input.finished { low = Swift.min(low ?? .max, input.watermark) }
        guard let low = low ?? (allFinished ? .max : nil), low > current else { return nil }
        current = low
        return low
    }
}
