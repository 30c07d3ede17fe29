import Foundation
import StreamSQL
import Testing
import Yams

@testable import Topology

/// As much of JSON Schema as the topology schema uses. Returns the path of the first value that does not fit, nil when all do.
struct SchemaChecker {
    let root: [String: Any]

    func mismatch(_ value: Any, _ schema: [String: Any], _ path: String = "$") -> String? {
        for key in schema.keys where !Self.understood.contains(key) { return "schema key \(key)" }
        if let reference = schema["$ref"] as? String {
            let name = String(reference.split(separator: "/").last!)
            guard let target = (root["$defs"] as? [String: Any])?[name] as? [String: Any] else { return "\(path): no \(reference)" }
            if let found = mismatch(value, target, path) { return found }
        }
        if let types = (schema["type"] as? [String]) ?? (schema["type"] as? String).map({ [$0] }),
            !types.contains(where: { fits(value, $0) })
        {
            return "\(path): type"
        }
        if let choices = schema["enum"] as? [String], !choices.contains(where: { $0 == value as? String }) { return "\(path): enum" }
        if let constant = schema["const"] as? String, constant != value as? String { return "\(path): const" }
        if let pattern = schema["pattern"] as? String, let text = value as? String,
            text.range(of: pattern, options: .regularExpression) == nil
        {
            return "\(path): pattern"
        }
        if let minimum = schema["minimum"] as? Int, let n = value as? Int, n < minimum { return "\(path): minimum" }
        for part in schema["allOf"] as? [[String: Any]] ?? [] {
            if let found = mismatch(value, part, path) { return found }
        }
        if let parts = schema["anyOf"] as? [[String: Any]], !parts.contains(where: { mismatch(value, $0, path) == nil }) {
            return "\(path): anyOf"
        }
        if let parts = schema["oneOf"] as? [[String: Any]], parts.count(where: { mismatch(value, $0, path) == nil }) != 1 {
            return "\(path): oneOf"
        }
        if let object = value as? [String: Any] { return mismatch(object: object, schema, path) }
        if let array = value as? [Any] {
            if let minimum = schema["minItems"] as? Int, array.count < minimum { return "\(path): minItems" }
            if let items = schema["items"] as? [String: Any] {
                for (i, item) in array.enumerated() {
                    if let found = mismatch(item, items, "\(path)[\(i)]") { return found }
                }
            }
        }
        return nil
    }

    private static let understood: Set = [
        "$schema", "$id", "$defs", "$ref", "title", "description", "type", "required", "additionalProperties", "properties",
        "patternProperties", "minProperties",
        "minItems", "items", "anyOf", "oneOf", "allOf", "enum", "const", "pattern", "minimum",
    ]

    private func mismatch(object: [String: Any], _ schema: [String: Any], _ path: String) -> String? {
        for key in schema["required"] as? [String] ?? [] where object[key] == nil { return "\(path): lacks \(key)" }
        if let minimum = schema["minProperties"] as? Int, object.count < minimum { return "\(path): minProperties" }
        let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
        let patterns = schema["patternProperties"] as? [String: [String: Any]] ?? [:]
        for (key, value) in object {
            if let own = properties[key] {
                if let found = mismatch(value, own, "\(path).\(key)") { return found }
            } else if let own = patterns.first(where: { key.range(of: $0.key, options: .regularExpression) != nil })?.value {
                if let found = mismatch(value, own, "\(path).\(key)") { return found }
            } else if let rest = schema["additionalProperties"] as? [String: Any] {
                if let found = mismatch(value, rest, "\(path).\(key)") { return found }
            } else if schema["additionalProperties"] as? Bool == false {
                return "\(path): unknown \(key)"
            }
        }
        return nil
    }

    private func fits(_ value: Any, _ type: String) -> Bool {
        switch type {
        case "object": value is [String: Any]
        case "array": value is [Any]
        case "string": value is String
        case "boolean": value is Bool
        case "integer": value is Int
        default: value is Int || value is Double
        }
    }
}

