import AWSProtocol
import Testing

@testable import DynamoDBService

private let item: Item = [
    "id": .s("k"), "n": .n(DynamoNumber(5)), "text": .s("hello"), "bytes": .b([1, 2, 3]), "yes": .bool(true), "nothing": .null,
    "list": .l([.s("a"), .n(DynamoNumber(1)), .m(["x": .s("deep")])]), "m": .m(["a": .m(["b": .l([.n(DynamoNumber(7))])]), "c": .s("v")]),
    "texts": .ss(["a", "b"]), "numbers": .ns([DynamoNumber(1), DynamoNumber(2)]), "size": .s("named as a function"), "a.b": .s("dotted"),
]

private let names = ["#size": "size", "#dotted": "a.b", "#m": "m", "#list": "list", "#text": "text"]
private let values: [String: AttributeValue] = [
    ":five": .n(DynamoNumber(5)), ":six": .n(DynamoNumber(6)), ":one": .n(DynamoNumber(1)), ":he": .s("he"), ":ll": .s("ll"), ":a": .s("a"),
    ":v": .s("v"), ":deep": .s("deep"), ":yes": .bool(true), ":set": .ss(["b", "a"]), ":s": .s("S"), ":l": .s("L"), ":bytes": .b([2, 3]), ":seven": .n(DynamoNumber(7)),
    ":x": .s("X"), ":null": .null, ":list": .l([]),
]

private func context() -> ExpressionContext { ExpressionContext(names: names, values: values) }

struct ConditionTests {
    @Test(arguments: [
        ("n = :five", true), ("n <> :five", false), ("n < :six", true), ("n <= :five", true), ("n > :five", false), ("n >= :five", true),
        (":five = n", true), ("n = :he", false), ("n <> :he", true), ("absent = :five", false), ("absent <> :five", true), ("absent < :five", false),
        ("n BETWEEN :one AND :six", true), ("n between :six and :seven", false), ("n IN (:one, :five)", true), ("n IN (:one)", false),
        ("absent IN (:one)", false), ("attribute_exists(n)", true), ("attribute_exists(absent)", false), ("attribute_not_exists(absent)", true),
        ("attribute_exists(#m.a.b[0])", true), ("attribute_exists(#m.a.b[1])", false), ("#m.a.b[0] = :seven", true), ("#list[2].x = :deep", true),
        ("attribute_exists(text.a)", false), ("attribute_type(#text, :s)", true), ("attribute_type(#list, :l)", true),
        ("begins_with(#text, :he)", true), ("begins_with(#text, :ll)", false), ("contains(#text, :ll)", true), ("contains(texts, :a)", true),
        ("contains(texts, :ll)", false), ("contains(#list, :a)", true), ("contains(#list, :one)", true), ("contains(numbers, :one)", true),
        ("contains(bytes, :bytes)", true), ("size(#text) = :five", true), ("size(#list) > :one", true), ("size(texts) < :five", true),
        ("size(n) = :one", false), ("#size = :he", false), ("attribute_exists(#dotted)", true), ("texts = :set", true), ("yes = :yes", true),
        ("nothing = :null", true), ("n = :five AND #text = :he", false), ("n = :five OR #text = :he", true), ("NOT n = :five", false),
        ("NOT (n = :five AND #text = :he)", true), ("n = :six OR n = :five AND #text = :he", false), ("(n = :six OR n = :five) AND contains(#text, :he)", true),
        ("(n) = (:five)", true), ("(n = :five)", true), ("n=:five", true), ("NOT NOT n = :five", true), ("#m.c = :v", true), ("#list = :list", false),
    ]) func conditionsHold(_ text: String, _ holds: Bool) throws {
        // A name that is reserved stands for its placeholder here.
        let text = text.replacingWord("text", "#text").replacingWord("bytes", "#b")
        let context = ExpressionContext(names: names.merging(["#b": "bytes"]) { $1 }, values: values)
        #expect(try ConditionExpression(text, context).evaluate(item: item) == holds)
    }

    @Test func nothingHoldsForAnItemThatIsNotThere() throws {
        #expect(try ConditionExpression("attribute_not_exists(id)", context()).evaluate(item: nil))
        #expect(try !ConditionExpression("n = :five", context()).evaluate(item: nil))
    }

