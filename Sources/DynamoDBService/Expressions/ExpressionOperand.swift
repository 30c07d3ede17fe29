/// A value of an expression, placeholders resolved.
indirect enum ExpressionOperand: Sendable {
    case value(AttributeValue)
    case path(DocumentPath)
    case size(ExpressionOperand)
    case sum(ExpressionOperand, ExpressionOperand)
    case difference(ExpressionOperand, ExpressionOperand)
    case ifNotExists(DocumentPath, ExpressionOperand)
    case listAppend(ExpressionOperand, ExpressionOperand)

    /// What is known without an item.
    var kind: AttributeValue.Kind? {
        switch self {
        case .value(let value): value.kind
        case .size: .n
        default: nil
        }
    }

    var path: DocumentPath? { if case .path(let path) = self { path } else { nil } }

    /// Every path that is read.
    var paths: [DocumentPath] {
        switch self {
        case .value: []
        case .path(let path): [path]
        case .size(let operand): operand.paths
        case .sum(let a, let b), .difference(let a, let b), .listAppend(let a, let b): a.paths + b.paths
        case .ifNotExists(let path, let operand): [path] + operand.paths
        }
    }
}

extension AttributeValue {
    /// As `size()` has it: characters, bytes, elements or members; nil for types without one.
    var expressionSize: Int? {
        switch self {
        case .s(let text): text.utf16.count
        case .b(let bytes): bytes.count
        case .l(let all): all.count
        case .m(let members): members.count
        case .ss(let all): all.count
        case .ns(let all): all.count
        case .bs(let all): all.count
        case .n, .bool, .null: nil
        }
    }

    /// As `begins_with`.
    func begins(with other: AttributeValue) -> Bool {
        switch (self, other) {
        case (.s(let a), .s(let b)): a.utf8.starts(with: b.utf8)
        case (.b(let a), .b(let b)): a.starts(with: b)
        default: false
        }
    }

    /// As `contains`: a part of a text or a binary, or an element of a set or a list.
    func contains(_ other: AttributeValue) -> Bool {
        switch (self, other) {
        case (.s(let a), .s(let b)): Self.contains(Array(a.utf8), Array(b.utf8))
        case (.b(let a), .b(let b)): Self.contains(a, b)
        case (.ss(let all), .s(let b)): all.contains { $0.utf8.elementsEqual(b.utf8) }
        case (.ns(let all), .n(let b)): all.contains(b)
        case (.bs(let all), .b(let b)): all.contains(b)
        case (.l(let all), _): all.contains(other)
        default: false
        }
    }

    private static func contains(_ all: [UInt8], _ part: [UInt8]) -> Bool {
        guard let first = part.first else { return true }
        guard part.count <= all.count else { return false }
        return (0...(all.count - part.count)).contains { all[$0] == first && all[$0..<($0 + part.count)].elementsEqual(part) }
    }
}
