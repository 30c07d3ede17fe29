import StreamCore

extension TokenParser {
    /// A call of RANDOM_CUT_FOREST, with or without names for its arguments.
    mutating func randomCutForest() throws -> TableRef {
        let start = token.start, at = span, function = token.upper
        advance()
        try expect("(", " after \(function)")
        var input: TableRef?, columns: [QualifiedName] = [], values: [String: SyntaxExpr] = [:]
        var order = ["DATA", "COLUMNS"] + RandomCutForestCall.parameters
        repeat {
            let at = span
            var parameter = order.first
            if isSymbol("=>", ahead: 1) {
                let written = (token.kind == .quoted ? token.text.uppercased() : token.upper).replacing("_", with: "")
                guard let found = order.first(where: { $0.replacing("_", with: "") == written }) else {
                    throw source.error(.parse, "\(function) has no argument \(token.text) left", fix: NearName.hint(for: token.upper, in: order), at: at)
                }
                advance()
                _ = accept("=>")
                parameter = found
            }
            guard let parameter else {
                throw source.error(.parse, "\(function) has too many arguments", fix: "write \(RandomCutForestCall.usage)", at: at)
            }
            order.removeAll { $0 == parameter }
            switch parameter {
            case "DATA": input = try tableArgument(function)
            case "COLUMNS":
                guard acceptWord("DESCRIPTOR") else { throw expected("DESCRIPTOR(columns)", near: ["DESCRIPTOR"]) }
                try expect("(", " after DESCRIPTOR")
                repeat { columns.append(try qualifiedName("a column")) } while accept(",")
                try expect(")", " or \",\" after the column")
            default: values[parameter] = try expression()
            }
        } while accept(",")
        try expect(")", " or \",\" in the arguments of \(function)")
        guard let input, !columns.isEmpty else {
            throw source.error(.parse, "\(function) lacks the argument \(input == nil ? "DATA" : "COLUMNS")", fix: "write \(RandomCutForestCall.usage)", at: at)
        }
        let call = RandomCutForestCall(explains: RandomCutForestCall.names[function]!, input: input, columns: columns, arguments: values)
        return TableRef(.randomCutForest(call), span: source.span(start, consumedEnd))
    }
}
