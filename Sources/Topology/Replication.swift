import Foundation
import StreamCore
import StreamSQL

/// Many tables of one source, each replicated into a table of its own by a job of its own.
///
/// Topology files define it under `replications:`; the module `Replication` finds the tables and runs the jobs.
public struct Replication: Sendable {
    /// A column that is declared, with its SQL type.
    public struct Column: Hashable, Sendable {
        public var name: String, type: String
        public init(_ name: String, _ type: String) { (self.name, self.type) = (name, type) }
    }

    /// What is said of tables; nil = nothing is.
    public struct Settings: Hashable, Sendable {
        public var primaryKey: [String]?
        public var partitionKeys: [String]?
        /// The column that tells the newest version of a row.
        public var ordering: String?
        /// The database of the catalog that the table belongs to, and `{domain}` of options.
        public var domain: String?
        public var columns: [Column]?
        public var isExcluded: Bool?
        /// Options beside those of all tables.
        public var source: [String: String] = [:], sink: [String: String] = [:]

        public init() {}

        /// These, and what `others` say of the rest.
        public func over(_ others: Settings) -> Settings {
            var merged = others
            merged.primaryKey = primaryKey ?? others.primaryKey
            merged.partitionKeys = partitionKeys ?? others.partitionKeys
            merged.ordering = ordering ?? others.ordering
            merged.domain = domain ?? others.domain
            merged.columns = columns ?? others.columns
            merged.isExcluded = isExcluded ?? others.isExcluded
            merged.source.merge(source) { $1 }
            merged.sink.merge(sink) { $1 }
            return merged
        }
    }

    /// Settings for `schema.table`, or for all whose whole name matches a regular expression.
    public struct Rule: Sendable {
        public var pattern: String
        public var settings: Settings
        public init(_ pattern: String, _ settings: Settings) { (self.pattern, self.settings) = (pattern, settings) }

        /// A name, not an expression: letters, digits, `_`, `$` and `-`, with at most one point.
        public var isName: Bool { Self.isName(pattern) }

        static func isName(_ text: String) -> Bool {
            text.utf8.count(where: { $0 == UInt8(ascii: ".") }) <= 1
                && text.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || "._$-".utf8.contains($0) }
        }

        func matches(_ name: String) -> Bool {
            if isName { return pattern == name }
            guard let expression = try? Regex(pattern) else { return false }
            return (try? expression.wholeMatch(in: name)) != nil
        }
    }

    public var name: String
    public var description: String?
    /// Options of the source, with `{schema}` and `{table}` in the one that names the table's place.
    public var source: [String: String]
    /// What is read to its end before the source: an export of the tables; nil = nothing.
    public var initial: [String: String]?
    /// Metadata of records that name their table and schema, when one source holds the records of many tables.
    public var tableFrom: String?, schemaFrom: String?
    public var rules: [Rule]
    public var defaults: Settings
    /// Options of the targets, with `{domain}`, `{schema}` and `{table}`.
    public var sink: [String: String]
    /// Each table is read to the end of what there is now; otherwise for ever.
    public var isBounded = true
    /// Milliseconds between looks at what tables and files there are, when the replication has no end.
    public var discoveryInterval: Int64 = 10_000
    /// Tables under way at the same time, when each of them ends.
    public var tablesAtOnce = 4
    /// Fields that are not declared become columns of the target by themselves.
    public var evolves = true
    /// SET statements of the file.
    public var settings: [Statement] = []

    public init(name: String, source: [String: String], sink: [String: String], rules: [Rule] = [], defaults: Settings = Settings()) {
        self.name = name
        self.source = source
        self.sink = sink
        self.rules = rules
        self.defaults = defaults
    }

    /// What the rules say of a table; nil = it is not replicated. The table's own name counts before expressions, and those in their order.
    public func settings(of table: String) -> Settings? {
        let matching = rules.filter { $0.matches(table) }
        guard rules.isEmpty || !matching.isEmpty else { return nil }
        var merged = Settings()
        for rule in matching.filter(\.isName) + matching.filter({ !$0.isName }) { merged = merged.over(rule.settings) }
        return merged.over(defaults)
    }

    /// 1 to 64 letters, digits, '_', '-' and '.'.
    static func isName(_ text: String) -> Bool { DeliveryStream.isName(text) }

    // MARK: The JSON form of rules

    /// Rules from a JSON object with an entry per `schema.table`:
    ///
    ///     {"dms_sample.player": {"primaryKey": "id", "domain": "sports", "partitionCols": ""}}
    ///
    /// Lists are texts with commas between names; an empty text is an empty list.
    public static func rules(json text: String, file: String) throws -> [Rule] {
        func invalid(_ problem: String, fix: String) -> StreamError { StreamError(.validate, "\(file): \(problem)", fix: fix) }
        let example = "write it as in {\"schema.table\": {\"primaryKey\": \"id\", \"domain\": \"sports\", \"partitionCols\": \"\"}}"
        let parsed: Any
        do { parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) } catch {
            throw invalid("this is not JSON: \((error as NSError).userInfo[NSDebugDescriptionErrorKey] as? String ?? "\(error)")", fix: "mend it; \(example)")
        }
        guard let tables = parsed as? [String: Any] else { throw invalid("the configuration is not an object", fix: example) }
        return try tables.keys.sorted().map { name in
            guard let entry = tables[name] as? [String: Any] else { throw invalid("\(name) is not an object", fix: example) }
            var settings = Settings()
            for (key, value) in entry {
                let known = ["primaryKey", "domain", "partitionCols", "ordering", "exclude"]
                guard known.contains(key) else { throw invalid("\(name) has the unknown key \"\(key)\"", fix: NearName.hint(for: key, in: known) ?? example) }
                if key == "exclude", let flag = value as? Bool {
                    settings.isExcluded = flag
                    continue
                }
                guard let text = value as? String else { throw invalid("\(key) of \(name) is not a text", fix: example) }
                switch key {
                case "primaryKey": settings.primaryKey = names(text)
                case "partitionCols": settings.partitionKeys = names(text)
                case "domain": settings.domain = text.isEmpty ? nil : text
                case "ordering": settings.ordering = text.isEmpty ? nil : text
                default: throw invalid("\(key) of \(name) is neither true nor false", fix: "write true or false")
                }
            }
            return Rule(name, settings)
        }
    }

    /// Names with commas between them.
    static func names(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
}
