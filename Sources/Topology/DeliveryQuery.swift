import StreamCore
import StreamSQL

/// The SELECT of a delivery stream's transform, taken apart: what it is called that it selects, and where it reads `record`.
struct DeliveryQuery {
    private let source: SourceText
    private let query: Query
    private let select: Select
    /// What the columns are called, in order.
    let names: [String]
    /// Each row that comes out is of one record: what is known of the record can be added to it.
    let isPerRecord: Bool
    /// What stands for `record` in expressions.
    private let alias: String

    init(_ text: String, stream: String) throws {
        source = SourceText(text)
        query = try SQLParser(source: source).parseQuery()
        func refuse(_ problem: String, _ fix: String) -> StreamError { StreamError(.validate, "the transform of delivery stream \(stream) \(problem)", fix: fix) }
        guard query.with.isEmpty else { throw refuse("begins with WITH", "make views of the queries in it, and read these") }
        guard case .select(let select) = query.body, query.orderBy.isEmpty, query.limit == nil else {
            throw refuse("is not a single SELECT", "make a view of it, and write SELECT ... FROM record")
        }
        self.select = select
        let names = try select.items.map { item in
            if let alias = item.alias { return alias }
            switch item.expr.node {
            case .name(let name): return name.parts.last!
            case .field(_, let name): return name
            case .star: throw refuse("selects *", "name the columns, or leave the transform out to deliver records as they are")
            default: throw refuse("does not name all that it selects", "write AS name behind each expression")
            }
        }
        self.names = names
        if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
            throw refuse("selects two columns named \(twice)", "rename one")
        }
        var alias: String?
        if case .table(let name, _) = select.from?.node, name.parts.map({ $0.lowercased() }) == ["record"] { alias = select.from?.alias ?? "record" }
        isPerRecord = alias != nil && !select.distinct && select.groupBy.isEmpty && select.having == nil
            && !select.items.contains { Self.aggregates($0.expr) }
        self.alias = alias ?? "record"
        guard let from = select.from, !Self.records(from).isEmpty else { throw refuse("does not read record", "write SELECT ... FROM record") }
    }

    /// Calls of aggregate functions at the top of an item are enough to tell: others are found by the planner.
    private static func aggregates(_ expr: SyntaxExpr) -> Bool {
        switch expr.node {
        case .call(let call): call.over == nil && (call.star || ["COUNT", "SUM", "AVG", "MIN", "MAX"].contains(call.name.uppercased())) || call.arguments.contains(where: aggregates)
        case .binary(_, let a, let b): aggregates(a) || aggregates(b)
        case .cast(let inner, _, _), .unary(_, let inner): aggregates(inner)
        default: false
        }
    }

    /// Where `record` is read.
    private static func records(_ table: TableRef) -> [TableRef] {
        switch table.node {
        case .table(let name, _): name.parts.map { $0.lowercased() } == ["record"] ? [table] : []
        case .join(let left, let right, _, _, _): records(left) + records(right)
        case .windowFunction(_, let input, _, _): records(input)
        case .randomCutForest(let call): records(call.input)
        default: []
        }
    }

    /// The query, reading a table in place of `record`, and with more columns.
    ///
    /// - Parameter columns: name, expression, and whether that is a column of the record.
    func text(reading table: String, adding columns: [(name: String, expression: String, isColumn: Bool)]) throws -> String {
        var edits: [(start: Int, end: Int, text: String)] = Self.records(select.from!).map { reference in
            guard case .table(let name, _) = reference.node else { return (0, 0, "") }
            return (name.span.start, name.span.end, table + (reference.alias == nil ? " AS `record`" : ""))
        }
        if !columns.isEmpty, let last = select.items.last {
            // What follows the last item is its alias or FROM.
            let from = Self.keyword("FROM", in: source.text, after: last.expr.span.end)
            let added = columns.map { ", \($0.isColumn ? "\(SQLComposer.quoted(alias))." : "")\($0.expression) AS \(SQLComposer.quoted($0.name))" }.joined() + " "
            edits.append((from, from, added))
        }
        var out = Array(source.text.utf8)
        for edit in edits.sorted(by: { $0.start > $1.start }) { out.replaceSubrange(edit.start..<edit.end, with: Array(edit.text.utf8)) }
        var text = String(decoding: out, as: UTF8.self)
        if text.contains("--") { text += "\n" }
        return text
    }

    /// Offset of a keyword that stands by itself, behind an expression and perhaps an alias.
    private static func keyword(_ word: String, in text: String, after offset: Int) -> Int {
        let bytes = Array(text.utf8), word = Array(word.utf8)
        func isWordByte(_ i: Int) -> Bool { i >= 0 && i < bytes.count && (bytes[i] == 0x5F || (bytes[i] | 0x20) &- 0x61 < 26 || bytes[i] &- 0x30 < 10) }
        var i = offset
        while i + word.count <= bytes.count {
            if bytes[i] == UInt8(ascii: "`") {
                i += 1
                while i < bytes.count, bytes[i] != UInt8(ascii: "`") { i += 1 }
            } else if !isWordByte(i - 1), !isWordByte(i + word.count), zip(bytes[i...], word).allSatisfy({ $0 & 0xDF == $1 }) {
                return i
            }
            i += 1
        }
        return bytes.count
    }
}
