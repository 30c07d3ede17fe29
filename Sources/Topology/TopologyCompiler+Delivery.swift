import StreamCore
import StreamSQL
import Yams

extension TopologyCompiler {
    /// The delivery streams of `delivery-streams:`.
    ///
    /// - Parameter setup: statements that make the tables and views of the file.
    mutating func deliveryStreams(_ node: Node, setup: [String]) throws -> [(stream: DeliveryStream, at: SourceSpan)] {
        try pairs(node, "delivery-streams").map { key, value in
            let name = try define(key, "delivery stream")
            guard DeliveryStream.isName(name) else {
                throw document.error("\"\(name)\" cannot name a delivery stream", fix: "use 1 to 64 letters, digits, '_', '-' and '.'", at: key)
            }
            return (try deliveryStream(name, key, value, setup), document.span(key))
        }
    }

    private func deliveryStream(_ name: String, _ key: Node, _ node: Node, _ setup: [String]) throws -> DeliveryStream {
        let what = "delivery stream \(name)"
        let given = try entries(node, what, TopologyKeys.delivery)
        guard let to = given["to"] else {
            throw document.error("\(what) does not say where its records go", fix: "add to: with files: and a directory", at: key)
        }
        let source = try given["source"].map { try deliverySource($0, what) } ?? .directPut
        var isTable = false
        if case .table = source { isTable = true }
        var stream = DeliveryStream(name: name, source: source, destination: try destination(to, given["buffer"], what), setup: isTable ? setup : [])
        stream.record = try given["record"].map { try deliveryRecord($0, what) }
        if let transform = given["transform"] { stream.transform = try self.transform(transform, what) }
        stream.partitionKeys = try given["partition-by"].map { try list($0, "partition-by").map(\.0) } ?? []
        if let backup = given["backup"] { stream.backup = try files(try entries(backup, "backup of \(what)", TopologyKeys.deliveryFiles), backup, given["buffer"], "backup of \(what)") }
        do {
            _ = try stream.statements(log: nil)
        } catch let error as StreamError {
            throw document.error(error.problem, fix: error.fix, at: given["transform"] ?? key)
        }
        return stream
    }

    private func deliverySource(_ node: Node, _ what: String) throws -> DeliveryStream.Source {
        guard node.mapping != nil else {
            let text = try self.text(node, "source")
            guard text == "direct-put" else {
                throw document.error("source of \(what): \"\(text)\" is not known", fix: "write direct-put, or stream: or table: with a name below it", at: node)
            }
            return .directPut
        }
        let given = try entries(node, "source of \(what)", TopologyKeys.deliverySource)
        if let table = given["table"], given.count == 1 {
            let name = try text(table, "table")
            guard readable.contains(name) else {
                throw document.error("\(what) reads \"\(name)\", which is neither a table nor a view of this topology",
                                     fix: NearName.hint(for: name, in: readable) ?? "add it to tables:", at: table)
            }
            return .table(name)
        }
        guard let stream = given["stream"], given["table"] == nil else {
            throw document.error("source of \(what) needs exactly one of stream and table", fix: "write stream: with the name of a stream", at: node)
        }
        let starts: [String: DeliveryStream.Start] = ["TRIM_HORIZON": .oldest, "LATEST": .latest]
        let start = try given["start"].map { node in
            let text = try self.text(node, "start").uppercased()
            guard let start = starts[text] else {
                throw document.error("start: \(text) is not known", fix: "write TRIM_HORIZON or LATEST", at: node)
            }
            return start
        }
        return .stream(try text(stream, "stream"), from: start ?? .oldest)
    }

    private func deliveryRecord(_ node: Node, _ what: String) throws -> DeliveryStream.Record {
        let given = try entries(node, "record of \(what)", TopologyKeys.deliveryRecord)
        guard let format = given["format"], let columns = given["columns"] else {
            throw document.error("record of \(what) needs format and columns", fix: "add format: json and columns: with one \"name: TYPE\" in a line", at: node)
        }
        var record = DeliveryStream.Record(format: try text(format, "format"), columns: [])
        for (column, type) in try pairs(columns, "columns") {
            let fragment = try self.fragment(type, "the type of column \(column.string!)")
            _ = try SQLParser(source: fragment).parseType()
            record.columns.append(.init(column.string!, fragment.text))
        }
        if let options = given["with"] {
            for (key, value) in try pairs(options, "with") { record.options[key.string!] = try text(value, key.string!) }
        }
        return record
    }

