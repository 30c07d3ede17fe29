import Foundation
import StreamTesting
import TestScripts
import Testing

@testable import Alerts

@Suite("event patterns") struct PatternTests {
    private static let words = ["aws.rds", "aws.ec2", "AWS.RDS", "a*b", "", "10.0.0.7", "10.0.1.9", "2001:db8::1", "high", "HIGH", "naïve", "a\\b"]

    /// Values that both sides see alike: to Python true is 1.
    private static func scalar(_ random: inout SeededRandom) -> JSONValue {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: .integer(Int64.random(in: 2...6, using: &random))
        case 1: .number([2.5, 3, 1e3, -0.25].randomElement(using: &random)!)
        case 2: .null
        case 3: .bool(Bool.random(using: &random))
        default: .string(words.randomElement(using: &random)!)
        }
    }

    private static func event(_ random: inout SeededRandom, depth: Int = 0) -> JSONValue {
        var members: [String: JSONValue] = [:]
        for name in ["a", "b", "c", "d"] where Int.random(in: 0..<4, using: &random) > 0 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where depth < 2:
                let inner = event(&random, depth: depth + 1)
                // To moto an empty object is a value.
                if inner != .object([:]) { members[name] = inner }
            case 1: members[name] = .array((0..<Int.random(in: 1...3, using: &random)).map { _ in scalar(&random) })
            default: members[name] = scalar(&random)
            }
        }
        return .object(members)
    }

    private static func choice(_ random: inout SeededRandom) -> JSONValue {
        func word() -> JSONValue { .string(words.filter { !$0.isEmpty }.randomElement(using: &random)!) }
        func number() -> JSONValue { .integer(Int64.random(in: 0...5, using: &random)) }
        func wild() -> JSONValue { .string(["aws.*", "*", "*.rds", "a*s.*d*", "a\\*b", "*ï*", "h*h", "a\\\\b", "10.*.7"].randomElement(using: &random)!) }
        switch Int.random(in: 0..<16, using: &random) {
        case 0: return .object(["prefix": word()])
        case 1: return .object(["suffix": .array([word(), .string("igh")])])
        case 2: return .object(["equals-ignore-case": word()])
        case 3: return .object(["exists": .bool(Bool.random(using: &random))])
        case 4: return .object(["numeric": .array([.string(["<", "<=", "=", ">", ">="].randomElement(using: &random)!), number()])])
        case 5: return .object(["numeric": .array([.string(">"), number(), .string("<="), number()])])
        case 6: return .object(["anything-but": Bool.random(using: &random) ? word() : .array([word(), number()])])
        case 7: return .object(["anything-but": .object([["prefix", "suffix"].randomElement(using: &random)!: word()])])
        case 8: return .object(["wildcard": wild()])
        case 9: return .object(["anything-but": .object(["wildcard": wild()])])
        case 10: return .object(["cidr": .string(["10.0.0.0/24", "10.0.0.0/23", "2001:db8::/32", "0.0.0.0/0"].randomElement(using: &random)!)])
        case 11: return .object(["prefix": .object(["equals-ignore-case": .string("aws")])])
        case 12: return .object(["suffix": .object(["equals-ignore-case": .string("IGH")])])
        default: return scalar(&random)
        }
    }

    private static func pattern(_ random: inout SeededRandom, depth: Int = 0) -> JSONValue {
        var members: [String: JSONValue] = [:]
        while members.isEmpty {
            for name in ["a", "b", "c", "d"] where Int.random(in: 0..<3, using: &random) == 0 {
                members[name] = Int.random(in: 0..<4, using: &random) == 0 && depth < 2
                    ? pattern(&random, depth: depth + 1) : .array((0..<Int.random(in: 1...3, using: &random)).map { _ in choice(&random) })
            }
            if depth < 2, Int.random(in: 0..<5, using: &random) == 0 { members["$or"] = .array([pattern(&random, depth: depth + 1), pattern(&random, depth: depth + 1)]) }
        }
        return .object(members)
    }

    @Test("match what moto's EventBridge matches")
    func judged() throws {
        let seed = UInt64(20_240_504), folder = try Folder()
        var random = SeededRandom(seed)
        let cases: [(pattern: JSONValue, event: JSONValue)] = (0..<10_000).map { _ in (pattern: Self.pattern(&random), event: Self.event(&random)) }.filter { made in
            // Where Python has ideas of its own: truth is a number, and a number an address.
            let pattern = made.pattern.text, event = made.event.text
            let hasTruth = event.contains("true") || event.contains("false")
            if pattern.contains("cidr"), hasTruth || event.contains(where: \.isNumber) { return false }
            return !hasTruth || !pattern.contains("numeric") && !pattern.contains("anything-but")
        }
        let path = try folder.write("cases.json", JSONValue.array(cases.map { .object(["pattern": $0.pattern, "event": $0.event]) }).text)
        let answers = try #require(try PythonScript.answer("alerts/patterns.py", [path]) as? [Bool])
        var matched = 0
        for (case_, wanted) in zip(cases, answers) {
            let found = try EventPattern(case_.pattern).matches(case_.event)
            matched += found ? 1 : 0
            if found != wanted { Issue.record("seed \(seed): \(case_.pattern.text) on \(case_.event.text): \(found)") }
        }
        #expect(answers.count == cases.count && cases.count > 4_000 && matched > 500, "\(matched) of \(cases.count)")
    }

    @Test("find values within lists of objects, all of a pattern in the same element")
    func lists() throws {
        func matches(_ pattern: String, _ event: String) throws -> Bool { try EventPattern(JSONValue(json: pattern)).matches(JSONValue(json: event)) }
        let event = #"{"detail": {"anomalies": [{"n": "AWS/RDS", "s": 1, "x": [{"y": "z"}]}, {"n": "AWS/Lambda", "s": 2}], "tags": ["a", ["b"]]}}"#
        #expect(try matches(#"{"detail": {"anomalies": {"n": ["AWS/RDS"], "s": [1]}}}"#, event))
        #expect(try !matches(#"{"detail": {"anomalies": {"n": ["AWS/RDS"], "s": [2]}}}"#, event))
        #expect(try matches(#"{"detail": {"anomalies": {"x": {"y": ["z"]}}, "tags": ["b"]}}"#, event))
        #expect(try matches(#"{"detail": {"missing": [{"exists": false}], "anomalies": [{"exists": false}]}}"#, event))
        #expect(try matches(#"{"n": [300]}"#, #"{"n": 3.0e2}"#) && !matches(#"{"n": [1]}"#, #"{"n": true}"#) && !matches(#"{"n": ["1"]}"#, #"{"n": 1}"#))
        #expect(try matches(#"{"source": ["aws.rds"], "detail": {"severity": ["HIGH"]}}"#, #"{"source": "aws.rds", "detail": {"severity": "HIGH", "more": 1}}"#))
        #expect(try !matches(#"{"a": {"b": ["c"]}}"#, #"[1]"#) && !matches(#"{"a": ["b"]}"#, #""a""#))
    }

    @Test("refuse what EventBridge refuses, and say where", arguments: [
        ("{}", "", "empty"), (#"{"a": "b"}"#, "a", "neither an object nor a list"), (#"{"a": []}"#, "a", "no values"), (#"{"a": {"b": {}}}"#, "a/b", "empty"),
        (#"{"a": [{"prefx": "x"}]}"#, "a/0/prefx", "no filter"), (#"{"a": [{"numeric": [">", "x"]}]}"#, "a/0/numeric/1", "no number"),
        (#"{"a": [{"numeric": ["~", 1]}]}"#, "a/0/numeric/0", "does not compare"), (#"{"a": [{"exists": 1}]}"#, "a/0/exists", "neither true nor false"),
        (#"{"a": [{"cidr": "10.0.0.0/33"}]}"#, "a/0/cidr", "no range"), (#"{"a": [{"wildcard": "a**"}]}"#, "a/0/wildcard", "two stars"),
        (#"{"a": [{"wildcard": "a\\b"}]}"#, "a/0/wildcard", "before b"), (#"{"a": [{"prefix": "x", "suffix": "y"}]}"#, "a/0", "2 names"), (#"{"a": [["b"]]}"#, "a/0", "a list"),
        (#"{"$or": [{"a": ["b"]}]}"#, "$or", "two patterns"), (#"{"a": [{"anything-but": {"numeric": [1]}}]}"#, "a/0/anything-but", "none of"), (#"[1]"#, "", "not an object"),
    ])
    func refuses(text: String, path: String, problem: String) throws {
        do {
            _ = try EventPattern(JSONValue(json: text))
            Issue.record("\(text) is taken")
        } catch let found as EventPattern.Problem {
            #expect(found.path.joined(separator: "/") == path && found.problem.contains(problem), "\(found)")
        }
    }
}
