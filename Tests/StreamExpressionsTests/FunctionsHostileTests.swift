import StreamCore
import Testing
@testable import StreamExpressions

/// Inputs made to break a parser or to take for ever.
struct HostileInputTests {
    private func matches(_ pattern: String, _ text: String, maxSteps: Int = 1_000_000) throws -> Bool {
        var matcher = RegexMatcher(try RegexProgram(pattern), maxSteps: maxSteps)
        return try Array(text.utf8).withUnsafeBytes { try matcher.find($0) }
    }

    @Test(arguments: ["(a+)+$", "(a|aa)+$", "(a|a?)+b", "(.*a){12}$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
    func backtrackingIsBounded(pattern: String) throws {
        #expect(try !matches(pattern, String(repeating: "a", count: 100) + "!"))
    }

    @Test func patternThatCannotBeBoundedIsAnError() throws {
        let text = String(repeating: "a", count: 40)
        let error = errorText { _ = try matches("(a+)+(?=b)\\1$", text) }
        #expect(error?.contains("steps") == true, "\(error ?? "no error")")
    }

    @Test(arguments: ["[", "(", ")", "a**", "a{2", "a{3,2}", "\\", "(?<n", "(?<n>a)(?<n>b)", "\\k<x>", "[b-a]", "(?z)", "\\p{Nope}", "x{1001}", "[[:a", "\\y",
                      "((a{1000}){1000}){1000}"])
    func malformedPatternsAreRefused(pattern: String) {
        #expect(throws: RegexSyntaxError.self) { try RegexProgram(pattern) }
    }

    @Test func deepGroupsAreRefused() {
        let n = 5_000
        #expect(throws: RegexSyntaxError.self) { try RegexProgram(String(repeating: "(", count: n) + "a" + String(repeating: ")", count: n)) }
        #expect(throws: RegexSyntaxError.self) { try RegexProgram(String(repeating: "[", count: n)) }
    }

    /// Random patterns over random texts neither crash nor stall.
    @Test func randomPatternsEnd() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        let alphabet = Array("ab|()*+?.[]^-$\\dw{}2,é1")
        var compiled = 0
        for _ in 0..<3_000 {
            let pattern = String((0..<Int.random(in: 1...12, using: &random)).map { _ in alphabet.randomElement(using: &random)! })
            let text = String((0..<Int.random(in: 0...16, using: &random)).map { _ in "abé1 ".randomElement(using: &random)! })
            guard let program = try? RegexProgram(pattern) else { continue }
            compiled += 1
            var matcher = RegexMatcher(program)
            let bytes = Array(text.utf8)
            bytes.withUnsafeBytes { raw in
                guard (try? matcher.find(raw)) == true, let range = matcher.range(ofGroup: 0) else { return }
                #expect(range.lowerBound >= 0 && range.upperBound <= raw.count, "pattern \(pattern), text \(text), seed \(seed)")
            }
        }
        #expect(compiled > 200, "seed \(seed)")
    }

    @Test(arguments: ["{", "[", "[1,", "{\"a\"", "{\"a\":", "{\"a\":1,}", "\"", "\"\\", "\"\\u12", "-", "1.", "1e", "1e+", "tru", "nulll", "{1:2}", "[1 2]", "\u{1}",
                      "\"a\nb\"", "+1", "0x1", "'a'", "{\"a\":1}}x"])
    func malformedJson(text: String) {
        var document = JsonDocument()
        let bytes = Array(text.utf8)
        let isJson = bytes.withUnsafeBytes { document.parse($0) }
        // Only the first value counts.
        #expect(isJson == (text == "{\"a\":1}}x"))
    }

    @Test func deepJsonIsRefused() {
        for (n, fits) in [(1_000, true), (1_001, false), (200_000, false)] {
            let text = String(repeating: "[", count: n) + String(repeating: "]", count: n)
            var document = JsonDocument()
            let parsed = Array(text.utf8).withUnsafeBytes { document.parse($0) }
            #expect(parsed == fits, "\(n) levels")
        }
    }

    /// Every cut and every changed byte of a document is read or refused, within its bounds.
    @Test func damagedJsonStaysWithinBounds() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        let whole = Array(#"{"a":[1,-2.5e3,"x\u00e9\n",{"b":null,"c":true}],"d":{"é":"日本"},"e":""}"#.utf8)
        let path = try! JsonPath("$..b"), filter = try! JsonPath("$.a[?(@.b != 1)]")
        for i in 0..<2_000 {
            var bytes = i < whole.count ? Array(whole[..<i]) : whole
            if i >= whole.count { bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random) }
            var document = JsonDocument(), items: [JsonItem] = []
            let column = bytes.withUnsafeBytes { raw in
                RowSet(nil, count: 1).text(.string) { _, out in
                    guard document.parse(raw) else { return }
                    try? path.evaluate(document, &items)
                    try? filter.evaluate(document, &items)
                    document.append(0, to: &out)
                }
            }
            // What was written is JSON again, and the same when it is written again.
            guard column.bytes(at: 0).count > 0 else { continue }
            var again = JsonDocument()
            let parsed = again.parse(column.bytes(at: 0))
            #expect(parsed, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
            let second = RowSet(nil, count: 1).text(.string) { _, out in again.append(0, to: &out) }
            #expect(second.value(at: 0) == column.value(at: 0), "seed \(seed)")
        }
    }

