import Foundation
import StreamCore

/// What stands before the name of a delivered file, with Firehose's expressions in it:
///
///     orders/!{timestamp:yyyy/MM/dd}/!{partitionKeyFromQuery:customer}/!{firehose:random-string}/
///
/// A slash ends a folder; what follows the last one begins the file's name.
public struct DeliveryPrefix: Sendable, Hashable {
    /// Which of a stream's outputs the prefix is for: records as they are meant to be, or those that failed.
    public enum Use: Sendable, Hashable {
        case records
        /// The text that `!{firehose:error-output-type}` stands for, as in `processing-failed`.
        case errors(String)
    }

    enum Part: Sendable, Hashable {
        case text(String), time(String), random, errorType, key(String)
    }

    private(set) var parts: [Part]
    public let text: String

    /// Whether anything of it is found out anew for each file.
    public var hasExpressions: Bool { parts.contains { if case .text = $0 { false } else { true } } }
    public var keys: [String] { parts.compactMap { if case .key(let name) = $0 { name } else { nil } } }
    public var hasErrorType: Bool { parts.contains(.errorType) }

    /// Letters that a time pattern may have: those of Java's DateTimeFormatter that mean the same here.
    private static let timeLetters = Set("GyuYMLwWdDEeaHkKhmsSzZXxV")

    /// - Throws: `.validate` for an expression that is not known or not ended.
    public init(_ text: String) throws {
        self.text = text
        parts = []
        var rest = Substring(text)
        while let start = rest.range(of: "!{") {
            if start.lowerBound > rest.startIndex { parts.append(.text(String(rest[..<start.lowerBound]))) }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw StreamError(.validate, "prefix '\(text)': the expression '\(rest[start.lowerBound...])' is not ended", fix: "write '}' behind it")
            }
            parts.append(try Self.expression(String(rest[start.upperBound..<end]), in: text))
            rest = rest[rest.index(after: end)...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
    }

    private static func expression(_ expression: String, in text: String) throws -> Part {
        func refuse(_ problem: String, fix: String) -> StreamError { StreamError(.validate, "prefix '\(text)': \(problem)", fix: fix) }
        guard let colon = expression.firstIndex(of: ":") else {
            throw refuse("'!{\(expression)}' has no namespace", fix: "write it as in !{timestamp:yyyy}, !{firehose:random-string} or !{partitionKeyFromQuery:name}")
        }
        let name = expression[..<colon], value = String(expression[expression.index(after: colon)...])
        guard !value.isEmpty else { throw refuse("'!{\(expression)}' is empty behind the colon", fix: "say what of \(name) is meant") }
        switch name {
        case "timestamp":
            var isQuoted = false
            for letter in value {
                if letter == "'" { isQuoted.toggle() }
                if !isQuoted, letter.isLetter, !timeLetters.contains(letter) {
                    throw refuse("'\(letter)' of '!{\(expression)}' is no letter of a time pattern", fix: "use those of Java's DateTimeFormatter, as in yyyy/MM/dd/HH")
                }
            }
            guard !isQuoted else { throw refuse("a quote of '!{\(expression)}' is not ended", fix: "write a second ' behind the text") }
            return .time(value)
        case "firehose":
            switch value {
            case "random-string": return .random
            case "error-output-type": return .errorType
            default: throw refuse("'!{\(expression)}' is not known", fix: "use !{firehose:random-string} or !{firehose:error-output-type}")
            }
        case "partitionKeyFromQuery": return .key(value)
        case "partitionKeyFromLambda":
            throw refuse("'!{\(expression)}' needs a Lambda function, and there are none here", fix: "use !{partitionKeyFromQuery:\(value)}")
        default:
            throw refuse("'!{\(expression)}' is of no namespace that is known", fix: "use timestamp, firehose or partitionKeyFromQuery")
        }
    }

    /// The prefix with what the service adds to one that does not say all: the date and hour (and for failed records the kind of failure)
    /// where there is no expression.
    public func completed(for use: Use) throws -> DeliveryPrefix {
        guard !hasExpressions else { return self }
        var copy = self
        if case .errors = use { copy.parts += [.errorType, .text("/")] }
        copy.parts += [.time("yyyy/MM/dd/HH"), .text("/")]
        return copy
    }

    /// The prefix of one file, as a path below the destination. It stays below, whatever the keys are.
    ///
    /// - Parameters:
    ///   - time: milliseconds since 1970-01-01, of the oldest record in the file.
    ///   - keys: texts of the partition keys.
    func evaluated(time: Int64, zone: TimeZone, keys: [String: String], use: Use, host: StreamCore.Host) -> String {
        var out = ""
        for part in parts {
            switch part {
            case .text(let text): out += text
            case .time(let pattern): out += Self.format(time, pattern, zone)
            case .random: out += Self.random(host)
            case .errorType: if case .errors(let type) = use { out += type }
            case .key(let name): out += keys[name] ?? ""
            }
        }
        return Self.safe(out)
    }

    static func format(_ time: Int64, _ pattern: String, _ zone: TimeZone) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = zone
        formatter.dateFormat = pattern
        return formatter.string(from: Date(timeIntervalSince1970: Double(time) / 1_000))
    }

    /// 11 hexadecimal digits.
    private static func random(_ host: StreamCore.Host) -> String {
        let digits = String(host.randomBits() >> 20, radix: 16)
        return String(repeating: "0", count: 11 - digits.count) + digits
    }

    /// Names of a path that a file system takes, and that do not lead out of the destination.
    private static func safe(_ path: String) -> String {
        let names = path.split(separator: "/").map { name -> String in
            var name = String(name.replacing("\0", with: "%00"))
            if name == "." || name == ".." || name.hasPrefix(FilesystemDelivery.asidePrefix) { name = String(name.replacing(".", with: "%2E")) }
            guard name.utf8.count > 150 else { return name }
            let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
            while name.utf8.count > 120 { name.removeLast() }
            return name + "-" + String(hash, radix: 16)
        }
        return names.joined(separator: "/") + (path.hasSuffix("/") && !names.isEmpty ? "/" : "")
    }
}
