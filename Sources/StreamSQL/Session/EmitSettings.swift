import StreamCore
import StreamOperators

/// When window aggregates give results apart from the end of the window: Flink's experimental `table.exec.emit.*`, here for the
/// table functions of windows too.
struct EmitSettings: Sendable {
    private var isEarly = false, isLate = false
    private var earlyDelay: Duration?, lateDelay: Duration?, lateness: Duration?

    static let known = [
        "table.exec.emit.early-fire.enabled", "table.exec.emit.early-fire.delay", "table.exec.emit.late-fire.enabled",
        "table.exec.emit.late-fire.delay", "table.exec.emit.allow-lateness",
    ]

    /// Takes a key if it is one of these.
    mutating func set(_ key: String, to value: String) throws -> Bool {
        switch key {
        case Self.known[0]: isEarly = try Self.flag(key, value)
        case Self.known[1]: earlyDelay = try SettingValue.duration(key, value)
        case Self.known[2]: isLate = try Self.flag(key, value)
        case Self.known[3]: lateDelay = try SettingValue.duration(key, value)
        case Self.known[4]: lateness = try SettingValue.duration(key, value)
        default: return false
        }
        return true
    }

    private static func flag(_ key: String, _ value: String) throws -> Bool {
        switch value.lowercased() {
        case "true": return true
        case "false": return false
        default: throw StreamError(.validate, "'\(key)' = '\(value)' is not a truth value", fix: "write 'true' or 'false'")
        }
    }

    func emission() throws -> WindowEmission? {
        if isEarly, earlyDelay == nil {
            throw StreamError(.validate, "'\(Self.known[0])' is set, but not after how long results come", fix: "set '\(Self.known[1])', for example to '5 s'")
        }
        if isLate, lateDelay == nil {
            throw StreamError(.validate, "'\(Self.known[2])' is set, but not after how long results come", fix: "set '\(Self.known[3])', for example to '0 s'")
        }
        if isLate, (lateness ?? .zero) == .zero {
            throw StreamError(.validate, "'\(Self.known[2])' is set, but windows take no late rows", fix: "set '\(Self.known[4])', for example to '1 min'")
        }
        let kept = (lateness ?? .zero).wholeMillis
        if isLate, let lateDelay, lateDelay.wholeMillis > kept {
            throw StreamError(.validate, "'\(Self.known[4])' of \(kept) ms is shorter than '\(Self.known[3])' of \(lateDelay.wholeMillis) ms", fix: "allow more lateness, or a shorter delay")
        }
        guard isEarly || kept > 0 else { return nil }
        return WindowEmission(earlyDelay: isEarly ? earlyDelay!.wholeMillis : nil, lateDelay: isLate ? lateDelay!.wholeMillis : 0, allowedLateness: kept)
    }
}

extension Duration {
    fileprivate var wholeMillis: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