    @Test(arguments: ["", "$.", "$[", "$['a", "$[?(@.a", "$[?(@.a ==)]", "$[?()]", "$..", "$x", "$[a]", "$.a.nope()", "$[?(@ =~ /(/)]", "$[?(@ =~ /a)]"])
    func malformedPaths(path: String) throws {
        #expect(throws: JsonPath.SyntaxError.self) { try JsonPath(path) }
        // In a statement such a path is an error of each row.
        #expect(try SQL.show(SQL.call("JSON_VALUE", SQL.text("{}"), SQL.text(path))) == nil)
    }

    @Test func deepFiltersAreRefused() {
        #expect(throws: JsonPath.SyntaxError.self) { try JsonPath("$[?" + String(repeating: "(", count: 10_000) + "@.a" + String(repeating: ")", count: 10_000) + "]") }
        #expect(throws: JsonPath.SyntaxError.self) { try JsonPath("$[?(" + String(repeating: "!", count: 10_000) + "@.a)]") }
    }

    /// Text that is no UTF-8 must not make a function read outside of it.
    @Test func brokenUtf8() throws {
        let broken: [[UInt8]] = [[0xFF], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0x80, 0x80], [0x61, 0xF0]]
        let column = Column.make(broken.map { .binary($0) }, .bytes).retyped(.string)
        let batch = Batch(columns: [column], physicalCount: broken.count)
        let e = Expr.column(0, .string)
        let calls: [Expr] = try [
            SQL.call("UPPER", e), SQL.call("REVERSE", e), SQL.call("SUBSTRING", e, SQL.int(1), SQL.int(2)), SQL.call("RIGHT", e, SQL.int(1)),
            SQL.call("CHAR_LENGTH", e), SQL.call("LPAD", e, SQL.int(5), SQL.text("é")), SQL.call("RPAD", SQL.text("a"), SQL.int(9), e),
            SQL.call("TRANSLATE", e, e, SQL.text("x")), SQL.call("REPLACE", e, SQL.text(""), SQL.text("-")), SQL.call("BTRIM", e, e),
            SQL.call("REGEXP_EXTRACT", e, SQL.text("(.)."), SQL.int(1)), SQL.call("LIKE", e, SQL.text("%_")), SQL.call("JSON_QUOTE", e),
            SQL.call("OVERLAY", e, SQL.text("x"), SQL.int(1), SQL.int(1)), SQL.call("SPLIT", e, SQL.text("")), SQL.call("INITCAP", e),
            SQL.call("ENCODE", e, SQL.text("UTF-16")), SQL.call("INSTR", e, e, SQL.int(-1)), SQL.call("JSON_STRING", e), SQL.call("LOWER", e),
        ]
        let results = try Evaluator(calls, context: EvaluationContext()).evaluate(batch)
        #expect(results.allSatisfy { $0.count == broken.count })
    }
}
