import StreamCore
import StreamExpressions
import StreamRuntime
import StreamTesting
import Testing
@testable import StreamSQL

/// Random queries give the same rows with all rules of the optimiser as with only those that a plan cannot run without.
@Suite("Optimiser") struct OptimizerTests {
    /// Makes SELECTs over three tables. Every relation has columns `x` INT, `y` INT and `s` STRING.
    struct QueryGenerator {
        var random: SeededRandom

        mutating func pick<T>(_ choices: [T]) -> T { choices.randomElement(using: &random)! }
        mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }

        mutating func number(_ depth: Int, _ prefix: String) -> String {
            switch depth == 0 ? Int.random(in: 0..<3, using: &random) : Int.random(in: 0..<8, using: &random) {
            case 0, 1: return prefix + pick(["x", "y"])
            case 2: return "\(Int.random(in: -3...5, using: &random))"
            case 3: return "(\(number(depth - 1, prefix)) + \(number(depth - 1, prefix)))"
            case 4: return "(\(number(depth - 1, prefix)) * 2)"
            case 5:
                return "CASE WHEN \(condition(depth - 1, prefix)) THEN \(number(depth - 1, prefix)) ELSE \(number(depth - 1, prefix)) END"
            case 6: return "COALESCE(\(prefix)x, \(number(depth - 1, prefix)))"
            default: return "(\(number(depth - 1, prefix)) - \(prefix)y)"
            }
        }

        mutating func condition(_ depth: Int, _ prefix: String) -> String {
            switch depth == 0 ? Int.random(in: 0..<3, using: &random) : Int.random(in: 0..<6, using: &random) {
            case 0: return "\(prefix)x \(pick(["=", "<", ">=", "<>"])) \(number(0, prefix))"
            case 1: return "\(prefix)s \(pick(["= 'a'", "<> 'b'", "IS NULL", "IN ('a', 'c')", "IS NOT DISTINCT FROM 'b'"]))"
            case 2: return "\(prefix)y \(pick(["IS NOT NULL", "IN (1, 2, 3)", "BETWEEN 0 AND 2"]))"
            case 3: return "(\(condition(depth - 1, prefix)) AND \(condition(depth - 1, prefix)))"
            case 4: return "(\(condition(depth - 1, prefix)) OR \(condition(depth - 1, prefix)))"
            default: return "NOT (\(condition(depth - 1, prefix)))"
            }
        }

        mutating func relation(_ depth: Int) -> String {
            let filter = chance(2) ? " WHERE \(condition(2, ""))" : ""
            switch depth == 0 ? 0 : Int.random(in: 0..<8, using: &random) {
            case 0: return "SELECT x, y, s FROM \(pick(["t1", "t2", "t3"]))" + filter
            case 1, 2: return "SELECT \(number(2, "")) AS x, \(number(1, "")) AS y, s FROM (\(relation(depth - 1)))" + filter
            case 3:
                return
                    "SELECT l.x AS x, \(number(1, "r.")) AS y, \(pick(["l.s", "r.s"])) AS s FROM (\(relation(depth - 1))) l, (\(relation(depth - 1))) r WHERE l.\(pick(["x", "y"])) = \(number(1, "r."))"
                    + (chance(2) ? " AND \(condition(1, "l."))" : "") + (chance(3) ? " AND l.x > r.y" : "")
            case 7:
                return
                    "SELECT l.x AS x, \(number(1, pick(["l.", "r."]))) AS y, \(pick(["l.s", "r.s"])) AS s FROM (\(relation(depth - 1))) l \(pick(["LEFT", "RIGHT", "FULL"])) JOIN (\(relation(depth - 1))) r ON l.\(pick(["x = r.x", "x = r.y", "s = r.s", "x IS NOT DISTINCT FROM r.y"]))"
                    + (chance(2) ? " AND \(condition(1, pick(["l.", "r."])))" : "") + (chance(3) ? " AND l.x > r.y" : "")
                    + (chance(2) ? " WHERE \(condition(1, pick(["l.", "r."])))" : "")
            case 4:
                return
                    "SELECT x, CAST(\(pick(["SUM(y)", "COUNT(*)", "MAX(y + 1)", "COUNT(DISTINCT y)"])) AS INT) AS y, s FROM (\(relation(depth - 1)))\(filter) GROUP BY x, s"
                    + (chance(3) ? " HAVING x > 0 AND COUNT(*) > 0" : "")
            case 5: return "(\(relation(depth - 1))) \(pick(["UNION ALL", "UNION", "INTERSECT", "EXCEPT"])) (\(relation(depth - 1)))"
            default: return "SELECT DISTINCT \(number(1, "")) AS x, y, s FROM (\(relation(depth - 1)))" + filter
            }
        }
    }

    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(
            (1...3).map { "CREATE TABLE t\($0) (x INT, y INT, s STRING, unused DOUBLE) WITH ('connector' = 'memory');" }.joined(
                separator: "\n"))
        var random = SeededRandom(7)
        for t in 1...3 {
            harness.memory.fill(
                "t\(t)",
                (0..<12).map { _ in
                    let number: () -> Value = {
                        Int.random(in: 0..<6, using: &random) == 0 ? .null : .int(Int64.random(in: -1...4, using: &random))
                    }
                    let text: Value = [.null, .string("a"), .string("b"), .string("c")].randomElement(using: &random)!
                    return [number(), number(), text, .double(1)]
                })
        }
        return harness
    }

    private func rows(_ plan: LogicalPlan, _ session: SQLSession, parallelism: Int = 1) throws -> [[Value]] {
        var settings = session.settings
        _ = try settings.set("parallelism.default", to: "\(parallelism)")
        var builder = JobGraphBuilder(catalog: session.catalog, settings: settings, evaluation: session.evaluation, name: "test")
        let sink = CollectingSink(maxParallelism: 1)
        try builder.addSink(sink, name: "collect", after: try builder.add(plan))
        try JobExecution(builder.finished, options: .init(workers: min(2, parallelism))).run()
        return SQLHarness.collapsed(sink.rows)
    }

    @Test("changes no result", arguments: UInt64(0)..<150)
    func sameRows(seed: UInt64) throws {
        var generator = QueryGenerator(random: SeededRandom(seed))
        let text = "SELECT x, y, s FROM (\(generator.relation(3)))"
        let session = try harness().session
        let script = ScriptText(SourceText(text))
        let context = BindingContext(
            catalog: session.catalog, functions: .builtin, settings: session.settings, script: script, counter: .init())
        let plan = try QueryBinder(context).bind(try SQLParser(text: text).parseQuery())
        let optimized = try Optimizer(context: session.evaluation, script: script).optimize(plan)
        #expect(optimized.columns.map(\.type) == plan.columns.map(\.type), "seed \(seed): \(text)")
        let expected = try rows(JoinKeys().apply(plan), session)
        let actual = try rows(optimized, session)
        #expect(actual == expected, "seed \(seed): \(text)\n\(optimized.treeText)")
        let parallel = try rows(optimized, session, parallelism: 3)
        #expect(parallel == expected, "seed \(seed), parallelism 3: \(text)\n\(optimized.treeText)")
    }
}
