import StreamCore
import Testing
@testable import StreamExpressions

/// What wrong calls are told.
struct FunctionErrorTests {
    @Test(arguments: [
        ("LPAD('k')", "LPAD takes 3 arguments (string, length, pad), 1 given"),
        ("UPPER(5)", "UPPER takes a string as its string, but INT was given"),
        ("POWER('2', 3)", "POWER takes a number as its base, but CHAR(1) was given"),
        ("PI(1)", "PI takes no arguments, 1 given"),
        ("YEAR('2024-01-01')", "YEAR cannot take YEAR from CHAR(10)"),
        ("EXTRACT(DAY FROM TIME '12:00:00')", "EXTRACT cannot take DAY from TIME(0)"),
        ("FLOOR('x' TO DAY)", "FLOOR cannot round CHAR(1) to DAY"),
        ("TIMESTAMPADD(FORTNIGHT, 1, DATE '2024-01-01')", "TIMESTAMPADD knows no unit FORTNIGHT"),
        ("DATE_FORMAT(DATE '2024-02-09', 'yyyyMMdd')", "DATE_FORMAT takes a timestamp or a string as its timestamp, but DATE was given"),
        ("DATE_FORMAT('2024-01-01 00:00:00', 'yyyy{')", "is not a pattern for dates and times: { is reserved"),
        ("DATE_FORMAT('2024-01-01 00:00:00', 'yyyy XXX')", "asks for a time zone"),
        ("FROM_UNIXTIME(0, 'nope')", "n means nothing there"),
        ("'ab' LIKE 'a!' ESCAPE '!'", "invalid escape sequence"),
        ("'a' SIMILAR TO '('", "is not a pattern for SIMILAR TO"),
        ("SHA2('a', 1)", "SHA2 knows no digest of 1 bits"),
        ("ELT(-1, 'a')", "ELT counts from 1, but its index is -1"),
        ("ARRAY[1][0]", "the index of an array starts at 1, but is 0"),
        ("ARRAY[]", "ARRAY[] has no elements that tell its type"),
        ("ARRAY_APPEND(ARRAY[1], 'x')", "ARRAY_APPEND takes an ARRAY and an element of its type"),
        ("ARRAY_JOIN(ARRAY[1], ',')", "ARRAY_JOIN takes an ARRAY of strings as its array, but ARRAY<INT> was given"),
        ("JSON_OBJECT(1 VALUE 2)", "a key of JSON_OBJECT must be a string, but is INT"),
        ("JSON_ARRAY(DATE '2024-01-02')", "JSON_ARRAY cannot write DATE as JSON"),
        ("JSON_STRING(MAP[2, 1])", "the keys of a map must be strings"),
        ("JSON_VALUE('1', '$' RETURNING DATE)", "JSON_VALUE cannot return DATE"),
        ("TO_TIMESTAMP_LTZ(1, 11)", "precision from 0 to 9"),
        ("CHAR_LENGTH(NULL)", "CHAR_LENGTH was given NULL as its string, which has no type here"),
    ])
    func validation(expression: String, words: String) {
        let text = errorText { _ = try ExpressionReader.bind(expression) }
        #expect(text?.contains(words) == true, "\(expression): \(text ?? "no error")")
        #expect(errorCode { _ = try ExpressionReader.bind(expression) } == .validate)
    }

    @Test(arguments: [
        ("FROM_BASE64('!!!')", "which is not base 64"),
        ("ELEMENT(ARRAY[1, 2])", "ELEMENT was given an array of 2 elements"),
        ("MAP_FROM_ARRAYS(ARRAY['a', 'b'], ARRAY[1])", "2 keys and 1 values"),
        ("INSTR('a', 'a', 1, 0)", "occurrence 0"),
        ("DECODE(X'61', 'NOPE')", "there is no character set 'NOPE'"),
        ("TO_TIMESTAMP_LTZ('garbage')", "cannot read 'garbage'"),
        ("JSON_VALUE('{}', '$.a' ERROR ON ERROR)", "JSON_VALUE: the path leads nowhere"),
        ("JSON_VALUE('{}', 'lax $.a' ERROR ON EMPTY)", "JSON_VALUE: the path leads to nothing"),
        ("JSON_QUERY('nojson', '$.a' ERROR ON ERROR)", "JSON_QUERY: the value is not JSON"),
        ("JSON_EXISTS('{}', '$.a' ERROR ON ERROR)", "JSON_EXISTS: the path leads nowhere"),
        ("JSON('x')", "JSON was given 'x', which is not JSON"),
        ("REPEAT('0123456789', 2000000000)", "the limit is"),
        ("RAND_INTEGER(0)", "the bound 0"),
    ])
    func runtime(expression: String, words: String) throws {
        let bound = try ExpressionReader.bind(expression)
        let text = errorText { _ = try SQL.value(bound) }
        #expect(text?.contains(words) == true, "\(expression): \(text ?? "no error")")
        #expect(errorCode { _ = try SQL.value(bound) } == .runtime)
    }

    /// A row that is not selected must not fail the job.
    @Test func unselectedRowsAreNotComputed() throws {
        let bound = try SQL.call("FROM_BASE64", .column(0, .string))
        let column = Column.make([.string("YQ=="), .string("!"), .string("Yg==")], .string)
        let batch = Batch(columns: [column], physicalCount: 3, selection: Selection([0, 2]))
        let result = try Evaluator([bound], context: EvaluationContext()).evaluate(batch)[0]
        #expect(result.value(at: 0) == .string("a") && result.value(at: 2) == .string("b"))
    }

    @Test func unknownNameProposesTheNearest() {
        #expect(errorText { _ = try FunctionRegistry.builtin.bind("REGEXP_EXTRAKT", []) }?.contains("REGEXP_EXTRACT") == true)
    }
}
