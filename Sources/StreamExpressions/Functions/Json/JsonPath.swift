import StreamCore

/// A path into a JSON document: `$.a.b[1]`, `$..c`, `$[?(@.d > 5)]`, after an optional `lax` or `strict`. Immutable.
///
/// Without a mode a path is strict: what is not there is an error, not just empty.
struct JsonPath: Sendable {
    indirect enum Step: Sendable {
        case child([UInt8])
        case children([[UInt8]])
        case index(Int)
        case indices([Int])
        case slice(Int?, Int?)
        case wildcard
        /// The next steps, for the value and everything in it.
        case descendants
        case filter(JsonFilter)
        case function(Function)
    }

    enum Function: String, Sendable { case length, size, min, max, avg, sum }

    let isLax: Bool
    let steps: [Step]
    /// Selects at most one value, which is given as it is; else the result is a list.
    let isDefinite: Bool

    struct SyntaxError: Error {
        let problem: String
    }

    init(_ text: String) throws(SyntaxError) {
        var rest = text.drop { $0.isWhitespace }
        var lax = false
        for (mode, isLax) in [("lax", true), ("strict", false)] where rest.prefix(mode.count).lowercased() == mode {
            let after = rest.dropFirst(mode.count)
            if let c = after.first, c.isWhitespace {
                rest = after.drop { $0.isWhitespace }
                lax = isLax
                break
            }
        }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        guard !rest.isEmpty else { throw SyntaxError(problem: "it is empty") }
        if rest.first != "$" { rest = "$." + rest }
        var parser = JsonPathParser(Array(rest.utf8))
        steps = try parser.path()
        guard parser.atEnd else { throw SyntaxError(problem: "'\(parser.rest)' is not understood") }
        isLax = lax
        isDefinite = Self.isDefinite(steps)
    }

    init(steps: [Step]) {
        self.steps = steps
        isLax = true
        isDefinite = Self.isDefinite(steps)
    }

    private static func isDefinite(_ steps: [Step]) -> Bool {
        for (i, step) in steps.enumerated() {
            switch step {
            case .child, .index: continue
            case .function: return true
            case .children: if i != steps.count - 1 { return false }
            default:
                // A function over a list gives one value.
                if case .function? = steps.last { return true }
                return false
            }
        }
        return true
    }
}

/// What a path found.
enum JsonItem {
    case node(Int)
    /// An object of the members with these keys.
    case members([Int])
    case integer(Int)
    case double(Double)
}

extension JsonPath {
    /// Nothing is there; in strict mode an error.
    struct NotFound: Error {}

    /// What the path selects in the document: at most one item when the path is definite.
    ///
    /// - Throws: ``NotFound`` when a step of the definite part leads nowhere.
    func evaluate(_ document: JsonDocument, _ out: inout [JsonItem]) throws(NotFound) {
        try evaluate(document, 0, 0, definite: true, &out)
    }

    /// The single node of a path of names and indices; nil when it is not there. Allocates nothing.
    @inline(__always)
    func simpleNode(_ document: JsonDocument) -> Int? {
        var node = 0
        for step in steps {
            switch step {
            case .child(let name):
                guard document.nodes[node].kind == .object, let next = document.member(node, name) else { return nil }
                node = next
            case .index(let i):
                guard document.nodes[node].kind == .array, let next = Self.element(document, node, i) else { return nil }
                node = next
            default: return nil
            }
        }
        return node
    }

    /// Only names and single indices.
    var isSimple: Bool {
        steps.allSatisfy {
            switch $0 {
            case .child, .index: true
            default: false
            }
        }
    }

    private static func element(_ document: JsonDocument, _ array: Int, _ index: Int) -> Int? {
        if index < 0 {
            let all = document.children(array)
            return all.count + index >= 0 ? all[all.count + index] : nil
        }
        var i = array + 1
        let end = Int(document.nodes[array].next)
        for _ in 0..<index {
            guard i < end else { return nil }
            i = Int(document.nodes[i].next)
        }
        return i < end ? i : nil
    }

    private func evaluate(_ document: JsonDocument, _ node: Int, _ at: Int, definite: Bool, _ out: inout [JsonItem]) throws(NotFound) {
        guard at < steps.count else { return out.append(.node(node)) }
        let kind = document.nodes[node].kind
        func missing() throws(NotFound) { if definite { throw NotFound() } }
        switch steps[at] {
        case .child(let name):
            guard kind == .object, let next = document.member(node, name) else { return try missing() }
            try evaluate(document, next, at + 1, definite: definite, &out)
        case .children(let names):
            guard kind == .object else { return try missing() }
            if at == steps.count - 1 {
                out.append(.members(names.compactMap { document.member(node, $0).map { $0 - 1 } }))
            } else {
                for name in names { if let next = document.member(node, name) { try evaluate(document, next, at + 1, definite: false, &out) } }
            }
        case .index(let i):
            guard kind == .array, let next = Self.element(document, node, i) else { return try missing() }
            try evaluate(document, next, at + 1, definite: definite, &out)
        case .indices(let list):
            guard kind == .array else { return try missing() }
            for i in list { if let next = Self.element(document, node, i) { try evaluate(document, next, at + 1, definite: false, &out) } }
        case .slice(let from, let to):
            guard kind == .array else { return try missing() }
            let all = document.children(node)
            func bound(_ i: Int?, _ other: Int) -> Int { i.map { max(0, min(all.count, $0 < 0 ? all.count + $0 : $0)) } ?? other }
            let (low, high) = (bound(from, 0), bound(to, all.count))
            for i in low..<max(low, high) { try evaluate(document, all[i], at + 1, definite: false, &out) }
        case .wildcard:
            for child in document.children(node) { try evaluate(document, child, at + 1, definite: false, &out) }
        case .descendants: try descend(document, node, at + 1, &out)
        case .filter(let filter):
            // On an object the filter looks at the object itself.
            for child in kind == .array ? document.children(node) : kind == .object ? [node] : [] where filter.holds(document, child) {
                try evaluate(document, child, at + 1, definite: false, &out)
            }
        case .function(let function): out.append(try Self.apply(function, document, [node]))
        }
    }

    private func descend(_ document: JsonDocument, _ node: Int, _ at: Int, _ out: inout [JsonItem]) throws(NotFound) {
        guard !document.isScalar(node) else { return }
        try evaluate(document, node, at, definite: false, &out)
        for child in document.children(node) { try descend(document, child, at, &out) }
    }

    private static func apply(_ function: Function, _ document: JsonDocument, _ nodes: [Int]) throws(NotFound) -> JsonItem {
        let node = nodes[0], kind = document.nodes[node].kind
        if function == .length || function == .size {
            guard kind == .array || kind == .object else { throw NotFound() }
            return .integer(document.children(node).count)
        }
        guard kind == .array else { throw NotFound() }
        let numbers = document.children(node).compactMap { document.number($0) }
        guard !numbers.isEmpty else { throw NotFound() }
        let sum = numbers.reduce(0, +)
        switch function {
        case .min: return .double(numbers.min()!)
        case .max: return .double(numbers.max()!)
        case .avg: return .double(sum / Double(numbers.count))
        default: return .double(sum)
        }
    }
}

extension JsonDocument {
    func number(_ node: Int) -> Double? {
        switch nodes[node].kind {
        case .integer, .decimal: NumberText.parseDouble(bytes(nodes[node]))
        default: nil
        }
    }

    func string(_ node: Int) -> [UInt8]? {
        guard nodes[node].kind == .string else { return nil }
        return nodes[node].isEscaped ? unescaped(nodes[node]) : Array(bytes(nodes[node]))
    }
}
