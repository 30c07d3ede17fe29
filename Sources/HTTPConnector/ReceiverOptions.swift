import ShardLog
import StreamCore
import StreamFormats

/// The options of an http table, checked.
struct ReceiverOptions: Sendable {
    let host: String
    let port: Int
    let path: PathPattern
    /// nil = none is asked for.
    let token: String?
    let tokenFile: String?
    /// Of a body, unpacked.
    let bodyBytesMax: Int
    /// Bytes of records that the job has not read yet; beyond it nothing more is taken.
    let backlogMax: Int
    /// Bytes since the last completed checkpoint.
    let spoolBytesMax: Int
    let splitter: BodySplitter
    /// A body with a broken record is refused as a whole.
    let validates: Bool
    let logDirectory: String
    /// The stream that bodies are kept in.
    let spool: String
    let onError: OnError
    /// Names of headers that the table wants, in lower case.
    let headers: [String]

    static let keys: Set<String> = [
        "connector", "listen", "path", "token", "token-file", "max-body-size", "max-backlog", "spool.max-size", "body", "validate", "log.directory", "spool", "format",
    ]
    static let headerPrefix = "header.", pathPrefix = "path."
    /// One body is one batch of the log, which is there as a whole or not at all.
    static let bodyBytesLimit = 15 << 20, recordBytesLimit = 9 << 20

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        (host, port) = try Self.listen(options)
        path = try PathPattern(options)
        token = options.string("token")
        tokenFile = options.string("token-file")
        if token != nil, tokenFile != nil { throw options.error("token-file", "stands beside 'token'", fix: "keep one of the two") }
        if token?.isEmpty == true { throw options.error("token", "must not be empty") }
        if token == nil, tokenFile == nil, !Self.isLoopback(host) {
            throw options.error("listen", "can be reached from other machines, and no token is asked for", fix: "add 'token' or 'token-file', or listen on 127.0.0.1")
        }
        let format = (try options.require("format")).lowercased()
        let isJSON = format == "json" || format.hasSuffix("-json") && !format.contains("confluent"), hasLines = isJSON || format == "csv" || format == "raw"
        let isWhole: Bool
        if let chosen = try options.choice("body", ["record", "lines"]) { isWhole = chosen == "record" } else { isWhole = !hasLines }
        if !isWhole, !hasLines { throw options.error("body", "needs a format with lines, which '\(format)' has not", fix: "set 'body' to 'record'") }
        splitter = isWhole ? .whole : isJSON ? .json : format == "csv" ? try Self.csv(options) : .lines
        bodyBytesMax = try options.bytes("max-body-size") ?? 8 << 20
        let limit = isWhole ? Self.recordBytesLimit : Self.bodyBytesLimit
        guard (1...limit).contains(bodyBytesMax) else {
            throw options.error("max-body-size", "is not from 1 byte to \(limit >> 20) mb" + (isWhole ? ", the limit of one record" : ""), fix: "let devices send larger files in parts")
        }
        backlogMax = try options.bytes("max-backlog") ?? 256 << 20
        spoolBytesMax = try options.bytes("spool.max-size") ?? 8 << 30
        if backlogMax < 1 { throw options.error("max-backlog", "is not positive") }
        if spoolBytesMax < backlogMax { throw options.error(options.has("spool.max-size") ? "spool.max-size" : "max-backlog", "leaves less room on the disk than 'max-backlog' asks for", fix: "raise 'spool.max-size'") }
        validates = try options.bool("validate") ?? false
        logDirectory = options.string("log.directory") ?? ShardLog.defaultDirectory
        spool = options.string("spool") ?? Self.spoolName(port, path)
        do { try ShardLog.check(name: spool) } catch {
            throw options.error(options.has("spool") ? "spool" : "path", "cannot name the stream that bodies are kept in",
                                fix: "set 'spool' to a name of at most 128 letters, digits, '_', '-' and '.'")
        }
        onError = try BadInput.onError(table, ignoresParseErrors: try options.bool("\(format).ignore-parse-errors") ?? false)
        let types = HTTPConnector.metadataTypes(table, path)
        headers = table.metadata.filter { $0.key.hasPrefix(Self.headerPrefix) }.map { $0.key.dropFirst(Self.headerPrefix.count).lowercased() }
        for column in table.metadata {
            guard let type = types[column.key] else {
                throw StreamError(.validate, "table \(table.name): connector 'http' has no metadata '\(column.key)'", fix: NearName.hint(for: column.key, in: types.keys))
            }
            if BadInput.metadataKeys[column.key] != nil { continue }
            guard type.isText ? column.type.isText : type == column.type || type.isTimestamp && column.type.isTimestamp else {
                throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'", fix: "declare it as \(type)")
            }
        }
    }

    /// The token that requests must show.
    func readToken() throws -> [UInt8]? {
        if let token { return Array(token.utf8) }
        guard let tokenFile else { return nil }
        let text = String(decoding: try Host.read(tokenFile), as: UTF8.self).trimmed
        guard !text.isEmpty else { throw StreamError(.validate, "the token file \(tokenFile) is empty", fix: "write the token into it") }
        return Array(text.utf8)
    }

    private static func listen(_ options: TableOptions) throws -> (String, Int) {
        let text = try options.require("listen"), problem = options.error("listen", "is no address and port", fix: "write it as in '127.0.0.1:8090' or '[::1]:8090'")
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port) else { throw problem }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) } else if host.contains(":") { throw problem }
        guard !host.isEmpty else { throw problem }
        return (host, port)
    }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// The same for each run of a job that listens there.
    private static func spoolName(_ port: Int, _ path: PathPattern) -> String {
        let name = path.text.dropFirst().map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") ? $0 : $0 == "/" ? "." : "_" }
        return "http-\(port)-" + String(name)
    }

    private static func csv(_ options: TableOptions) throws -> BodySplitter {
        func character(_ key: String) -> UInt8? { options.string(key).flatMap { $0.utf8.count == 1 ? $0.utf8.first : nil } }
        let quote = try options.bool("csv.disable-quote-character") == true ? nil : character("csv.quote-character") ?? UInt8(ascii: "\"")
        return .csv(quote: quote, escape: character("csv.escape-character"), hasHeader: try options.bool("csv.header") ?? false)
    }
}
