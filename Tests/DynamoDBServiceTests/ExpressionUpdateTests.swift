import AWSProtocol
import Testing

@testable import DynamoDBService

private func n(_ value: Int) -> AttributeValue { .n(DynamoNumber(value)) }

private let item: Item = [
    "id": .s("k"), "n": n(5), "t": .s("x"), "l": .l([.s("a"), .s("b"), .s("c")]), "o": .m(["a": n(1), "p": .m(["q": .l([n(1), n(2)])])]),
    "ss": .ss(["a", "b"]), "ns": .ns([DynamoNumber(1)]),
]
private let values: [String: AttributeValue] = [
    ":one": n(1), ":two": n(2), ":t": .s("new"), ":l": .l([.s("z")]), ":ss": .ss(["b", "c"]), ":both": .ss(["a", "b"]), ":ns": .ns([DynamoNumber(2)]), ":m": .m([:]),
    ":big": .n(try! DynamoNumber(parsing: "1e50")),
]

private func apply(_ text: String, to given: Item = item) throws -> Item {
    try UpdateExpression(text, ExpressionContext(names: ["#n": "n", "#o": "o"], values: values)).apply(to: given)
}

/// The item with some attributes changed; nil removes.
private func changed(_ changes: [String: AttributeValue?]) -> Item {
    changes.reduce(into: item) { $0[$1.key] = $1.value }
}

struct UpdateTests {
    @Test(arguments: [
        ("SET n = :one", ["n": n(1)]),
        ("SET n = n + :two", ["n": n(7)]), ("SET n = n - :two", ["n": n(3)]), ("SET n = (n + :two)", ["n": n(7)]), ("SET x = n + n", ["x": n(10)]),
        ("SET x = if_not_exists(x, :one), n = if_not_exists(n, :one)", ["x": n(1)]), ("SET x = if_not_exists(x, :one) + :two", ["x": n(3)]),
        ("SET l = list_append(l, :l)", ["l": .l([.s("a"), .s("b"), .s("c"), .s("z")])]), ("SET l = list_append(:l, l)", ["l": .l([.s("z"), .s("a"), .s("b"), .s("c")])]),
        ("SET x = list_append(if_not_exists(x, :l), :l)", ["x": .l([.s("z"), .s("z")])]),
        ("SET l[1] = :t", ["l": .l([.s("a"), .s("new"), .s("c")])]), ("SET l[7] = :t, l[5] = :one", ["l": .l([.s("a"), .s("b"), .s("c"), n(1), .s("new")])]),
        ("SET o.a = :two", ["o": .m(["a": n(2), "p": .m(["q": .l([n(1), n(2)])])])]),
        ("SET o.p.q[0] = :two, o.b = :t", ["o": .m(["a": n(1), "b": .s("new"), "p": .m(["q": .l([n(2), n(2)])])])]),
        ("SET n = t, t = n", ["n": .s("x"), "t": n(5)]),
        ("REMOVE n, t", ["n": nil, "t": nil]), ("REMOVE absent", [:]), ("REMOVE l[0], l[2]", ["l": .l([.s("b")])]), ("REMOVE l[9]", [:]),
        ("REMOVE l[0] SET l[1] = :t", ["l": .l([.s("new"), .s("c")])]), ("REMOVE o.p.q[0]", ["o": .m(["a": n(1), "p": .m(["q": .l([n(2)])])])]),
        ("ADD n :two", ["n": n(7)]), ("ADD x :two", ["x": n(2)]), ("ADD ss :ss", ["ss": .ss(["a", "b", "c"])]), ("ADD x :ss", ["x": .ss(["b", "c"])]),
        ("ADD o.a :two, ns :ns", ["o": .m(["a": n(3), "p": .m(["q": .l([n(1), n(2)])])]), "ns": .ns([DynamoNumber(1), DynamoNumber(2)])]),
        ("DELETE ss :ss", ["ss": .ss(["a"])]), ("DELETE ss :both", ["ss": nil]), ("DELETE absent :ss", [:]),
        ("SET n = n + :one REMOVE t ADD x :one DELETE ss :ss", ["n": n(6), "t": nil, "x": n(1), "ss": .ss(["a"])]),
        ("set #n = #n - :one remove t", ["n": n(4), "t": nil]),
    ] as [(String, [String: AttributeValue?])]) func itemsAreChanged(_ text: String, _ changes: [String: AttributeValue?]) throws {
        #expect(try apply(text) == changed(changes))
    }

