import FileConnectors
import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime
import StreamSQL

/// Rows with a value and a weight: state of WEIGHTED_AVG.
struct Weighted: Codable, Sendable {
    var sum = 0.0, weight = 0.0
}

func register(on session: SQLSession) throws {
    try session.register(
        ScalarFunction("INITIALS") { (name: String) in String(name.split(separator: " ").compactMap(\.first)) })

    // The whole batch at once: no call per row.
    try session.register(
        ScalarFunction("CLAMP", takes: [.bigint, .bigint, .bigint], returns: .bigint) { arguments, rows, _ in
            let value = arguments[0].vector(Int64.self), low = arguments[1].vector(Int64.self), high = arguments[2].vector(Int64.self)
            return rows.fixed(.bigint) { min(max(value[$0], low[$0]), high[$0]) }
        })

    session.register(
        TableFunction("WORDS", columns: ["word", "length"]) { (emit: RowEmitter<String, Int>, text: String) in
            for word in text.split(separator: " ") { emit(String(word), word.count) }
        })

    try session.register(
        AggregateFunction(
            "WEIGHTED_AVG", state: Weighted(),
            accumulate: { (s: inout Weighted, value: Double, weight: Double) in
                s.sum += value * weight
                s.weight += weight
            },
            retract: { (s: inout Weighted, value: Double, weight: Double) in
                s.sum -= value * weight
                s.weight -= weight
            },
            merge: { s, other in
                s.sum += other.sum
                s.weight += other.weight
            },
            result: { s in s.weight == 0 ? nil : s.sum / s.weight }))
}

let script = """
    CREATE TABLE words (initials STRING, clamped BIGINT, word STRING, length BIGINT) WITH ('connector' = 'print');
    CREATE TABLE averages (team STRING, average DOUBLE) WITH ('connector' = 'print');
    CREATE VIEW people AS SELECT * FROM (VALUES
        ('red', 'Ada Lovelace', 12, 2.0), ('red', 'Alan Turing', 7, 1.0), ('blue', 'Grace Hopper', 3, 5.0)) AS t(team, name, points, weight);
    INSERT INTO words SELECT INITIALS(name), CLAMP(points, 0, 10), word, length FROM people, LATERAL TABLE(WORDS(name)) AS w(word, length);
    INSERT INTO averages SELECT team, WEIGHTED_AVG(points, weight) FROM people GROUP BY team;
    """

let session = SQLSession(connectors: [PrintConnector()])
try register(on: session)
for statement in try SQLParser(text: script).parseScript() {
    guard case .insert(let graph) = try session.execute(statement) else { continue }
    try JobExecution(graph).run()
}
