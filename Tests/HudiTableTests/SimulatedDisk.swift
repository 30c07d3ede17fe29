import Foundation
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A host for one folder that can die at any of its calls, and whose power can be cut: then names that no folder was flushed
/// after, and bytes that no file was flushed after, are there or not, as the seed has it. Its clock moves with its calls.
///
/// The files are real ones, so that they can be read past it.
final class SimulatedDisk: Sendable {
    let root: String
    private let state: Mutex<State>

    private struct Node {
        var isFolder: Bool
        /// What survives: bytes of a file as of its last flush, names in a folder as of its.
        var flushedBytes: [UInt8] = []
        var flushedNames: [String: Int] = [:]
        var names: [String: Int] = [:]
    }

    private struct State {
        var random: SeededGenerator
        var now: Int64 = 1_767_225_600_000
        var calls = 0
        var dieAt: Int?
        var isDead = false
        var nodes: [Node] = [Node(isFolder: true)]
        var open: [Int32: String] = [:]
        var trace = UInt64(0)
    }

    /// - Parameter root: an empty folder.
    init(_ root: String, seed: UInt64) {
        self.root = root
        state = Mutex(State(random: SeededGenerator(seed)))
    }

    /// Calls so far.
    var calls: Int { state.withLock { $0.calls } }
    var isDead: Bool { state.withLock { $0.isDead } }
    /// A number that depends on all calls so far and on their order.
    var trace: UInt64 { state.withLock { $0.trace } }

    /// The call after the next `calls` ones fails, and so do all after it. It may still have taken effect.
    func die(after calls: Int) { state.withLock { $0.dieAt = $0.calls + calls } }

    /// The process is started again.
    /// - Parameter powerCut: the machine was, too.
    func revive(powerCut: Bool) throws {
        try state.withLock { state in
            (state.isDead, state.dieAt) = (false, nil)
            if powerCut { try Self.cutPower(&state, root) }
        }
    }

    // MARK: Calls

    private static let failed: Int32 = -1

    /// One call that changes something.
    private func step(_ name: String, _ path: String, _ effect: (inout State) -> Int32) -> Int32 {
        state.withLock { state in
            state.calls += 1
            for byte in (name + path).utf8 { state.trace = (state.trace ^ UInt64(byte)) &* 0x100_0000_01B3 }
            let dies = state.calls == state.dieAt
            if state.isDead || dies && state.random.next() & 1 == 0 {
                state.isDead = true
                errno = EIO
                return Self.failed
            }
            let result = effect(&state)
            if dies {
                state.isDead = true
                errno = EIO
                return Self.failed
            }
            return result
        }
    }

    private func node(_ path: String, _ state: State) -> Int? {
        guard path.hasPrefix(root) else { return nil }
        var at = 0
        for part in path.dropFirst(root.count).split(separator: "/") {
            guard let next = state.nodes[at].names[String(part)] else { return nil }
            at = next
        }
        return at
    }

    private func parent(_ path: String, _ state: State) -> (folder: Int, name: String)? {
        node(StreamCore.Host.parent(of: path), state).map { ($0, String(path[path.index(after: path.lastIndex(of: "/")!)...])) }
    }