    @Test(arguments: [
        ("", "The expression can not be empty;"),
        ("SET", "Syntax error; token: \"<EOF>\", near: \"SET\""),
        ("n = :one", "Syntax error; token: \"n\", near: \"n =\""),
        ("SET n :one", "Syntax error; token: \":one\", near: \"n :one\""),
        ("SET n = :one,", "Syntax error; token: \"<EOF>\", near: \",\""),
        ("SET n = :one t = :t", "Syntax error; token: \"t\", near: \":one t =\""),
        ("ADD n = :one", "Syntax error; token: \"=\", near: \"n = :one\""),
        ("ADD ss str", "Syntax error; token: \"str\", near: \"ss str\""),
        ("SET n = n + :one + :one", "Syntax error; token: \"+\", near: \":one + :one\""),
        ("SET n = :one SET t = :t", "The \"SET\" section can only be used once in an update expression;"),
        ("SET abort = :one", "Attribute name is a reserved keyword; reserved keyword: abort"),
        ("SET n = foo(n)", "Invalid function name; function: foo"),
        ("SET n = size(n)", "The function is not allowed in an update expression; function: size"),
        ("SET n = if_not_exists(n)", "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1"),
        ("SET n = if_not_exists(:one, :one)", "Operator or function requires a document path; operator or function: if_not_exists"),
        ("SET n = :one, n = :two", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [n], path two: [n]"),
        ("SET o.a = :one REMOVE o", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [o, a], path two: [o]"),
        ("SET o.a = :one, o[0] = :one", "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [o, a], path two: [o, [0]]"),
        ("SET #x = :one", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("SET n = :x", "An expression attribute value used in expression is not defined; attribute value: :x"),
        ("SET n = n + :t", "Incorrect operand type for operator or function; operator or function: +, operand type: S"),
        ("SET l = list_append(l, :t)", "Incorrect operand type for operator or function; operator or function: list_append, operand type: S"),
        ("ADD n :t", "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"),
        ("DELETE n :one", "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"),
    ]) func whatIsWrongIsSaid(_ text: String, _ message: String) { #expect(refusal { _ = try apply(text) } == "Invalid UpdateExpression: " + message) }

    @Test(arguments: [
        ("SET x = absent", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET x = absent + :one", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET x = list_append(absent, :l)", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET x = t + :one", "An operand in the update expression has an incorrect data type"),
        ("SET x = list_append(t, :l)", "An operand in the update expression has an incorrect data type"),
        ("ADD t :one", "An operand in the update expression has an incorrect data type"),
        ("ADD ss :ns", "An operand in the update expression has an incorrect data type"),
        ("DELETE n :ss", "An operand in the update expression has an incorrect data type"),
        ("SET absent.a = :one", "The document path provided in the update expression is invalid for update"),
        ("SET t.a = :one", "The document path provided in the update expression is invalid for update"),
        ("SET o[0] = :one", "The document path provided in the update expression is invalid for update"),
        ("REMOVE absent.a", "The document path provided in the update expression is invalid for update"),
        ("ADD n :big", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ]) func whatDoesNotFitTheItemIsRefused(_ text: String, _ message: String) { #expect(refusal { _ = try apply(text) } == message) }

    @Test func keysAreNotUpdated() throws {
        func check(_ text: String) -> String? {
            refusal { try UpdateExpression(text, ExpressionContext(values: [":v": n(1)])).checkLeavesKeys(["id"]) }
        }
        #expect(check("SET id = :v") == "One or more parameter values were invalid: Cannot update attribute id. This attribute is part of the key")
        #expect(check("SET x = id.a + :v") == "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: id")
        #expect(check("SET x = id, y = :v") == nil)
    }

    @Test func whatWasTouchedIsShown() throws {
        let update = try UpdateExpression("SET o.p.q[1] = :two, n = :one REMOVE t", ExpressionContext(values: values))
        #expect(update.touched(of: item) == ["o": .m(["p": .m(["q": .l([n(2)])])]), "n": n(5), "t": .s("x")])
        #expect(update.touched(of: try update.apply(to: item)) == ["o": .m(["p": .m(["q": .l([n(2)])])]), "n": n(1)])
    }

    @Test func attributeUpdatesOfTheOldFormAreApplied() throws {
        let update = try UpdateExpression(attributeUpdates: [
            "t": ["Action": "DELETE"], "n": ["Action": "ADD", "Value": ["N": "2"]], "l": ["Action": "ADD", "Value": ["L": [["S": "d"]]]],
            "ss": ["Action": "DELETE", "Value": ["SS": ["a", "b"]]], "x": ["Value": ["S": "y"]], "ns": ["Action": "ADD", "Value": ["NS": ["1", "3"]]],
        ])
        #expect(try update.apply(to: item) == changed([
            "t": nil, "n": n(7), "l": .l([.s("a"), .s("b"), .s("c"), .s("d")]), "ss": nil, "x": .s("y"), "ns": .ns([DynamoNumber(1), DynamoNumber(3)]),
        ]))
        func problem(_ given: AWSValue) -> String? { refusal { _ = try UpdateExpression(attributeUpdates: ["a": given]).apply(to: ["a": .s("x")]) } }
        #expect(problem(["Action": "PUT"]) == "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified")
        #expect(problem(["Action": "ADD", "Value": ["S": "x"]]) == "One or more parameter values were invalid: ADD action is not supported for the type S")
        #expect(problem(["Action": "DELETE", "Value": ["S": "x"]])
            == "One or more parameter values were invalid: DELETE action with value is not supported for the type S")
        #expect(problem(["Action": "ADD", "Value": ["N": "1"]]) == "Type mismatch for attribute to update")
    }
}

struct ProjectionTests {
    @Test(arguments: [
        ("n, t", ["n": n(5), "t": .s("x")]), ("absent", [:]), ("o.a", ["o": .m(["a": n(1)])]), ("o.absent", [:]),
        ("l[2], l[0]", ["l": .l([.s("a"), .s("c")])]), ("o.p.q[1], o.a", ["o": .m(["a": n(1), "p": .m(["q": .l([n(2)])])])]), ("#n", ["n": n(5)]), ("t.a", [:]),
    ] as [(String, Item)]) func partsAreKept(_ text: String, _ expected: Item) throws {
        #expect(try ProjectionExpression(text, ExpressionContext(names: ["#n": "n"])).project(item) == expected)
    }

    @Test(arguments: [
        ("", "The expression can not be empty;"), ("a,", "Syntax error; token: \"<EOF>\", near: \",\""), ("!!", "Syntax error; token: \"!\", near: \"!!\""),
        ("a, a.b", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]"),
        ("a, :b", "Syntax error; token: \":b\", near: \", :b\""), ("abort", "Attribute name is a reserved keyword; reserved keyword: abort"),
    ]) func whatIsWrongIsSaid(_ text: String, _ message: String) {
        #expect(refusal { _ = try ProjectionExpression(text, ExpressionContext()) } == "Invalid ProjectionExpression: " + message)
    }
}
