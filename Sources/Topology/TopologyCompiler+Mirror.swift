import StreamCore
import StreamSQL
import Yams

extension TopologyCompiler {
    /// A step that copies topics from one Kafka cluster to another: a table for each cluster, and what is written between them.
    ///
    ///     mirror:
    ///       from: {alias: dc1, bootstrap.servers: "a:9092"}
    ///       to: {alias: dc2, bootstrap.servers: "b:9092"}
    ///       topics: [orders, "payments\\..*"]
    mutating func mirror(_ node: Node, name: Node?, number: Int) throws -> (tables: [Statement], source: String, target: String) {
        let step = name?.string ?? "mirror_\(number)", what = "mirror of step \(step)"
        let given = try entries(node, what, TopologyKeys.mirror)
        var options: [(String, String, SourceSpan)] = []
        for side in ["from", "to"] {
            guard let cluster = given[side] else {
                throw document.error("\(what) has no \(side)", fix: "add \(side): with bootstrap.servers: host:9092", at: node)
            }
            for (key, value) in try pairs(cluster, "\(side) of \(what)") {
                options.append(("\(side).\(key.string!)", try text(value, "\(side).\(key.string!)"), document.span(key)))
            }
        }
        for (key, value) in try pairs(node, what) where key.string != "from" && key.string != "to" {
            let entries = TopologyKeys.mirrorLists.contains(key.string!) ? try list(value, key.string!) : [(try text(value, key.string!), document.span(value))]
            // A variable can stand for several names, with semicolons between them.
            options.append((key.string!, entries.map(\.0).joined(separator: ";"), document.span(key)))
        }
        let tables = try ["from", "to"].map { side in
            let table = "\(step)_\(side)"
            try define(table, "table", at: name ?? node)
            var sql = SQLComposer(document)
            let at = document.span(name ?? node)
            sql.add("CREATE TEMPORARY TABLE ", at: at)
            sql.addName(table, at: at)
            sql.add(
                " (`topic` STRING, `partition` INT, `offset` BIGINT, `timestamp` BIGINT, `key` BYTES, `value` BYTES, `headers` BYTES) WITH (\n  'connector' = 'kafka-mirror'",
                at: at)
            for (key, value, span) in options { sql.add(",\n  \(SQLComposer.literal(key)) = \(SQLComposer.literal(value))", at: span) }
            sql.add("\n)", at: at)
            return try sql.statement()
        }
        return (tables, "\(step)_from", "\(step)_to")
    }
}
