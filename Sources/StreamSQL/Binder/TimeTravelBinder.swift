import StreamCore
import StreamExpressions

/// FROM t FOR SYSTEM_TIME AS OF a constant time: the table as it was then.
extension QueryBinder {
    /// Milliseconds since 1970, UTC; nil when the time is not a constant. A TIMESTAMP is local to the session's time zone.
    func constantTime(_ asOf: SyntaxExpr) throws -> Int64? {
        guard let bound = try? ExpressionBinder(context, scope: .empty, clause: "FOR SYSTEM_TIME AS OF").bind(asOf), bound.columns.isEmpty else { return nil }
        guard bound.type.isTimestamp, let unit = bound.type.timeUnit else {
            throw context.error(
                .validate, "FOR SYSTEM_TIME AS OF takes a time, not \(bound.type)", fix: "write for example TIMESTAMP '2026-01-31 12:00:00'", at: asOf.span)
        }
        guard bound.isFoldable else {
            throw context.error(
                .validate, "FOR SYSTEM_TIME AS OF takes a time that is the same in every run", fix: "write for example TIMESTAMP '2026-01-31 12:00:00'",
                at: asOf.span)
        }
        let value = try context.script.locating(asOf.span) { try Evaluator.evaluateConstant(bound, context: EvaluationContext(timeZone: context.settings.timeZone)) }
        guard case .int(let time) = value else { throw context.error(.validate, "FOR SYSTEM_TIME AS OF NULL is no time", at: asOf.span) }
        let perMillisecond = unit.rawValue / 1_000
        let milliseconds = time >= 0 ? time / perMillisecond : -((perMillisecond - 1 - time) / perMillisecond)
        if case .timestampLTZ = bound.type { return milliseconds }
        var zone = try ZoneCursor(named: context.settings.timeZone)
        return zone.utc(milliseconds, .milliseconds)
    }

    /// The table as of a time, in milliseconds since 1970.
    func table(_ ref: TableRef, asOf time: Int64) throws -> (LogicalPlan, Scope) {
        let span = ref.asOf!.span
        var plain = ref
        plain.asOf = nil
        guard case .table(let name, _) = ref.node else {
            throw context.unsupported("FOR SYSTEM_TIME AS OF behind a query", fix: "put it behind the tables that the query reads", at: span)
        }
        let (plan, scope) = try table(plain)
        var found: StreamError?
        let travelled = plan.rewritten { step in
            guard case .scan(var scan) = step else { return step }
            do {
                let connector = try TableChecks(context).connector(of: scan.table.descriptor, at: ref.span)
                guard let connector = connector as? any TimeTravelConnector else {
                    throw context.error(
                        .validate, "table \(scan.table.name): connector '\(connector.identifier)' does not keep what was there before, so it cannot be read as of a time",
                        fix: "leave out FOR SYSTEM_TIME AS OF", at: span)
                }
                scan.table.descriptor = try context.script.locating(span) { try connector.table(scan.table.descriptor, asOf: time) }
            } catch let error as StreamError {
                found = found ?? error
            } catch {
                found = found ?? context.error(.validate, "\(error)", at: span)
            }
            return .scan(scan)
        }
        if let found { throw found }
        // A view or WITH query is shared by its readers under its name, whatever time they read it as of.
        if case .scan = plan { return (travelled, scope) }
        if case .project(.scan, _) = plan { return (travelled, scope) }
        throw context.unsupported("FOR SYSTEM_TIME AS OF behind \(name.parts.joined(separator: ".")), which is a view or a WITH query",
                                  fix: "put it behind the tables that the query reads", at: span)
    }
}
