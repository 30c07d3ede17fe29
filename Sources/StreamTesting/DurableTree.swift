/// What of a directory tree would survive a power cut: a model without a disk.
///
/// Contents and names become durable apart from each other, as POSIX has it: a file's bytes when the file is flushed, a name
/// when its directory is. What is not durable yet is kept as a list of changes, of which a crash applies a legal choice.
struct DurableTree: Sendable {
    /// A change to a file's bytes that no flush has covered.
    enum Change: Sendable {
        case write(offset: Int, bytes: [UInt8])
        case truncate(size: Int)

        func apply(to content: inout [UInt8]) {
            switch self {
            case .write(let offset, let bytes):
                if content.count < offset { content += [UInt8](repeating: 0, count: offset - content.count) }
                content.replaceSubrange(offset..<min(offset + bytes.count, content.count), with: bytes)
            case .truncate(let size):
                if size < content.count {
                    content.removeLast(content.count - size)
                } else {
                    content += [UInt8](repeating: 0, count: size - content.count)
                }
            }
        }
    }

    /// A file or a directory.
    struct Node: Sendable {
        var isDirectory: Bool
        /// Bytes of a file as of its last flush.
        var content: [UInt8] = []
        var changes: [Change] = []
        /// Changes at the front of the list that a failed flush has covered: the kernel takes them for written, so no later
        /// flush does.
        var doomed = 0
        /// Of the file now; nil = not known, because it is written by others.
        var size: Int?
        /// Names in a directory as of its last flush, and now.
        var durableNames: [String: Int] = [:]
        var names: [String: Int] = [:]
    }

    /// Names that change together or not at all; nil = no such name any more.
    struct NameChange: Sendable {
        struct Effect: Sendable {
            var directory: Int
            var name: String
            var node: Int?
        }
        var effects: [Effect]
    }

    static let root = 0
    private(set) var nodes: [Int: Node] = [root: Node(isDirectory: true)]
    private(set) var nameChanges: [NameChange] = []
    private var nextNode = 1

    // MARK: what is done to it

    /// A new node without a name.
    mutating func add(isDirectory: Bool, size: Int? = 0) -> Int {
        defer { nextNode += 1 }
        nodes[nextNode] = Node(isDirectory: isDirectory, size: isDirectory ? nil : size)
        return nextNode
    }

    mutating func setNames(_ effects: [NameChange.Effect]) {
        for effect in effects { nodes[effect.directory]!.names[effect.name] = effect.node }
        nameChanges.append(NameChange(effects: effects))
    }

    mutating func change(_ node: Int, _ change: Change) {
        nodes[node]!.changes.append(change)
        switch change {
        case .write(let offset, let bytes): nodes[node]!.size = nodes[node]!.size.map { max($0, offset + bytes.count) }
        case .truncate(let size): nodes[node]!.size = size
        }
    }

    /// The file holds these bytes now, whoever wrote them; they are not durable.
    mutating func replaceContent(_ node: Int, with bytes: [UInt8]) {
        nodes[node]!.doomed = 0
        nodes[node]!.changes = [.write(offset: 0, bytes: bytes), .truncate(size: bytes.count)]
        nodes[node]!.size = bytes.count
    }

    mutating func syncFile(_ node: Int) {
        let doomed = nodes[node]!.doomed
        let changes = nodes[node]!.changes
        for change in changes.dropFirst(doomed) { change.apply(to: &nodes[node]!.content) }
        nodes[node]!.changes.removeLast(changes.count - doomed)
    }

    /// The flush of a file failed: what it should have made durable may never be.
    mutating func failSync(_ node: Int) { nodes[node]!.doomed = nodes[node]!.changes.count }

    /// Changes of the directory's names become durable, with earlier ones of the same names in other directories.
    mutating func syncDirectory(_ directory: Int) {
        guard nameChanges.contains(where: { $0.effects.contains { $0.directory == directory } }) else { return }
        var wanted: Set<Key> = []
        var chosen = [Bool](repeating: false, count: nameChanges.count)
        for i in nameChanges.indices.reversed() {
            let effects = nameChanges[i].effects
            guard effects.contains(where: { $0.directory == directory || wanted.contains(Key($0)) }) else { continue }
            chosen[i] = true
            for effect in effects { wanted.insert(Key(effect)) }
        }
        for i in nameChanges.indices where chosen[i] { applyNames(nameChanges[i]) }
        nameChanges = zip(nameChanges, chosen).filter { !$1 }.map { $0.0 }
    }

