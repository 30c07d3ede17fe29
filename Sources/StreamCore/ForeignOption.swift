/// An option of another engine's connector that a table here can be given, but that does nothing here, or that cannot be done.
public struct ForeignOption: Sendable, Hashable {
    public enum Effect: Sendable, Hashable {
        /// The table does without it: it is told once.
        case ignored
        /// The table would be another one without it: it is refused.
        case refused(fix: String)
        /// The same where the session's time zone is not UTC; in UTC it is ignored.
        case refusedOutsideUTC(fix: String)
    }

    /// The option's name; one that ends in `.` stands for all that begin with it.
    public var key: String
    /// Why, in a few words that go on after "means nothing here:" or "is not supported:".
    public var reason: String
    public var effect: Effect
    /// With one of these values, in any case, the option says what is done anyway.
    public var usual: Set<String>

    public init(_ key: String, _ reason: String, _ effect: Effect = .ignored, usual: Set<String> = []) {
        (self.key, self.reason, self.effect, self.usual) = (key, reason, effect, usual)
    }

    public func matches(_ option: String) -> Bool { key.hasSuffix(".") ? option.hasPrefix(key) : option == key }

    /// The same for several options.
    public static func all(_ keys: [String], _ reason: String) -> [ForeignOption] { keys.map { ForeignOption($0, reason) } }
}