    private func transform(_ node: Node, _ what: String) throws -> DeliveryStream.Transform {
        guard node.mapping != nil else {
            let fragment = try self.fragment(node, "transform")
            let query = try SQLParser(source: fragment).parseQuery()
            return .query(fragment.slice(query.span.start, query.span.end))
        }
        let given = try entries(node, "transform of \(what)", TopologyKeys.deliveryTransform)
        guard let flatten = given["flatten"], try text(flatten, "flatten") == "dynamodb" else {
            throw document.error("transform of \(what) is not known", fix: "write flatten: dynamodb, or SELECT ... FROM record", at: node)
        }
        let deleted = try given["deleted"].map { ($0, try text($0, "deleted")) }
        guard deleted == nil || deleted!.1 == "drop" || deleted!.1 == "deliver" else {
            throw document.error("deleted: \(deleted!.1) is not known", fix: "write drop or deliver", at: deleted!.0)
        }
        return .dynamoDB(deliversDeleted: deleted?.1 == "deliver")
    }

    // MARK: Destinations

    private func destination(_ node: Node, _ buffer: Node?, _ what: String) throws -> DeliveryStream.Destination {
        let given = try entries(node, "to of \(what)", TopologyKeys.deliveryTo)
        let tables = ["opensearch", "http"].filter { given[$0] != nil }
        guard tables.count <= 1, let kind = tables.first ?? (given["files"] == nil ? nil : "files") else {
            throw document.error("to of \(what) needs one of files, opensearch and http", fix: "add files: with a directory", at: node)
        }
        guard kind != "files" else { return .files(try files(given, node, buffer, "to of \(what)")) }
        var options: [String: String] = [:]
        for (key, value) in try pairs(given[kind]!, kind) { options[key.string!] = try text(value, key.string!) }
        guard given["files"] != nil else {
            throw document.error("to of \(what) does not say where failed records go", fix: "add files: with a directory for them beside \(kind):", at: node)
        }
        let files = try files(given, node, buffer, "to of \(what)")
        do {
            options["sink.bulk-flush.max-size"] = options["sink.bulk-flush.max-size"] ?? "\(files.bufferBytes) b"
            options["sink.bulk-flush.interval"] = options["sink.bulk-flush.interval"] ?? "\(max(files.bufferInterval, 1)) ms"
        }
        return .table(.init(connector: kind == "opensearch" ? .openSearch : .http, options: options), failed: files)
    }

    private func files(_ given: [String: Node], _ node: Node, _ buffer: Node?, _ what: String) throws -> DeliveryStream.Files {
        guard let directory = given["files"] else { throw document.error("\(what) names no directory", fix: "add files: with a directory", at: node) }
        var files = DeliveryStream.Files(directory: try text(directory, "files"))
        files.prefix = try given["prefix"].map { try text($0, "prefix") } ?? ""
        files.errorPrefix = try given["error-prefix"].map { try text($0, "error-prefix") }
        files.compression = try given["compression"].map { try text($0, "compression").lowercased() } ?? "none"
        guard ["none", "gzip"].contains(files.compression) else {
            throw document.error("compression: \(files.compression) is not available here", fix: "write none or gzip", at: given["compression"]!)
        }
        files.fileExtension = try given["file-extension"].map { try text($0, "file-extension") } ?? ""
        files.timeZone = try given["time-zone"].map { try text($0, "time-zone") } ?? "UTC"
        if let delimiter = given["record-delimiter"] {
            guard let scalar = delimiter.scalar else { throw document.error("record-delimiter is not a text", fix: "write \"\\n\" or \"\"", at: delimiter) }
            files.delimiter = scalar.string
        }
        guard let buffer else { return files }
        let limits = try entries(buffer, "buffer of \(what)", TopologyKeys.deliveryBuffer)
        if let size = limits["size"] {
            let text = try self.text(size, "size")
            guard let bytes = TableOptions.bytes(of: text.lowercased().replacing("ib", with: "b")), bytes > 0 else {
                throw document.error("size: \(text) is not a size", fix: "write for example 1 MiB", at: size)
            }
            files.bufferBytes = bytes
        }
        if let interval = limits["interval"] { files.bufferInterval = try milliseconds(interval, "interval") }
        return files
    }
}
