import StreamCore
import StreamExpressions
import StreamOperators

extension QueryBinder {
    func randomCutForest(_ call: RandomCutForestCall, _ ref: TableRef) throws -> LogicalPlan {
        let (input, scope) = try table(call.input)
        let function = call.explains ? "RANDOM_CUT_FOREST_WITH_EXPLANATION" : "RANDOM_CUT_FOREST"
        let partition = try call.input.partitionBy.map { key in
            guard case .column(let i, _) = try ExpressionBinder(context, scope: scope, clause: "PARTITION BY").bind(key) else {
                throw context.error(.validate, "PARTITION BY of \(function) takes columns only", fix: "compute the value in a view", at: key.span)
            }
            return i
        }
        let features = try call.columns.map { name in
            let bound = try ExpressionBinder(context, scope: scope, clause: function).bind(SyntaxExpr(.name(name), span: name.span))
            guard case .column(let i, let type) = bound, type.isNumeric else {
                throw context.error(
                    .validate, "\(function) compares numbers, but \(name.text) is of type \(bound.type)",
                    fix: "encode it first, for example with ONE_HOT, ARRAY_POSITION or WIDTH_BUCKET", at: name.span)
            }
            return i
        }
        if let twice = features.indices.first(where: { features[..<$0].contains(features[$0]) }) {
            throw context.error(.validate, "DESCRIPTOR names \(call.columns[twice].text) twice", fix: "remove one", at: call.columns[twice].span)
        }
        var options = RandomCutForestOptions()
        func number(_ parameter: String, _ range: ClosedRange<Int64>) throws -> Int64? {
            guard let expr = call.arguments[parameter] else { return nil }
            let bound = try ExpressionBinder(context, scope: .empty, clause: parameter).bind(expr)
            guard case .int(let value)? = Binding.constant(bound), range.contains(value) else {
                throw context.error(.validate, "\(parameter) of \(function) is a constant from \(range.lowerBound) to \(range.upperBound)", at: expr.span)
            }
            return value
        }
        if let n = try number("NUMBER_OF_TREES", 1...1_000) { options.trees = Int(n) }
        if let n = try number("SUB_SAMPLE_SIZE", 2...10_000) { options.samples = Int(n) }
        if let n = try number("TIME_DECAY", 1...(1 << 53)) { options.timeDecay = Int(n) }
        if let n = try number("SHINGLE_SIZE", 1...64) { options.shingle = Int(n) }
        options.outputAfter = Int(try number("OUTPUT_AFTER", 1...1_000_000_000) ?? Int64(max(1, options.samples / 4)))
        if let n = try number("SEED", Int64.min...Int64.max) { options.seed = UInt64(bitPattern: n) }
        if let expr = call.arguments["NORMALIZE"] {
            guard case .bool(let value)? = Binding.constant(try ExpressionBinder(context, scope: .empty, clause: "NORMALIZE").bind(expr)) else {
                throw context.error(.validate, "NORMALIZE of \(function) is TRUE or FALSE", at: expr.span)
            }
            options.normalizes = value
        }
        return .step(RandomCutForestStep(input: input.columns, partition: partition, features: features, options: options, explains: call.explains), [input])
    }
}