    var host: StreamCore.Host {
        let system = StreamCore.Host.system
        return StreamCore.Host(
            open: { path, flags, mode in
                if flags & O_CREAT == 0 {
                    let fd = system.open(path, flags, mode)
                    self.state.withLock { $0.open[fd] = path }
                    return fd
                }
                return self.step("open", path) { state in
                    let fd = system.open(path, flags, mode)
                    guard fd >= 0 else { return fd }
                    if self.node(path, state) == nil, let (folder, name) = self.parent(path, state) {
                        state.nodes[folder].names[name] = state.nodes.count
                        state.nodes.append(Node(isFolder: false))
                    }
                    state.open[fd] = path
                    return fd
                }
            },
            close: { fd in
                self.state.withLock { $0.open[fd] = nil }
                return system.close(fd)
            },
            write: { fd, bytes, count, offset in
                // Sometimes less is written than was asked for.
                let part = self.state.withLock { count > 1 && $0.random.next() % 8 == 0 ? count / 2 : count }
                let done = self.step("write", "") { _ in Int32(system.write(fd, bytes, part, offset)) }
                return Int(done)
            },
            sync: { fd in
                let path = self.state.withLock { $0.open[fd] ?? "" }
                return self.step("sync", path) { state in
                    guard let at = self.node(path, state) else { return 0 }
                    if state.nodes[at].isFolder {
                        state.nodes[at].flushedNames = state.nodes[at].names
                    } else {
                        state.nodes[at].flushedBytes = (try? StreamCore.Host.read(path)) ?? []
                    }
                    return 0
                }
            },
            truncate: { fd, size in self.step("truncate", "") { _ in system.truncate(fd, size) } },
            rename: { from, to in
                self.step("rename", to) { state in
                    let result = system.rename(from, to)
                    if result == 0, let at = self.node(from, state), let (old, oldName) = self.parent(from, state), let (new, newName) = self.parent(to, state) {
                        state.nodes[old].names[oldName] = nil
                        state.nodes[new].names[newName] = at
                    }
                    return result
                }
            },
            link: { from, to in
                self.step("link", to) { state in
                    let result = system.link(from, to)
                    if result == 0, let at = self.node(from, state), let (folder, name) = self.parent(to, state) { state.nodes[folder].names[name] = at }
                    return result
                }
            },
            unlink: { path in
                self.step("unlink", path) { state in
                    let result = system.unlink(path)
                    if result == 0, let (folder, name) = self.parent(path, state) { state.nodes[folder].names[name] = nil }
                    return result
                }
            },
            mkdir: { path, mode in
                self.step("mkdir", path) { state in
                    let result = system.mkdir(path, mode)
                    if result == 0, let (folder, name) = self.parent(path, state) {
                        state.nodes[folder].names[name] = state.nodes.count
                        state.nodes.append(Node(isFolder: true))
                    }
                    return result
                }
            },
            rmdir: { path in
                self.step("rmdir", path) { state in
                    let result = system.rmdir(path)
                    if result == 0, let (folder, name) = self.parent(path, state) { state.nodes[folder].names[name] = nil }
                    return result
                }
            },
            now: {
                self.state.withLock { state in
                    state.now += Int64(state.random.next() % 3)
                    return state.now
                }
            },
            randomBits: { self.state.withLock { $0.random.next() } })
    }

    // MARK: Power

    private enum Left {
        case folder([(name: String, Left)])
        case file([UInt8])
    }

    private static func cutPower(_ state: inout State, _ root: String) throws {
        let left = try left(0, root, &state)
        for name in try StreamCore.Host.names(in: root) { try FileManager.default.removeItem(atPath: root + "/" + name) }
        state.nodes = []
        try write(left, root, &state)
    }

    /// - Parameter path: where the node is now; nil when it has been deleted, and the deletion is being lost.
    private static func left(_ at: Int, _ path: String?, _ state: inout State) throws -> Left {
        let node = state.nodes[at]
        guard node.isFolder else {
            let now = try path.map { try StreamCore.Host.read($0) }
            guard let now, now != node.flushedBytes else { return .file(node.flushedBytes) }
            // Whatever the disk got round to.
            switch state.random.next() % 3 {
            case 0: return .file(node.flushedBytes)
            case 1: return .file(now)
            default: return .file(Array(now.prefix(Int(state.random.next() % UInt64(now.count + 1)))))
            }
        }
        var children: [(name: String, Left)] = []
        for name in Set(node.names.keys).union(node.flushedNames.keys).sorted() {
            var chosen = node.flushedNames[name]
            if node.names[name] != chosen, state.random.next() & 1 == 0 { chosen = node.names[name] }
            guard let chosen else { continue }
            children.append((name, try left(chosen, node.names[name] == chosen ? path.map { $0 + "/" + name } : nil, &state)))
        }
        return .folder(children)
    }

    /// What is on a disk after a power cut stays there.
    @discardableResult
    private static func write(_ left: Left, _ path: String, _ state: inout State) throws -> Int {
        let at = state.nodes.count
        switch left {
        case .file(let bytes):
            state.nodes.append(Node(isFolder: false, flushedBytes: bytes))
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        case .folder(let children):
            state.nodes.append(Node(isFolder: true))
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (name, child) in children { state.nodes[at].names[name] = try write(child, path + "/" + name, &state) }
            state.nodes[at].flushedNames = state.nodes[at].names
        }
        return at
    }
}
