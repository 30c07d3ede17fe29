/// A condition in a path: `[?(@.price < 10 && @.kind == 'x')]`.
indirect enum JsonFilter: Sendable {
    case and(JsonFilter, JsonFilter)
    case or(JsonFilter, JsonFilter)
    case not(JsonFilter)
    case exists(JsonPath)
    case compare(Operand, Comparison, Operand)
    case isIn(Operand, [Operand])
    case matches(Operand, RegexProgram)

    enum Operand: Sendable {
        case path(JsonPath), rootPath(JsonPath)
        case string([UInt8]), number(Double), bool(Bool), null
    }

    enum Comparison: Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual }

    /// Longer symbols first.
    static let comparisons: [(String, Comparison)] = [
        ("===", .equal), ("!==", .notEqual), ("==", .equal), ("!=", .notEqual), ("<=", .lessOrEqual), (">=", .greaterOrEqual), ("<", .less), (">", .greater),
    ]

    func holds(_ document: JsonDocument, _ node: Int) -> Bool {
        switch self {
        case .and(let a, let b): return a.holds(document, node) && b.holds(document, node)
        case .or(let a, let b): return a.holds(document, node) || b.holds(document, node)
        case .not(let a): return !a.holds(document, node)
        case .exists(let path): return Self.find(path, document, node) != nil
        case .compare(let a, let comparison, let b):
            let (x, y) = (Self.value(a, document, node), Self.value(b, document, node))
            switch comparison {
            case .equal: return x == y
            case .notEqual: return x != y
            default: break
            }
            let order: Int
            switch (x, y) {
            case (.number(let p), .number(let q)): order = p < q ? -1 : p > q ? 1 : 0
            case (.string(let p), .string(let q)): order = p == q ? 0 : p.lexicographicallyPrecedes(q) ? -1 : 1
            default: return false
            }
            return switch comparison {
            case .less: order < 0
            case .lessOrEqual: order <= 0
            case .greater: order > 0
            default: order >= 0
            }
        case .isIn(let a, let list):
            let x = Self.value(a, document, node)
            return list.contains { Self.value($0, document, node) == x }
        case .matches(let a, let program):
            guard case .string(let text) = Self.value(a, document, node) else { return false }
            var matcher = RegexMatcher(program)
            return text.withUnsafeBytes { (try? matcher.matches($0)) ?? false }
        }
    }

    private enum Plain: Equatable {
        case missing, null, bool(Bool), number(Double), string([UInt8]), container([UInt8])
    }

    /// A filter's paths consist of names and indices.
    private static func find(_ path: JsonPath, _ document: JsonDocument, _ node: Int) -> Int? {
        var current = node
        for step in path.steps {
            switch step {
            case .child(let name):
                guard document.nodes[current].kind == .object, let next = document.member(current, name) else { return nil }
                current = next
            case .index(let i):
                guard document.nodes[current].kind == .array else { return nil }
                let all = document.children(current), at = i < 0 ? all.count + i : i
                guard all.indices.contains(at) else { return nil }
                current = all[at]
            default: return nil
            }
        }
        return current
    }

    private static func value(_ operand: Operand, _ document: JsonDocument, _ node: Int) -> Plain {
        let found: Int?
        switch operand {
        case .string(let s): return .string(s)
        case .number(let n): return .number(n)
        case .bool(let b): return .bool(b)
        case .null: return .null
        case .path(let path): found = find(path, document, node)
        case .rootPath(let path): found = find(path, document, 0)
        }
        guard let found else { return .missing }
        switch document.nodes[found].kind {
        case .string: return .string(document.string(found)!)
        case .integer, .decimal: return .number(document.number(found) ?? .nan)
        case .true: return .bool(true)
        case .false: return .bool(false)
        case .null: return .null
        case .object, .array: return .container(Array(document.bytes(document.nodes[found])))
        }
    }
}