    private struct Key: Hashable {
        var directory: Int, name: String
        init(_ effect: NameChange.Effect) { (directory, name) = (effect.directory, effect.name) }
    }

    private mutating func applyNames(_ change: NameChange) {
        for effect in change.effects { nodes[effect.directory]!.durableNames[effect.name] = effect.node }
    }

    // MARK: power cut

    /// How much of what is not durable a power cut takes with it.
    enum Loss: CaseIterable {
        /// All of it.
        case everything
        /// Changes of names up to one point in time, as a journalling file system keeps them; bytes as they come.
        case journal
        /// Each change by itself.
        case independent
    }

    /// Leaves what a power cut could have left. Everything that remains is durable.
    mutating func crash<R: RandomNumberGenerator>(_ random: inout R, loss: Loss) {
        switch loss {
        case .everything: break
        case .journal:
            for change in nameChanges.prefix(Int.random(in: 0...nameChanges.count, using: &random)) { applyNames(change) }
        case .independent:
            // Changes of one name keep their order: a later one survives only with those before it.
            var lost: Set<Key> = []
            for change in nameChanges {
                if Bool.random(using: &random), !change.effects.contains(where: { lost.contains(Key($0)) }) {
                    applyNames(change)
                } else {
                    for effect in change.effects { lost.insert(Key(effect)) }
                }
            }
        }
        nameChanges = []
        for id in reachable() where !nodes[id]!.isDirectory {
            if loss != .everything { Self.tear(&nodes[id]!, &random) }
            nodes[id]!.changes = []
            nodes[id]!.doomed = 0
            nodes[id]!.size = nodes[id]!.content.count
        }
        let kept = Set(reachable())
        nodes = nodes.filter { kept.contains($0.key) }
        for id in kept where nodes[id]!.isDirectory { nodes[id]!.names = nodes[id]!.durableNames }
    }

    /// Nodes that durable names lead to, in the order of their paths.
    private func reachable() -> [Int] {
        var result: [Int] = [], seen: Set<Int> = []
        func visit(_ id: Int) {
            guard seen.insert(id).inserted else { return }
            result.append(id)
            for (_, child) in nodes[id]!.durableNames.sorted(by: { $0.key < $1.key }) { visit(child) }
        }
        visit(Self.root)
        return result
    }

    private static let sector = 512

    private static func tear<R: RandomNumberGenerator>(_ node: inout Node, _ random: inout R) {
        // Most often a file is all there or all gone; the rest is torn.
        let mood = Int.random(in: 0..<4, using: &random)
        for change in node.changes {
            switch mood {
            case 0: return
            case 1: change.apply(to: &node.content)
            default: tear(change, into: &node.content, &random)
            }
        }
    }

    private static func tear<R: RandomNumberGenerator>(_ change: Change, into content: inout [UInt8], _ random: inout R) {
        guard case .write(let offset, let bytes) = change, !bytes.isEmpty else {
            if Bool.random(using: &random) { change.apply(to: &content) }
            return
        }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: break
        case 1, 2: change.apply(to: &content)
        case 3:
            let kept = Int.random(in: 0..<bytes.count, using: &random)
            Change.write(offset: offset, bytes: Array(bytes[..<kept])).apply(to: &content)
        case 4:
            // Sectors of the disk reach it one by one, in any order.
            var at = 0
            while at < bytes.count {
                let end = min(bytes.count, (offset + at) / sector * sector + sector - offset)
                if Bool.random(using: &random) { Change.write(offset: offset + at, bytes: Array(bytes[at..<end])).apply(to: &content) }
                at = end
            }
        default:
            // The new size was written, the bytes were not.
            let end = offset + bytes.count
            if content.count < end { content += [UInt8](repeating: 0, count: end - content.count) }
        }
    }
}
