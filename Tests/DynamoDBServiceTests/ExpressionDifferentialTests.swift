import AWSProtocol
import TestScripts
import Testing

@testable import DynamoDBService

/// Random conditions and updates, judged by moto's server through boto3.
struct ExpressionDifferentialTests {
    @Test func conditionsAndUpdatesAreThoseOfMoto() throws {
        let seed = UInt64.random(in: 0...1 << 32), cases = 600
        print("seed \(seed)")
        let moto = try BackgroundScript("aws/moto_server.py", seconds: 180)
        defer { moto.end() }
        let result = try PythonScript.run("aws/dynamodb_differential.py", ["http://127.0.0.1:\(moto.firstLine)", "\(seed)", "\(cases)"])
        #expect(result.status == 0, "\(result.errors)")
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == cases)
        for line in lines {
            let given = try AWSJSON.parse(Array(line.utf8))
            let expected = Self.shown(given["answer"])
            #expect(Self.answer(given) == expected, "seed \(seed) \(line)")
        }
    }

    /// Errors are compared as such, as moto words some of its own way.
    private static func shown(_ answer: AWSValue?) -> String {
        if let text = answer?.string { return text.hasPrefix("error") ? "error" : text }
        return (try? Item(answer ?? .null)).map(shown) ?? "unreadable"
    }

    private static func shown(_ item: Item) -> String {
        // Sets have no order.
        func sorted(_ value: AttributeValue) -> AttributeValue {
            switch value {
            case .ss(let all): .ss(all.sorted())
            case .ns(let all): .ns(all.sorted())
            default: value
            }
        }
        return String(decoding: AWSJSON.write(item.mapValues(sorted).awsValue), as: UTF8.self)
    }

    private static func answer(_ given: AWSValue) -> String {
        do {
            let item = try Item(given["item"] ?? .null), text = given["text"]?.string ?? ""
            let context = try ExpressionContext(names: given["names"], values: given["values"])
            if given["kind"] == "condition" {
                let condition = try ConditionExpression(text, context)
                try context.checkAllUsed()
                return try condition.evaluate(item: item) ? "true" : "false"
            }
            let update = try UpdateExpression(text, context)
            try context.checkAllUsed()
            return shown(try update.apply(to: item))
        } catch { return "error" }
    }
}
