import StreamCore
import StreamExpressions
import StreamOperators

/// Tells a scan the conditions on single columns that its connector can skip data by. The filter stays where it is.
struct FilterIntoScan {
    var connectors: [String: any TableConnector]

    /// Longer lists are not worth a comparison with every part of a table.
    private static let listMax = 1_000

    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .calc(.scan(var scan), let filter?, let p) = step, let connector = connectors[scan.table.descriptor.options["connector"] ?? ""]
            else { return step }
            let table = scan.table
            for part in filter.conjuncts {
                guard part.columns.count == 1, let read = part.columns.first, case let column = scan.used[read], case .physical = table.columns[column].kind,
                    case let physical = table.physicalIndex(of: column), connector.usesFilter(on: physical, of: table.descriptor),
                    let condition = condition(part)
                else { continue }
                let predicate = ScanPredicate(column: physical, condition)
                if !scan.filter.contains(predicate) { scan.filter.append(predicate) }
            }
            return .calc(.scan(scan), filter: filter, p)
        }
    }

    private func condition(_ part: Expr) -> ScanPredicate.Condition? {
        switch part {
        case .column(_, .boolean): return .compares(.equal, .bool(true))
        case .not(.column(_, .boolean)): return .compares(.equal, .bool(false))
        case .isNull(.column, let negated): return negated ? .isNotNull : .isNull
        case .or:
            var values: [Value] = []
            for one in part.disjuncts {
                guard case .compares(.equal, let value)? = condition(one), values.count < Self.listMax else { return nil }
                values.append(value)
            }
            return .isIn(values)
        case .call(let f, let args) where args.count == 2:
            let mirrored = ["=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="]
            guard let opposite = mirrored[f.name] else { return nil }
            if let value = constant(args[0], args[1]) { return .compares(.init(rawValue: f.name)!, value) }
            if let value = constant(args[1], args[0]) { return .compares(.init(rawValue: opposite)!, value) }
            return nil
        default: return nil
        }
    }

    /// What a column, as it is or widened, is compared with: in the column's own type; nil when that type does not have the value.
    private func constant(_ a: Expr, _ b: Expr) -> Value? {
        guard case .literal(let value, let type) = b, value != .null else { return nil }
        switch a {
        case .column(_, let own): return Self.value(value, type, of: own)
        // Text and binary values without their declared length: what comparisons look at.
        case .call(let f, let args) where f.name == "RETYPE" && args.count == 1:
            guard case .column(_, let own) = args[0], own.isText && type.isText || own.isBinary && type.isBinary else { return nil }
            return value
        case .cast(.column(_, let own), let to, _):
            guard Self.keepsValues(own, to), to == type || to.physical == type.physical && !to.isDecimal && !to.isTimestamp else { return nil }
            return Self.value(value, type, of: own)
        default: return nil
        }
    }

    /// The cast gives different values for different values, in their order.
    private static func keepsValues(_ from: DataType, _ to: DataType) -> Bool {
        switch (from, to) {
        case (.decimal(let p, let s), .decimal(let q, let t)): t >= s && q - t >= p - s
        case (.timestamp(let p), .timestamp(let q)), (.timestampLTZ(let p), .timestampLTZ(let q)): q >= p
        case (.varchar(let n), .varchar(let m)), (.varbinary(let n), .varbinary(let m)): m >= n
        case (.float, .double): true
        default: from == to || from.isInteger && to.isInteger && to.width >= from.width
        }
    }

    private static func value(_ value: Value, _ type: DataType, of own: DataType) -> Value? {
        switch (own, type) {
        case (.varchar, .varchar), (.boolean, .boolean), (.date, .date), (.varbinary, .varbinary): return value
        case (.decimal(_, let scale), .decimal(_, let other)):
            guard case .decimal(var digits) = value else { return nil }
            guard other >= scale else {
                var power = Int128(1)
                for _ in other..<scale { power *= 10 }
                let (product, overflow) = digits.multipliedReportingOverflow(by: power)
                return overflow ? nil : .decimal(product)
            }
            for _ in scale..<other {
                guard digits % 10 == 0 else { return nil }
                digits /= 10
            }
            return .decimal(digits)
        case (.timestamp, .timestamp), (.timestampLTZ, .timestampLTZ):
            guard case .int(let time) = value, let from = type.timeUnit?.rawValue, let to = own.timeUnit?.rawValue else { return nil }
            if from <= to {
                let (product, overflow) = time.multipliedReportingOverflow(by: to / from)
                return overflow ? nil : .int(product)
            }
            return time % (from / to) == 0 ? .int(time / (from / to)) : nil
        case (.time, .time): return own == type ? value : nil
        case (.float, .float), (.double, .double), (.float, .double): return value
        default: return own.isInteger && type.isInteger && type.width >= own.width ? value : nil
        }
    }
}
