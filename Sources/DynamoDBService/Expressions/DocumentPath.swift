/// Where a value is in an item: `a.b[1].c`.
public struct DocumentPath: Hashable, Sendable {
    public enum Step: Hashable, Sendable {
        case name(String)
        case index(Int)
    }

    /// The first is a name.
    public var steps: [Step]

    public init(_ steps: [Step]) { self.steps = steps }
    public init(attribute name: String) { steps = [.name(name)] }

    /// The name of the attribute that it begins with.
    public var attribute: String { if case .name(let name) = steps[0] { name } else { "" } }
    public var isNested: Bool { steps.count > 1 }

    /// As messages show it: `[a, b, [1], c]`.
    var shown: String {
        "[" + steps.map { step in
            switch step {
            case .name(let name): name
            case .index(let index): "[\(index)]"
            }
        }.joined(separator: ", ") + "]"
    }

    public func value(in item: Item) -> AttributeValue? {
        var value = item[attribute]
        for step in steps.dropFirst() {
            switch (step, value) {
            case (.name(let name), .m(let members)): value = members[name]
            case (.index(let index), .l(let all)): value = index < all.count ? all[index] : nil
            default: return nil
            }
        }
        return value
    }
}

/// The parts of an item that paths name, in one walk.
struct PathTree {
    /// Whether everything from here on is wanted.
    private(set) var isWhole = false
    private(set) var members: [String: PathTree] = [:]
    private(set) var elements: [Int: PathTree] = [:]

    init() {}

    init(_ paths: [DocumentPath]) { for path in paths { insert(path.steps[...]) } }

    private mutating func insert(_ steps: ArraySlice<DocumentPath.Step>) {
        guard let first = steps.first else {
            isWhole = true
            return
        }
        switch first {
        case .name(let name): members[name, default: PathTree()].insert(steps.dropFirst())
        case .index(let index): elements[index, default: PathTree()].insert(steps.dropFirst())
        }
    }

    func project(_ item: Item) -> Item {
        var out = Item()
        for (name, tree) in members { if let value = item[name] { out[name] = tree.project(value) } }
        return out
    }

    /// nil when nothing of the value is wanted. Elements of a list move together.
    private func project(_ value: AttributeValue) -> AttributeValue? {
        if isWhole { return value }
        switch value {
        case .m(let all):
            let kept = project(all)
            return kept.isEmpty ? nil : .m(kept)
        case .l(let all):
            let kept = elements.sorted { $0.key < $1.key }.compactMap { index, tree in index < all.count ? tree.project(all[index]) : nil }
            return kept.isEmpty ? nil : .l(kept)
        default: return nil
        }
    }
}
