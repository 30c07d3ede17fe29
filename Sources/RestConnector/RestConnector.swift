import Foundation
import StreamCore
import StreamFormats

/// `'connector' = 'rest'`: a table whose rows are looked up with HTTP requests, one for each key, several side by side.
///
/// `{column}` in `url` and `body` stands for a key's value. The answer is one JSON object, or an array of them; status 404 and empty
/// answers mean that there is no row. Columns that the key gives are not looked for in the answer.
public struct RestConnector: LookupConnector {
    public init() {}

    public var identifier: String { "rest" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        RestOptions.keys.union(LookupOptions.keys).union(FormatFactory.optionKeys(for: table.options["format"] ?? "json"))
    }

    public func validate(_ table: TableDescriptor) throws {
        _ = try RestOptions(table)
        _ = try LookupOptions(table, caches: [.none, .partial])
    }

    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        let options = try RestOptions(table)
        let given = Set(request.keys.map { table.schema[$0].name })
        for name in options.placeholders.sorted() where !given.contains(name) {
            throw StreamError(
                .plan, "table \(table.name): its URL or body needs {\(name)}, but the join does not compare column \(name)",
                fix: "add an equality with \(name) to the join's condition")
        }
        return .byKey(RestTable(table: table, options: options, lookup: try LookupOptions(table, caches: [.none, .partial]), request: request))
    }
}

/// The options of a table, checked.
struct RestOptions: Sendable {
    static let headerPrefix = "headers."
    static let keys: Set<String> = ["connector", "url", "method", "headers.", "body", "timeout", "retry.backoff", "concurrency"]

    /// Text with `{column}` in it.
    let url: Template
    let body: Template?
    let method: String
    let headers: [(String, String)]
    /// Seconds for one request.
    let timeout: Double
    /// Milliseconds before the first time that a request is made again; doubled each time.
    let backoff: Int64
    /// Requests at a time.
    let concurrency: Int
    /// The table with its format.
    let table: TableDescriptor

    var placeholders: Set<String> { url.names.union(body?.names ?? []) }

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        url = try Template(try options.require("url"), "url", table)
        guard url.text.hasPrefix("http://") || url.text.hasPrefix("https://") else {
            throw options.error("url", "is no HTTP address", fix: "write it as in 'http://host:port/path/{id}'")
        }
        body = try options.string("body").map { try Template($0, "body", table) }
        method = try options.choice("method", ["GET", "POST", "PUT"]) ?? (body == nil ? "GET" : "POST")
        if method == "GET", body != nil { throw options.error("body", "cannot be sent with method GET", fix: "set 'method' to 'POST'") }
        headers = table.options.filter { $0.key.hasPrefix(Self.headerPrefix) }.sorted { $0.key < $1.key }
            .map { (String($0.key.dropFirst(Self.headerPrefix.count)), $0.value) }
        timeout = Double(try options.milliseconds("timeout") ?? 10_000) / 1_000
        backoff = try options.milliseconds("retry.backoff") ?? 100
        concurrency = try options.int("concurrency", in: 1...1_000) ?? 8
        var own = table
        own.options["format"] = table.options["format"] ?? "json"
        guard own.options["format"]?.lowercased() == "json" else {
            throw options.error("format", "is not supported yet for answers", fix: "use 'json'")
        }
        self.table = own
        try FormatFactory.validate(own)
    }
}

/// A text with the names of columns in braces.
struct Template: Sendable {
    enum Part: Sendable { case text(String), column(String) }

    let text: String
    let parts: [Part]
    var names: Set<String> { Set(parts.compactMap { if case .column(let name) = $0 { name } else { nil } }) }

    /// Braces around anything but a column's name are text.
    init(_ text: String, _ option: String, _ table: TableDescriptor) throws {
        self.text = text
        var parts: [Part] = [], rest = Substring(text), plain = ""
        while let open = rest.firstIndex(of: "{") {
            plain += rest[..<open]
            let inside = rest[rest.index(after: open)...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            let name = String(inside)
            if !name.isEmpty, inside.endIndex < rest.endIndex, rest[inside.endIndex] == "}" {
                guard let column = table.schema.first(where: { $0.name == name }) else {
                    throw TableOptions(table).error(option, "names {\(name)}, which is no column", fix: NearName.hint(for: name, in: table.schema.map(\.name)))
                }
                switch column.type {
                case .array, .map, .row, .binary, .varbinary:
                    throw TableOptions(table).error(option, "names {\(name)}, whose type \(column.type) cannot stand in a request")
                default: break
                }
                if !plain.isEmpty { parts.append(.text(plain)) }
                plain = ""
                parts.append(.column(name))
                rest = rest[rest.index(after: inside.endIndex)...]
            } else {
                plain.append("{")
                rest = rest[rest.index(after: open)...]
            }
        }
        plain += rest
        if !plain.isEmpty { parts.append(.text(plain)) }
        self.parts = parts
    }

    func filled(_ value: (String) -> String) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .column(let name): value(name)
            }
        }.joined()
    }
}