@Suite("Topology schema") struct SchemaTests {
    private func schema() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(Topology.jsonSchema.utf8)) as? [String: Any])
    }

    @Test("accepts the shipped topologies, raw and with variables filled in; so does the reader", arguments: ["sensors", "orders", "mirror", "replicate", "quality", "logs", "alerts"])
    func shipped(name: String) throws {
        let file = ShippedTopologies.folder.appending(path: "\(name).yaml")
        let text = try String(contentsOf: file, encoding: .utf8)
        let checker = SchemaChecker(root: try schema())
        #expect(checker.mismatch(try #require(try Yams.load(yaml: text)), checker.root) == nil)
        let filled = try Substitution.apply(to: text, file: nil, variables: [:], commentMark: "#").text
        #expect(checker.mismatch(try #require(try Yams.load(yaml: filled)), checker.root) == nil)
        let topology = try Topology.load(path: file.path, variables: ["SWIFTWATER_DATA": "some/data", "BOUNDED": "latest-offset"])
        #expect(topology.name == name)
        if name == "mirror" {
            #expect(topology.script.contains("'connector' = 'kafka-mirror'") && topology.script.contains("INSERT INTO `copy_to` SELECT * FROM `copy_from`"))
            return
        }
        if name == "replicate" {
            #expect(topology.replications.count == 1 && topology.replications[0].settings(of: "dms_sample.person")?.primaryKey == ["id"])
            return
        }
        if name == "quality" || name == "logs" {
            #expect(topology.script.contains("'path' = 'some/data/\(name == "quality" ? "clinic/patients" : "encoded_log")'"))
            return
        }
        #expect(topology.script.contains("'scan.bounded.mode' = 'latest-offset'"))
        if name == "alerts" {
            #expect(topology.alerts.map(\.name) == ["many-warnings", "hot-sensor", "silence"] && topology.script.contains("LIKE `$alert hot-sensor`"))
            return
        }
        #expect(topology.script.contains("'path' = 'some/data/tables/\(name == "orders" ? "order_hudi_cow" : "sensor_state_cow")'"))
    }

    @Test(
        "refuses what the reader refuses",
        arguments: [
            "pipeline: [{sql: SELECT 1, into: b}]\ntabels: {}", "name: x", "pipeline: []", "pipeline: [{transform: filter, from: a}]",
            "pipeline: [{sql: SELECT 1}]\ntables: {t: {columns: {}, with: {connector: print}}}",
            "pipeline: [{sql: SELECT 1}]\ntables: {t: {columns: {a: INT}}}",
            "pipeline: [{sql: SELECT 1}]\nsettings: {parallelism: two}", "pipeline: [{sql: SELECT 1}]\nsettings: {foo.bar: 1}",
            "pipeline: [{sql: SELECT 1}]\ntables: {t: {columns: {a: INT}, with: {connector: print}, watermark: {column: a, delay: soon}}}",
            "alerts: [{name: a}]\npipeline: [{sql: SELECT 1}]", "alerts: [{name: a, query: SELECT 1, metric: x, condition: above 1, notify: n}]",
            "alerts: [{name: a b, query: SELECT 1, notify: n}]", "alerts: [{name: a, metric: x, condition: above 1, notify: n, for: soon}]\npipeline: [{sql: SELECT 1}]",
            "notifications: {n: {webhook: {}}}\npipeline: [{sql: SELECT 1}]", "notifications: {n: {email: {host: h, from: a@b, to: c@d, password: plain}}}\npipeline: [{sql: SELECT 1}]",
            "notifications: {n: {command: {run: [a]}, webhook: {url: 'http://a/'}}}\npipeline: [{sql: SELECT 1}]",
            "alerts: [{name: a, query: SELECT 1, route: [{pattern: {a: [b]}}]}]",
            "pipeline: [{mirror: {from: {bootstrap.servers: a}}}]", "pipeline: [{mirror: {from: {bootstrap.servers: a}, to: {bootstrap.servers: b}, topic: x}}]",
            "replications: {a: {source: {connector: filesystem, path: raw}}}", "replications: {a: {source: {path: raw}, sink: {connector: hudi, path: '{table}'}}}",
            "replications: {a: {source: {connector: x}, sink: {connector: hudi, path: '{table}'}, defaults: {primary-key: id}}}",
            "pipeline: [{transform: aggregate, from: a, columns: {n: COUNT(*)}, window: {type: hopp, column: ts}, into: b}]",
        ])
    func refuses(text: String) throws {
        let checker = SchemaChecker(root: try schema())
        #expect(checker.mismatch(try #require(try Yams.load(yaml: text)), checker.root) != nil)
        #expect(throws: (any Error).self) { try Topology.parse(yaml: text, file: nil, variables: [:]) }
    }

    @Test("knows the same keys as the reader")
    func sameKeys() throws {
        let schema = try schema()
        let definitions = try #require(schema["$defs"] as? [String: [String: Any]])
        func keys(_ object: [String: Any]?) -> [String] { (object?["properties"] as? [String: Any] ?? [:]).keys.sorted() }
        #expect(keys(schema) == TopologyKeys.root.sorted())
        #expect(keys(definitions["settings"]) == (TopologyKeys.settings + TopologyKeys.alertSettings).sorted())
        #expect(
            keys((definitions["settings"]?["properties"] as? [String: [String: Any]])?["checkpoint"]) == TopologyKeys.checkpoint.sorted())
        #expect(keys(definitions["table"]) == TopologyKeys.table.sorted())
        #expect(keys(definitions["column"]) == TopologyKeys.column.sorted())
        #expect(keys(definitions["watermark"]) == TopologyKeys.watermark.sorted())
        #expect(keys(definitions["view"]) == TopologyKeys.view.sorted())
        #expect(keys(definitions["delivery"]) == TopologyKeys.delivery.sorted() && keys(definitions["delivery-files"]) == TopologyKeys.deliveryFiles.sorted())
        #expect(keys(definitions["replication"]) == TopologyKeys.replication.sorted() && keys(definitions["replicated-table"]) == TopologyKeys.replicatedTable.sorted())
        #expect(keys(definitions["notification"]) == TopologyKeys.notification.sorted() && keys(definitions["alert"]) == TopologyKeys.alert.sorted())
        #expect(keys(definitions["webhook"]) == TopologyKeys.webhook.sorted() && keys(definitions["command"]) == TopologyKeys.command.sorted())
        #expect(keys(definitions["email"]) == TopologyKeys.email.sorted() && keys(definitions["secret"]) == TopologyKeys.secret.sorted())
        #expect(keys(definitions["window"]) == TopologyKeys.window.sorted())
        let steps = try #require(definitions["step"]?["anyOf"] as? [[String: Any]])
        #expect(keys(steps[0]) == (TopologyKeys.step + ["sql"]).sorted())
        #expect(keys(steps[1]) == TopologyKeys.mirrorStep.sorted() && keys(definitions["mirror"]) == TopologyKeys.mirror.sorted())
        #expect(steps.count == 2 + TopologyKeys.transforms.count)
        for step in steps.dropFirst(2) {
            let properties = try #require(step["properties"] as? [String: [String: Any]])
            let name = try #require(properties["transform"]?["const"] as? String)
            #expect(keys(step) == (TopologyKeys.step + ["transform"] + (TopologyKeys.transforms[name] ?? [])).sorted())
        }
    }
}
