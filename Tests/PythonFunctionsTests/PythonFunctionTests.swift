import Foundation
import StreamCore
import StreamExpressions
import StreamRuntime
import StreamSQL
import StreamTesting
import Testing
@testable import PythonFunctions

/// A Python with pyarrow, or nil: SWIFTWATER_PYTHON, or the one of `make setup`.
private let python: String? = {
    let local = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent(".venv/bin/python").path
    if let given = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] { return given }
    return FileManager.default.isExecutableFile(atPath: local) ? local : nil
}()

@Suite("Functions in Python", .enabled(if: python != nil)) struct PythonFunctionTests {
    private static let module = #"""
        import datetime, decimal, os, time
        import pyarrow as pa, pyarrow.compute as pc
        from swiftwater_udf import udf, udtf

        def shout(text: str, times: int) -> str:
            print("not an answer")
            return text.upper() + "!" * times

        def known(text: str | None) -> bool:
            return text is not None

        @udf(input_types=["DOUBLE"], result_type="DOUBLE", func_type="arrow")
        def halved(values):
            return pc.divide(values, 2.0)

        @udf(result_type="ARRAY<STRING>")
        def letters(text: str):
            return list(text)

        @udf(result_type="ROW<n INT, d DECIMAL(10, 2)>")
        def described(n: int):
            return {"n": n, "d": decimal.Decimal(n) / 4}

        def later(day: datetime.date, at: datetime.datetime) -> datetime.datetime:
            return at + datetime.timedelta(days=day.day)

        def counted(m: dict[str, int]) -> dict[str, int]:
            return {k: v + 1 for k, v in (m.items() if isinstance(m, dict) else m)}

        @udtf(result_types=["STRING", "BIGINT"], names=["word", "length"])
        def words(text: str):
            for word in text.split():
                yield word, len(word)

        def numbers(n: int) -> list[int]:
            return [n]

        def fails(n: int) -> int:
            return 1 // (n - 1)

        def wrong(n: int) -> int:
            return "text"

        def dies(n: int) -> int:
            os._exit(7)

        def killed(n: int) -> int:
            os.kill(os.getpid(), 9)

        def sleeps(n: int) -> int:
            time.sleep(60)
            return n

        def untyped(n):
            return n
        """#

    private final class Folder {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("python-functions-\(UUID().uuidString)")
        init() throws {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
            try Data(PythonFunctionTests.module.utf8).write(to: url.appendingPathComponent("shapes.py"))
        }
        deinit { try? FileManager.default.removeItem(at: url) }
    }

    private let folder: Folder
    private let session: SQLSession

    init() throws {
        folder = try Folder()
        session = SQLSession(connectors: [])
        PythonFunctions().install(on: session)
        _ = try session.set("python.executable", to: python!)
        _ = try session.set("python.files", to: folder.url.path)
        for name in [
            "shout", "known", "halved", "letters", "described", "later", "counted", "words", "numbers", "fails", "wrong", "dies", "killed", "sleeps",
            "untyped",
        ] {
            _ = try rows("CREATE TEMPORARY FUNCTION \(name) AS 'shapes.\(name)' LANGUAGE PYTHON")
        }
    }

    @discardableResult
    private func rows(_ sql: String) throws -> [[Value]] {
        var result: [[Value]] = []
        for statement in try SQLParser(text: sql).parseScript() {
            guard case .query(let planned) = try session.execute(statement) else { continue }
            let sink = CollectingSink(maxParallelism: 1)
            _ = try JobExecution(try planned.jobGraph(into: sink)).run()
            result = sink.rows.map(\.values).sorted { "\($0)" < "\($1)" }
        }
        return result
    }

    private static let people = "(VALUES (1, 'ada'), (2, CAST(NULL AS STRING)), (3, 'bob ann')) AS t(id, name)"

    @Test func scalarFunctions() throws {
        #expect(
            try rows("SELECT id, SHOUT(name, id), known(name) FROM \(Self.people)") == [
                [.int(1), .string("ADA!"), .bool(true)], [.int(2), .null, .bool(false)], [.int(3), .string("BOB ANN!!!"), .bool(true)],
            ])
        #expect(try rows("SELECT halved(id) FROM \(Self.people)") == [[.double(0.5)], [.double(1)], [.double(1.5)]])
        #expect(
            try rows("SELECT id FROM \(Self.people) WHERE CHAR_LENGTH(shout(name, 1)) > 4") == [[.int(3)]])
    }

    @Test func nestedAndTimeTypes() throws {
        #expect(try rows("SELECT letters(name) FROM \(Self.people) WHERE id = 1") == [[.array([.string("a"), .string("d"), .string("a")])]])
        #expect(try rows("SELECT described(id) FROM \(Self.people) WHERE id = 3") == [[.row([.int(3), .decimal(75)])]])
        #expect(
            try rows("SELECT CAST(later(DATE '2024-02-02', TIMESTAMP '2024-02-28 10:00:00.5') AS STRING) FROM \(Self.people) WHERE id = 1")
                == [[.string("2024-03-01 10:00:00.500")]])
        #expect(
            try rows("SELECT counted(MAP['a', CAST(id AS BIGINT)]) FROM \(Self.people) WHERE id = 1") == [[.map([.init(.string("a"), .int(2))])]])
    }

    @Test func tableFunctions() throws {
        #expect(
            try rows("SELECT id, word, length FROM \(Self.people), LATERAL TABLE(words(name))") == [
                [.int(1), .string("ada"), .int(3)], [.int(3), .string("ann"), .int(3)], [.int(3), .string("bob"), .int(3)],
            ])
        #expect(
            try rows("SELECT id, w FROM \(Self.people) LEFT JOIN LATERAL TABLE(words(name)) AS x(w, n) ON TRUE WHERE id < 3")
                == [[.int(1), .string("ada")], [.int(2), .null]])
    }

    @Test(
        "errors",
        arguments: [
            ("SELECT fails(id) FROM people", ["FAILS(1) failed in Python: ZeroDivisionError", "shapes.py"]),
            ("SELECT wrong(id) FROM people", ["returned 'text', which is no int64"]), ("SELECT dies(id) FROM people", ["ended with exit code 7"]),
            ("SELECT killed(id) FROM people", ["ended by signal 9"]), ("SELECT untyped(id) FROM people", ["nothing tells the type"]),
            ("SELECT shout(id) FROM people", ["SHOUT takes 2 arguments, 1 given"]), ("SELECT words(name) FROM people", ["is a table function"]),
            ("SELECT id FROM people, LATERAL TABLE(shout(name, 1))", ["is no table function"]),
        ])
    func errors(_ sql: String, _ parts: [String]) throws {
        let error = #expect(throws: StreamError.self) { try rows(sql.replacing("people", with: Self.people)) }
        for part in parts { #expect(error?.problem.contains(part) == true, "\(String(describing: error))") }
    }

    @Test func aWorkerThatGivesNoAnswerIsEnded() throws {
        _ = try session.set("python.worker.timeout", to: "300 ms")
        let error = #expect(throws: StreamError.self) { try rows("SELECT sleeps(id) FROM \(Self.people)") }
        #expect(error?.problem.contains("no answer within 300 ms") == true)
    }

    @Test func missingPiecesAreNamed() throws {
        _ = try rows("CREATE TEMPORARY FUNCTION nowhere AS 'no_such_module.f' LANGUAGE PYTHON")
        let error = #expect(throws: StreamError.self) { try rows("SELECT nowhere(id) FROM \(Self.people)") }
        #expect(error?.problem.contains("No module named 'no_such_module'") == true)
        _ = try session.set("python.executable", to: "/no/such/python")
        let missing = #expect(throws: StreamError.self) { try rows("SELECT shout(name, id) FROM \(Self.people)") }
        #expect(missing?.problem.contains("cannot start Python \"/no/such/python\"") == true)
    }

    /// Every column type there and back, through a function that gives what it gets.
    @Test func streamsKeepValues() throws {
        let fields: [(DataType, [Value])] = [
            (.boolean, [.bool(true), .null, .bool(false)]), (.tinyint, [.int(-1), .null, .int(7)]), (.bigint, [.int(.max), .int(0), .null]),
            (.float, [.float(1.5), .null, .float(-2)]), (.decimal(precision: 38, scale: 2), [.decimal(-12_345), .null, .decimal(1)]),
            (.string, [.string("short"), .null, .string("a text of more than twelve bytes, é")]), (.bytes, [.binary([0, 255]), .null, .binary([])]),
            (.timestamp(9), [.int(1), .null, .int(-1)]), (.array(.array(.int)), [.array([.array([.int(1)]), .null]), .null, .array([])]),
            (.map(key: .string, value: .double), [.map([.init(.string("k"), .double(1))]), .null, .map([])]),
            (.row([Field("a", .int), Field("b", .string)]), [.row([.int(1), .null]), .null, .row([.null, .string("x")])]),
        ]
        let schema = fields.enumerated().map { Field("c\($0)", $1.0) }
        let batch = Batch(schema: schema, rows: (0..<3).map { r in fields.map { $0.1[r] } })
        let stream = ArrowStreamWriter.stream(schema, batch.columns, count: 3)
        let (columns, count) = try ArrowStreamReader.columns(stream, schema.map(\.type))
        #expect(count == 3)
        for (column, field) in zip(columns, fields) { #expect((0..<3).map { column.value(at: $0) } == field.1) }
        // Cut off anywhere, a stream is refused or read as far as it goes, never beyond its bytes.
        for n in stride(from: 0, to: stream.count, by: 7) { _ = try? ArrowStreamReader.columns(Array(stream[..<n]), schema.map(\.type)) }
    }
}