    @Test(arguments: [
        ("", "The expression can not be empty;"),
        ("n", "Syntax error; token: \"<EOF>\", near: \"n\""),
        ("n = = :five", "Syntax error; token: \"=\", near: \"= = :five\""),
        ("n = :five)", "Syntax error; token: \")\", near: \":five)\""),
        ("(n = :five", "Syntax error; token: \"<EOF>\", near: \":five\""),
        ("n = :five AND", "Syntax error; token: \"<EOF>\", near: \"AND\""),
        ("_n = :five", "Syntax error; token: \"_\", near: \"_n\""),
        ("n ! :five", "Syntax error; token: \"!\", near: \"n ! :five\""),
        ("#list[a] = :five", "Syntax error; token: \"a\", near: \"[a]\""),
        ("attribute_exists(", "Syntax error; token: \"<EOF>\", near: \"(\""),
        ("begins_with(#text, )", "Syntax error; token: \")\", near: \", )\""),
        ("n IN :five", "Syntax error; token: \":five\", near: \"IN :five\""),
        ("((n = :five))", "The expression has redundant parentheses;"),
        ("((n)) = :five", "The expression has redundant parentheses;"),
        ("size = :five", "Attribute name is a reserved keyword; reserved keyword: size"),
        ("n = :five OR m.Abort = :five", "Attribute name is a reserved keyword; reserved keyword: Abort"),
        ("foo(n)", "Invalid function name; function: foo"),
        ("Attribute_exists(n)", "Invalid function name; function: Attribute_exists"),
        ("size(n)", "The function is not allowed to be used this way in an expression; function: size"),
        ("contains(n, :a) = :five", "The function is not allowed to be used this way in an expression; function: contains"),
        ("if_not_exists(n, :a)", "The function is not allowed in a condition expression; function: if_not_exists"),
        ("attribute_exists(n, :a)", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"),
        ("attribute_exists(:a)", "Operator or function requires a document path; operator or function: attribute_exists"),
        ("#x = :five", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("n = :undefined", "An expression attribute value used in expression is not defined; attribute value: :undefined"),
        ("n = n", "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [n]"),
        ("#m.a[1] < #m.a[1]", "The first operand must be distinct from the remaining operands for this operator or function; operator: <, first operand: [m, a, [1]]"),
        ("n < :yes", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
        ("n BETWEEN :set AND :six", "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: SS"),
        ("begins_with(#text, :five)", "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
        ("size(:five) = :five", "Incorrect operand type for operator or function; operator or function: size, operand type: N"),
        ("attribute_type(n, :five)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"),
        ("attribute_type(n, :x)", "Invalid attribute type name found; type: X, valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}"),
        ("n BETWEEN :six AND :five", "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: "
            + "AttributeValue: {N:6}, upper bound operand: AttributeValue: {N:5}"),
        ("n BETWEEN :a AND :five", "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: "
            + "AttributeValue: {S:a}, upper bound operand: AttributeValue: {N:5}"),
        ("#list[99999999999] = :five", "List index is not within the allowable range; index: [99999999999]"),
    ]) func whatIsWrongIsSaid(_ text: String, _ message: String) {
        #expect(refusal { _ = try ConditionExpression(text, context()) } == "Invalid ConditionExpression: " + message)
    }

    @Test func largeExpressionsAreRefusedAndDeepOnesDoNotEndTheProcess() {
        let long = String(repeating: "a", count: 4_097)
        #expect(refusal { _ = try ConditionExpression(long, context()) }
            == "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 4097")
        for text in [String(repeating: "(", count: 4_000), String(repeating: "NOT ", count: 1_000) + "n = :five", String(repeating: "size(", count: 800)] {
            #expect(refusal { _ = try ConditionExpression(text, context()) } != nil)
        }
        let many = "n IN (" + (0...100).map { _ in ":five" }.joined(separator: ",") + ")"
        #expect(refusal { _ = try ConditionExpression(many, context()) }?.hasSuffix("too many operands; number of operands: 101") == true)
    }

    @Test func placeholdersMustBeUsed() throws {
        let context = ExpressionContext(names: ["#a": "a", "#b": "b"], values: [":x": .null, ":y": .null, ":z": .null])
        _ = try ConditionExpression("#a = :y", context)
        #expect(refusal { try context.checkAllUsed() } == "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}")
        _ = try ConditionExpression("attribute_exists(#b)", context)
        #expect(refusal { try context.checkAllUsed() } == "Value provided in ExpressionAttributeValues unused in expressions: keys: {:z, :x}")
        _ = try ConditionExpression("#b IN (:x, :z)", context)
        #expect(refusal { try context.checkAllUsed() } == nil)
    }

    @Test(arguments: [
        ([:], nil, "ExpressionAttributeNames must not be empty"),
        (["a": "b"], nil, "ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\""),
        (["#a-b": "b"], nil, "ExpressionAttributeNames contains invalid key: Syntax error; key: \"#a-b\""),
        (["#a": ""], nil, "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"),
        (nil, [:], "ExpressionAttributeValues must not be empty"),
        (nil, ["a": ["S": "b"]], "ExpressionAttributeValues contains invalid key: Syntax error; key: \"a\""),
        (nil, [":a": ["N": "b"]], "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: b for key :a"),
        (nil, [":a": ["NS": []]], "One or more parameter values were invalid: An number set  may not be empty"),
        (nil, [":a": [:]], "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported "
            + "datatypes for key :a"),
    ] as [(AWSValue?, AWSValue?, String)]) func placeholdersAreChecked(_ names: AWSValue?, _ values: AWSValue?, _ message: String) {
        #expect(refusal { _ = try ExpressionContext(names: names, values: values) } == message)
    }
}

extension String {
    /// For words that stand alone, not within a placeholder.
    fileprivate func replacingWord(_ word: String, _ other: String) -> String {
        var out = "", current = ""
        func flush() { out += current == word ? other : current }
        for character in self {
            if character.isLetter || character.isNumber || "_#:".contains(character) {
                current.append(character)
            } else {
                flush()
                current = ""
                out.append(character)
            }
        }
        flush()
        return out
    }
}

struct KeyConditionTests {
    private static let key = KeySchema(hash: [.init(name: "pk", type: .s)], range: [.init(name: "sk", type: .n)])
    private static let values: [String: AttributeValue] = [
        ":p": .s("p"), ":one": .n(DynamoNumber(1)), ":two": .n(DynamoNumber(2)), ":empty": .s(""),
    ]

    private func parse(_ text: String, _ key: KeySchema = key) throws -> KeyCondition {
        try KeyCondition.parse(text, ExpressionContext(names: ["#p": "pk"], values: Self.values), key: key)
    }

    @Test func conditionsOnKeysAreRead() throws {
        let (one, two) = (AttributeValue.n(DynamoNumber(1)), AttributeValue.n(DynamoNumber(2)))
        for (text, range) in [
            ("#p = :p", nil), ("pk = :p AND sk = :one", .equal(one)), ("sk > :one AND pk = :p", .greater(one)), (":one > sk AND :p = pk", .less(one)),
            ("(pk = :p) AND (sk <= :two)", .lessOrEqual(two)), ("pk = :p AND sk >= :two", .greaterOrEqual(two)),
            ("pk = :p AND sk BETWEEN :one AND :two", .between(one, two)),
        ] as [(String, KeyCondition.Range?)] {
            let condition = try parse(text)
            #expect(condition.hash == [.s("p")])
            #expect(condition.range == (range.map { [$0] } ?? []))
        }
    }

    @Test(arguments: [
        ("pk = :p OR sk = :one", "Invalid operator used in KeyConditionExpression: OR"),
        ("NOT pk = :p", "Invalid operator used in KeyConditionExpression: NOT"),
        ("pk IN (:p)", "Invalid operator used in KeyConditionExpression: IN"),
        ("pk <> :p", "Invalid operator used in KeyConditionExpression: <>"),
        ("attribute_exists(pk)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("sk = :one", "Query condition missed key schema element: pk"),
        ("pk = :p AND third = :one", "Query condition missed key schema element: sk"),
        ("pk = :p AND sk = :one AND third = :one", "Query key condition not supported"),
        ("pk > :p", "Query key condition not supported"),
        ("pk = :p AND pk = :p", "KeyConditionExpressions must only contain one condition per key"),
        ("pk = :one", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
        ("pk = :empty", "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"),
        ("pk = :p AND size(sk) = :one", "KeyConditionExpressions cannot contain nested operations"),
        ("pk = :p AND sk.a = :one", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("pk = sk", "Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        ("pk =", "Invalid KeyConditionExpression: Syntax error; token: \"<EOF>\", near: \"=\""),
    ]) func otherConditionsAreRefused(_ text: String, _ message: String) { #expect(refusal { _ = try parse(text) } == message) }

    @Test func keysOfSeveralAttributesAreComparedOneAfterAnother() throws {
        let key = KeySchema(hash: [.init(name: "a", type: .s), .init(name: "b", type: .s)], range: [.init(name: "c", type: .s), .init(name: "d", type: .n)])
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = Generator(seed)
        let texts = ["", "a", "a\0", "a\0b", "ab", "b"]
        let all: [Item] = texts.flatMap { c in (0..<4).map { ["a": .s("x"), "b": .s("y"), "c": .s(c), "d": .n(DynamoNumber($0))] } }
        let positions = all.map { ItemPosition($0, key)! }
        for text in [
            "c = :c", "c < :c", "c <= :c", "c > :c", "c >= :c", "begins_with(c, :c)", "c BETWEEN :c AND :e", "c = :c AND d = :d", "c = :c AND d < :d", "c = :c AND d > :d",
            "c = :c AND d >= :d",
        ] {
            for _ in 0..<20 {
                let (c, e) = (texts[1...].randomElement(using: &generator)!, "b")
                let values: [String: AttributeValue] = [
                    ":c": .s(c), ":e": .s(e), ":d": .n(DynamoNumber(Int.random(in: 0..<4, using: &generator))), ":x": .s("x"), ":y": .s("y"),
                ]
                let used = ExpressionContext(values: values)
                let bytes = try KeyCondition.parse("a = :x AND b = :y AND " + text, used, key: key).bytes(key)
                let condition = try ConditionExpression(text, ExpressionContext(values: values))
                for (item, position) in zip(all, positions) {
                    #expect(position.hash == bytes.hash)
                    let isIn = !position.range.lexicographicallyPrecedes(bytes.range.lower)
                        && bytes.range.upper.map { position.range.lexicographicallyPrecedes($0) } ?? true
                    #expect(isIn == (try condition.evaluate(item: item)), "\(text) \(values) \(item) seed \(seed)")
                }
            }
        }
    }
}

struct LegacyConditionTests {
    @Test(arguments: [
        (["n": ["ComparisonOperator": "EQ", "AttributeValueList": [["N": "5"]]]], true),
        (["n": ["ComparisonOperator": "NE", "AttributeValueList": [["N": "5"]]]], false),
        (["n": ["ComparisonOperator": "BETWEEN", "AttributeValueList": [["N": "1"], ["N": "5"]]]], true),
        (["n": ["ComparisonOperator": "IN", "AttributeValueList": [["N": "1"], ["N": "2"]]]], false),
        (["text": ["ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [["S": "he"]]]], true),
        (["text": ["ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [["S": "ell"]]]], false),
        (["texts": ["ComparisonOperator": "CONTAINS", "AttributeValueList": [["S": "a"]]]], true),
        (["absent": ["ComparisonOperator": "NULL"], "n": ["ComparisonOperator": "NOT_NULL"]], true),
    ] as [(AWSValue, Bool)]) func filtersHold(_ given: AWSValue, _ holds: Bool) throws {
        #expect(try ConditionExpression.legacyFilter(given, conditionalOperator: nil)?.evaluate(item: item) == holds)
    }

    @Test func expectationsHold() throws {
        func holds(_ given: AWSValue, _ conditional: String? = nil) throws -> Bool? {
            try ConditionExpression.expected(given, conditionalOperator: conditional)?.evaluate(item: item)
        }
        #expect(try holds(["n": ["Value": ["N": "5"]]]) == true)
        #expect(try holds(["n": ["Exists": false]]) == false)
        #expect(try holds(["n": ["Value": ["N": "6"]], "absent": ["Exists": false]], "OR") == true)
        #expect(try holds(["n": ["Value": ["N": "6"]], "absent": ["Exists": false]]) == false)
        #expect(try holds([:]) == nil)
    }

    @Test(arguments: [
        (["n": ["Exists": true]], "One or more parameter values were invalid: Value must be provided when Exists is true for Attribute: n"),
        (["n": ["Exists": false, "Value": ["N": "1"]]], "One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: n"),
        (["n": ["AttributeValueList": [["N": "1"]]]],
         "One or more parameter values were invalid: AttributeValueList can only be used with a ComparisonOperator for Attribute: n"),
        (["n": ["ComparisonOperator": "EQ"]],
         "One or more parameter values were invalid: Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: n"),
        (["n": ["ComparisonOperator": "BETWEEN", "AttributeValueList": [["N": "1"]]]],
         "One or more parameter values were invalid: Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
        (["n": ["ComparisonOperator": "LT", "AttributeValueList": [["SS": ["1"]]]]],
         "One or more parameter values were invalid: ComparisonOperator LT is not valid for SS AttributeValue type"),
    ] as [(AWSValue, String)]) func wrongExpectationsAreRefused(_ given: AWSValue, _ message: String) {
        #expect(refusal { _ = try ConditionExpression.expected(given, conditionalOperator: nil) } == message)
    }
}
