import StreamCore
import StreamExpressions

/// The arithmetic of a window assigner over slices. All times are local milliseconds, all windows are named by the number of
/// the slice behind their last one ("end").
///
///     slice s    offset + s * width ..< offset + (s + 1) * width
///     TUMBLE     one slice a window
///     HOP        windows start at multiples of `slide` slices and are `size` slices long
///     CUMULATE   windows start at multiples of `size` slices and end at each slice up to the next multiple
struct Windowing {
    let width: Int64
    let offset: Int64
    private let slide: Int64
    private let size: Int64
    let isCumulative: Bool

    init(_ spec: WindowSpec) throws {
        func positive(_ ms: Int64, _ what: String, _ function: String) throws {
            if ms <= 0 {
                throw StreamError(.validate, "\(function): the \(what) is \(ms) ms", fix: "give an interval above zero")
            }
        }
        switch spec {
        case .tumble(let size, let offset):
            try positive(size, "window size", "TUMBLE")
            self.init(width: size, offset: offset, slide: 1, size: 1, isCumulative: false)
        case .hop(let slide, let size, let offset):
            try positive(slide, "slide", "HOP")
            try positive(size, "window size", "HOP")
            guard size % slide == 0 else {
                throw StreamError(.validate, "HOP: the window size of \(size) ms is not a multiple of the slide of \(slide) ms",
                                  fix: "use a size of \((size / slide + 1) * slide) ms, or a slide that divides \(size) ms")
            }
            self.init(width: slide, offset: offset, slide: 1, size: size / slide, isCumulative: false)
        case .cumulate(let step, let size, let offset):
            try positive(step, "step", "CUMULATE")
            try positive(size, "maximum size", "CUMULATE")
            guard size % step == 0 else {
                throw StreamError(.validate, "CUMULATE: the maximum size of \(size) ms is not a multiple of the step of \(step) ms",
                                  fix: "use a size of \((size / step + 1) * step) ms, or a step that divides \(size) ms")
            }
            self.init(width: step, offset: offset, slide: size / step, size: size / step, isCumulative: true)
        case .session:
            throw StreamError(.validate, "SESSION windows have no slices: each depends on its rows", fix: "use an operator for sessions")
        }
    }

    private init(width: Int64, offset: Int64, slide: Int64, size: Int64, isCumulative: Bool) {
        self.width = width
        self.offset = Self.modulo(offset, width * slide)
        self.slide = slide
        self.size = size
        self.isCumulative = isCumulative
    }

    @inline(__always)
    static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
        let q = a / b
        return q * b > a ? q - 1 : q
    }

    private static func modulo(_ a: Int64, _ b: Int64) -> Int64 { a - floorDivide(a, b) * b }

    @inline(__always) func slice(of time: Int64) -> Int64 { Self.floorDivide(time - offset, width) }
    /// Start of slice s, which is the end of windows that end at s.
    @inline(__always) func time(ofSlice s: Int64) -> Int64 { offset + s * width }

    /// Whether every slice has one window of its own.
    var isTumbling: Bool { size == 1 }

    /// End of the last window that holds the slice.
    func lastEnd(ofSlice s: Int64) -> Int64 {
        isCumulative ? (Self.floorDivide(s, size) + 1) * size : s + size
    }

    /// Ends of the windows that hold the slice, those in `fired`..<= `upTo` only.
    func ends(ofSlice s: Int64, after fired: Int64, upTo: Int64) -> ClosedRange<Int64>? {
        let low = max(s + 1, fired == .max ? .max : fired + 1), high = min(lastEnd(ofSlice: s), upTo)
        return low <= high ? low...high : nil
    }

    /// First slice of the window that ends at e.
    func firstSlice(ofWindowEnding e: Int64) -> Int64 {
        isCumulative ? Self.floorDivide(e - 1, size) * size : e - size
    }
}

/// Turns the time attribute into local milliseconds and back. A TIMESTAMP is local already.
struct WindowClock {
    private var zone: ZoneCursor?
    let timeType: DataType
    /// What is read are ends of windows in local time.
    private(set) var readsEnds = false

    /// The clock of a window aggregate.
    init(_ spec: WindowAggregateSpec) throws {
        try self.init(timeType: spec.timeType, timeZone: spec.timeZone, column: spec.inputSchema[spec.timeColumn].name)
        readsEnds = spec.attachedTimeType != nil
    }

    init(timeType: DataType, timeZone: String, column: String) throws {
        guard let unit = timeType.timeUnit, unit == .milliseconds else {
            throw StreamError(.validate, "the time attribute \(column) of a window is of type \(timeType)",
                              fix: "use a TIMESTAMP(3) or TIMESTAMP_LTZ(3) column with a WATERMARK")
        }
        self.timeType = timeType
        if case .timestampLTZ = timeType {
            let rules = try TimeZoneRules.named(timeZone)
            if timeZone != "UTC" { zone = ZoneCursor(rules) }
        }
    }

    var isShifted: Bool { zone != nil }

    /// Local time of a value of the time column.
    mutating func read(_ value: Int64) -> Int64 { readsEnds ? value - 1 : local(value) }

    /// Values of the time column are not local times.
    var isReadShifted: Bool { readsEnds || isShifted }

    mutating func local(_ time: Int64) -> Int64 { zone?.local(time, .milliseconds) ?? time }

    /// The instant of a local time; the later one where clocks were set back.
    mutating func instant(_ local: Int64) -> Int64 {
        guard zone != nil else { return local }
        let instant = zone!.utc(local, .milliseconds)
        for shift in [3_600_000, 1_800_000] as [Int64] where zone!.local(instant + shift, .milliseconds) == local { return instant + shift }
        return instant
    }

    /// The greatest window end (as a slice number) that a watermark fires: its last millisecond has been reached.
    mutating func firedEnd(_ windowing: Windowing, watermark: EventTime) -> Int64 {
        guard watermark != .max else { return .max }
        guard watermark.milliseconds > .min / 2 else { return .min }
        let time = watermark.milliseconds
        var end = windowing.slice(of: local(time) + 1)
        guard isShifted else { return end }
        while instant(windowing.time(ofSlice: end + 1) - 1) <= time { end += 1 }
        while instant(windowing.time(ofSlice: end) - 1) > time { end -= 1 }
        return end
    }
}
