import Foundation
import Testing

@Suite("swiftwater generate") struct GenerateTests {
    private struct Reading: Decodable {
        var sensor_id: Int, current_temperature: Double, status: String, event_time: String
    }

    private struct Order: Decodable {
        struct Key: Hashable { var order: String, item: String, date: String }
        var order_id: String, item_id: String, customer_id: String, product: String, amount: Double, currency: String
        var time_stamp: String, transaction_date: String
        var key: Key { Key(order: order_id, item: item_id, date: transaction_date) }
    }

    private func decode<T: Decodable>(_ lines: [String]) throws -> [T] { try lines.map { try JSONDecoder().decode(T.self, from: Data($0.utf8)) } }

    @Test("the same seed gives the same bytes, another seed others", arguments: ["sensors", "orders"])
    func seeds(kind: String) throws {
        let workspace = try Workspace()
        let first = try workspace.ok("generate", kind, "--count", "500", "--seed", "7").out
        #expect(try workspace.ok("generate", kind, "--count", "500", "--seed", "7").out == first)
        #expect(try workspace.ok("generate", kind, "--count", "500", "--seed", "8").out != first)
        try workspace.ok("generate", kind, "--count", "500", "--seed", "7", "--file", workspace.path("f"))
        #expect(try String(contentsOfFile: workspace.path("f"), encoding: .utf8) == first)
        try workspace.ok("generate", kind, "--count", "500", "--seed", "7", "--stream", "s")
        #expect(try workspace.ok("stream", "get", "s").out == first)
        #expect(try workspace.ok("generate", kind, "--count", "500", "--seed", "7", "--format", "csv").lines.count == 501)
    }

    @Test("sensor readings keep their rules")
    func sensors() throws {
        let readings: [Reading] = try decode(try Workspace().ok("generate", "sensors", "--count", "5000").lines)
        #expect(readings.count == 5_000)
        for r in readings {
            #expect((1...99).contains(r.sensor_id) && (10...180).contains(r.current_temperature), "\(r)")
            switch r.current_temperature {
            case 160.005...: #expect(r.status == "ERROR", "\(r)")
            case 140.005...: #expect(r.status != "OK", "\(r)")
            default: #expect(["OK", "WARNING", "ERROR"].contains(r.status), "\(r)")
            }
        }
        #expect(Set(readings.map(\.status)) == ["OK", "WARNING", "ERROR"])
        #expect(Set(readings.map(\.sensor_id)) == Set(1...99))
        #expect(readings.map(\.event_time) == readings.map(\.event_time).sorted())
        #expect(readings[0].event_time == "2024-01-01T00:00:00.000000")
    }

    @Test("orders have one of each key, 3801 item 23 among them; changes only change product and amount", arguments: [1, 2, 99])
    func orders(seed: Int) throws {
        let workspace = try Workspace()
        let orders: [Order] = try decode(try workspace.ok("generate", "orders", "--seed", "\(seed)").lines)
        let byKey = Dictionary(uniqueKeysWithValues: orders.map { ($0.key, $0) })
        #expect(byKey.count == 1_000)
        let changed = Order.Key(order: "3801", item: "23", date: "2020-09-02")
        #expect(byKey[changed] != nil)
        let changes: [Order] = try decode(try workspace.ok("generate", "orders", "--seed", "\(seed)", "--changes").lines)
        #expect(changes.contains { $0.key == changed } && Set(changes.map(\.key)).count == changes.count)
        for change in changes {
            let order = try #require(byKey[change.key])
            #expect(change.product != order.product && change.amount != order.amount && change.time_stamp > order.time_stamp, "\(change)")
            #expect((0...99.9).contains(change.amount) && change.customer_id == order.customer_id)
        }
    }

    @Test("without a count it goes on until SIGINT, and whole records arrive")
    func unbounded() throws {
        let workspace = try Workspace()
        let command = try workspace.start(["generate", "sensors", "--rate", "2000", "--stream", "s"])
        try eventually("records in the stream") { try workspace.run("stream", "get", "s", "--limit", "100").lines.count == 100 }
        command.signal(SIGINT)
        let outcome = try command.end(within: 30)
        #expect(outcome.status == 0, "\(outcome)")
        let readings: [Reading] = try decode(try workspace.ok("stream", "get", "s").lines)
        #expect(outcome.errors.replacing(",", with: "").contains("\(readings.count) records to stream s"), "\(outcome.errors)")
    }

    @Test("arguments that make no sense are refused")
    func arguments() throws {
        let workspace = try Workspace()
        try workspace.run("generate", "sensors", "--rate", "0").expectOneError(status: 64, containing: "--rate")
        try workspace.run("generate", "sensors", "--count", "1", "--start", "noon").expectOneError(status: 64, containing: "noon")
        try workspace.run("generate", "orders", "--stream", "s", "--file", "f").expectOneError(status: 64, containing: "--stream, --topic and --file exclude each other")
        try workspace.run("generate", "sensors", "--count=-1").expectOneError(status: 64, containing: "--count")
        try workspace.run("generate", "sensors", "--count", "1", "--file", "no/f").expectOneError(containing: "no/f")
    }
}
