import AWSProtocol
import Testing

@testable import DynamoDBService

/// The message with which something is refused; nil when it is not.
func refusal(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch let error as AWSError {
        return error.message
    } catch {
        return "\(error)"
    }
}

func number(_ text: String) throws -> AttributeValue { .n(try DynamoNumber(parsing: text)) }

struct AttributeValueTests {
    private static let values: [AWSValue] = [
        ["S": "text"], ["S": ""], ["N": "-12.5"], ["B": "AAEC"], ["BOOL": true], ["NULL": true],
        ["L": [["S": "a"], ["N": "1"], ["L": []]]], ["M": ["a": ["S": "b"], "c": ["M": [:]]]], ["SS": ["a", "b"]], ["NS": ["1", "2.5"]],
        ["BS": ["AA==", "AQ=="]],
    ]

    @Test(arguments: values) func valuesAreReadAndWritten(_ given: AWSValue) throws {
        let value = try AttributeValue(given)
        #expect(try AttributeValue(value.awsValue) == value)
        let item: Item = ["x": value, "y": .null]
        #expect(try Item(decoding: item.encoded()) == item)
        #expect(AWSJSON.write(value.awsValue) == AWSJSON.write(given))
    }

    @Test(arguments: [
        ([:], "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (["X": "a"], "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (["S": "a", "N": "1"], "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"),
        (["N": ""], "The parameter cannot be converted to a numeric value"),
        (["N": "b"], "The parameter cannot be converted to a numeric value: b"),
        (["N": " 1"], "The parameter cannot be converted to a numeric value:  1"),
        (["N": "1e"], "The parameter cannot be converted to a numeric value: 1e"),
        (["N": "."], "The parameter cannot be converted to a numeric value: ."),
        (["N": "123456789012345678901234567890123456789"], "Attempting to store more than 38 significant digits in a Number"),
        (["N": "1e126"], "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        (["N": "-1e-131"], "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        (["N": "1e99999999999999999999"], "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        (["NULL": false], "One or more parameter values were invalid: Null attribute value types must have the value of true"),
        (["SS": []], "One or more parameter values were invalid: An string set  may not be empty"),
        (["NS": []], "One or more parameter values were invalid: An number set  may not be empty"),
        (["BS": []], "One or more parameter values were invalid: Binary sets should not be empty"),
        (["SS": ["a", "b", "a"]], "One or more parameter values were invalid: Input collection [a, b, a] contains duplicates."),
        (["NS": ["1", "1.0"]], "Input collection contains duplicates"),
        (["BS": ["Yg==", "Yg=="]], "One or more parameter values were invalid: Input collection [Yg==, Yg==]of type BS contains duplicates."),
        (["L": [["M": ["a": ["N": "x"]]]]], "The parameter cannot be converted to a numeric value: x"),
        (["S": 1], "NUMBER_VALUE cannot be converted to String"),
        (["B": "abc"], "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        (["BOOL": "x"], "STRING_VALUE cannot be converted to Boolean"),
    ] as [(AWSValue, String)]) func whatIsNotStoredIsRefused(_ given: AWSValue, _ message: String) {
        #expect(refusal { _ = try AttributeValue(given) } == message)
    }

    @Test func nestingHasALimit() throws {
        func nested(_ levels: Int) -> AWSValue { (0..<levels).reduce(["S": "x"]) { value, _ in ["L": [value]] } }
        #expect(refusal { _ = try AttributeValue(nested(32)) } == nil)
        #expect(refusal { _ = try AttributeValue(nested(33)) } == "Nesting Levels have exceeded supported limits")
    }

    @Test func setsAreEqualInAnyOrderAndTextsByTheirBytes() {
        #expect(AttributeValue.ss(["a", "b"]) == .ss(["b", "a"]))
        #expect(AttributeValue.ss(["a", "b"]).hashValue == AttributeValue.ss(["b", "a"]).hashValue)
        #expect(AttributeValue.l([.s("a"), .s("b")]) != .l([.s("b"), .s("a")]))
        #expect(AttributeValue.s("\u{E9}") != .s("e\u{301}"))
    }

    /// Sizes that the service's documentation gives for the records of its own example.
    @Test func sizesAreThoseOfTheService() throws {
        let keys: Item = ["Id": try number("101")]
        #expect(keys.byteCount == 5)
        #expect((["Message": .s("New item!"), "Id": try number("101")] as Item).byteCount + keys.byteCount == 26)
        #expect(AttributeValue.s("ü").byteCount == 2)
        #expect(try number("0").byteCount == 1)
        #expect(try number("-10").byteCount == 3)
        #expect(try number("12345").byteCount == 4)
    }

    @Test func damagedItemsAreRecognised() throws {
        let bytes = (["a": .l([.s("text"), .ns([DynamoNumber(1)])]), "b": .m(["c": .b([1, 2])])] as Item).encoded()
        for n in 0..<bytes.count { #expect(throws: (any Error).self) { try Item(decoding: Array(bytes[..<n])) } }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            // Any bytes are read or refused; none end the process.
            _ = try? Item(decoding: [1] + (0..<20).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
    }
}

struct DynamoNumberTests {
    @Test(arguments: [
        ("0", "0"), ("-0", "0"), ("0e10", "0"), ("1", "1"), ("+1", "1"), ("-1", "-1"), ("007", "7"), ("1.50", "1.5"), (".5", "0.5"), ("5.", "5"),
        ("1e2", "100"), ("1E-3", "0.001"), ("123.4500e-2", "1.2345"), ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("1.0000000000000000000000000000000000000000000", "1"), ("-0.00012", "-0.00012"),
        ("1e125", "1" + String(repeating: "0", count: 125)), ("1e-130", "0." + String(repeating: "0", count: 129) + "1"),
    ]) func textIsCanonical(_ given: String, _ text: String) throws { #expect(try DynamoNumber(parsing: given).description == text) }

    @Test(arguments: [
        ("0.1", "0.2", "0.3"), ("1e37", "1", "10000000000000000000000000000000000001"), ("5", "-5", "0"), ("1e38", "-1", String(repeating: "9", count: 38)),
        ("99999999999999999999999999999999999999", "1", "1" + String(repeating: "0", count: 38)), ("-1", "0.9", "-0.1"), ("3", "-5", "-2"),
        ("0", "7", "7"), ("9e125", "9e124", "99" + String(repeating: "0", count: 124)),
    ]) func sumsAreExact(_ a: String, _ b: String, _ sum: String) throws {
        let (a, b) = (try DynamoNumber(parsing: a), try DynamoNumber(parsing: b))
        #expect(try a.adding(b).description == sum)
        #expect(try b.adding(a).description == sum)
        #expect(try a.subtracting(-b).description == sum)
    }

    @Test(arguments: [("1e50", "1"), ("9e125", "9e125"), ("1e38", "1"), ("1e125", "1e-130"), ("33333333333333333333333333333333333333", "0.1")])
    func sumsThatDoNotFitAreRefused(_ a: String, _ b: String) throws {
        #expect(refusal { _ = try DynamoNumber(parsing: a).adding(try DynamoNumber(parsing: b)) }
            == "Number overflow. Attempting to store a number with magnitude larger than supported range")
    }

    @Test func bytesOrderAsNumbersDo() throws {
        let ordered = [
            "-9.9e125", "-1e125", "-1000", "-101", "-100.5", "-100", "-99", "-11", "-10", "-9", "-1.01", "-1", "-0.5", "-1e-130", "0", "1e-130", "0.001",
            "0.5", "0.51", "1", "1.01", "1.1", "9", "10", "10.01", "11", "99", "100", "100.5", "101", "1000", "1e125", "9.9e125",
        ]
        let numbers = try ordered.map { try DynamoNumber(parsing: $0) }
        for (a, b) in zip(numbers, numbers.dropFirst()) { #expect(a < b, "\(a) < \(b)") }
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = Generator(seed)
        for _ in 0..<2_000 {
            let (a, b) = (Int.random(in: -100_000...100_000, using: &generator), Int.random(in: -100_000...100_000, using: &generator))
            let (m, n) = (Int.random(in: -6...6, using: &generator), Int.random(in: -6...6, using: &generator))
            let x = try DynamoNumber(parsing: "\(a)e\(m)"), y = try DynamoNumber(parsing: "\(b)e\(n)")
            let exact = (try DynamoNumber(parsing: "\(a)e\(m)").subtracting(y)).description
            #expect((x < y) == exact.hasPrefix("-"), "\(x) \(y) seed \(seed)")
            #expect((x == y) == (exact == "0"), "\(x) \(y) seed \(seed)")
        }
    }
}

/// SplitMix64.
struct Generator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
