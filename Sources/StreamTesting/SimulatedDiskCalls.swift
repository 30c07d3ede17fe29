import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension SimulatedDisk {
    /// The real directory together with the model of what of it is durable.
    struct State: Sendable {
        struct Descriptor: Sendable {
            var node: Int?
            /// For messages.
            var path: String
            var life: Int
        }

        let root: String
        var tree = DurableTree()
        /// Nodes by the numbers that the real file system gave them.
        var nodes: [UInt64: Int] = [:]
        var descriptors: [Int32: Descriptor] = [:]
        var life = 0
        var faults = DiskFaults()
        var freeBytes: Int?
        var chance: SeededRandom
        var ids: SeededRandom
        var calls = 0
        var injectedFaults = 0
        var fileSyncs = 0
        var cutAt: Int?
        var isPowerless = false
        var observer: (@Sendable (String) -> Void)?
        /// What the call that is under way takes.
        var pause = Duration.zero

        init(root: String, seed: UInt64) {
            self.root = root
            chance = SeededRandom(seed ^ 0xD15C)
            ids = SeededRandom(seed ^ 0x1D5)
            nodes[SystemCalls.status(of: root)!.number] = DurableTree.root
        }

        // MARK: names

        /// A name in a directory of the disk.
        struct Place {
            var directory: Int
            var name: String
            /// The real path.
            var path: String
            /// What has the name now.
            var node: Int?
        }

        private enum Found {
            case root
            case place(Place)
            /// Not on this disk.
            case outside
            /// A directory on the way is missing.
            case missing
        }

        private mutating func find(_ path: String) -> Found {
            guard path.utf8.starts(with: root.utf8) else { return .outside }
            let rest = path.utf8.dropFirst(root.utf8.count)
            guard rest.isEmpty || rest.first == 0x2F else { return .outside }
            var parts: [Substring] = []
            for part in Substring(rest).split(separator: "/") where part != "." {
                if part == ".." { _ = parts.popLast() } else { parts.append(part) }
            }
            guard let last = parts.popLast() else { return .root }
            var directory = DurableTree.root, real = root
            for part in parts {
                real += "/" + part
                guard let next = sight(directory, String(part), real), tree.nodes[next]!.isDirectory else { return .missing }
                directory = next
            }
            real += "/" + last
            return .place(Place(directory: directory, name: String(last), path: real, node: sight(directory, String(last), real)))
        }

        /// What is there under a name, with changes that others made noticed.
        private mutating func sight(_ directory: Int, _ name: String, _ path: String) -> Int? {
            let known = tree.nodes[directory]!.names[name]
            guard let status = SystemCalls.status(of: path) else {
                if known != nil { setName(directory, name, nil) }
                return nil
            }
            if let known, nodes[status.number] == known { return known }
            let node = nodes[status.number] ?? {
                let node = tree.add(isDirectory: status.isDirectory, size: nil)
                nodes[status.number] = node
                return node
            }()
            setName(directory, name, node)
            return node
        }

        private mutating func setName(_ directory: Int, _ name: String, _ node: Int?) {
            tree.setNames([.init(directory: directory, name: name, node: node)])
        }

        /// The place that a changing call names; sets `errno` when it names none.
        private mutating func place(_ path: String) -> Place? {
            switch find(path) {
            case .place(let place): return place
            case .missing: errno = ENOENT
            case .root: errno = EBUSY
            case .outside: errno = EACCES
            }
            return nil
        }

        /// Counts a changing call; false when the power fails at it.
        private mutating func begin(_ call: String, _ path: String, _ detail: @autoclosure () -> String = "") -> Bool {
            if let cutAt, calls >= cutAt {
                isPowerless = true
                errno = EIO
                return false
            }
            calls += 1
            if let observer { observer("\(calls) \(call) \(short(path)) \(short(detail()))") }
            return true
        }

        private func short(_ path: String) -> String { path.hasPrefix(root) ? String(path.dropFirst(root.count + 1)) : path }

        private mutating func happens(oneIn n: Int) -> Bool { n > 0 && Int.random(in: 0..<n, using: &chance) == 0 }

        private mutating func isFull() -> Bool {
            guard let freeBytes, freeBytes <= 0 else { return false }
            injectedFaults += 1
            errno = ENOSPC
            return true
        }

        // MARK: calls

        mutating func open(_ path: String, _ flags: Int32, _ mode: UInt32) -> Int32 {
            let changes = flags & (O_CREAT | O_TRUNC) != 0
            var node: Int?
            switch find(path) {
            case .root: node = DurableTree.root
            case .place(var place):
                let isNew = place.node == nil && flags & O_CREAT != 0
                if changes, isNew || flags & O_TRUNC != 0, !begin("open", path) { return -1 }
                if isNew, isFull() { return -1 }
                let fd = SystemCalls.open(place.path, flags, mode)
                guard fd >= 0 else { return fd }
                if isNew {
                    place.node = tree.add(isDirectory: false)
                    nodes[SystemCalls.status(of: fd)!.number] = place.node
                    setName(place.directory, place.name, place.node)
                } else if flags & O_TRUNC != 0 {
                    tree.change(place.node!, .truncate(size: 0))
                }
                descriptors[fd] = Descriptor(node: place.node, path: path, life: life)
                return fd
            case .missing:
                errno = ENOENT
                return -1
            case .outside:
                if changes || flags & O_ACCMODE != O_RDONLY {
                    errno = EACCES
                    return -1
                }
            }
            let fd = SystemCalls.open(path, flags, mode)
            if fd >= 0 { descriptors[fd] = Descriptor(node: node, path: path, life: life) }
            return fd
        }

        mutating func close(_ fd: Int32) -> Int32 {
            guard descriptors.removeValue(forKey: fd) != nil else {
                errno = EBADF
                return -1
            }
            return SystemCalls.close(fd)
        }

        private func node(of fd: Int32) -> Int? {
            guard let descriptor = descriptors[fd], descriptor.life == life, let node = descriptor.node else {
                errno = EBADF
                return nil
            }
            return node
        }

        mutating func write(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int {
            guard let node = node(of: fd) else { return -1 }
            guard begin("write", descriptors[fd]!.path, "\(offset)+\(bytes.count)") else { return -1 }
            if happens(oneIn: faults.failingWrites) {
                injectedFaults += 1
                errno = EIO
                return -1
            }
            var count = bytes.count
            if count > 1, happens(oneIn: faults.shortWrites) { count = Int.random(in: 1..<count, using: &chance) }
            let size = SystemCalls.status(of: fd)!.size
            if let free = freeBytes, offset + count > size {
                count = max(0, min(count, size + max(free, 0) - offset))
                if count == 0, !bytes.isEmpty {
                    injectedFaults += 1
                    errno = ENOSPC
                    return -1
                }
                freeBytes = free - max(0, offset + count - size)
            }
            let written = Host.system.write(fd, bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, count, offset)
            guard written > 0 else { return written }
            tree.change(node, .write(offset: offset, bytes: Array(bytes[..<written])))
            return written
        }

        mutating func truncate(_ fd: Int32, _ size: Int) -> Int32 {
            guard let node = node(of: fd), begin("truncate", descriptors[fd]!.path, "\(size)") else { return -1 }
            let result = Host.system.truncate(fd, size)
            if result == 0 { tree.change(node, .truncate(size: size)) }
            return result
        }

        mutating func sync(_ fd: Int32) -> Int32 {
            guard let descriptor = descriptors[fd], descriptor.life == life else {
                errno = EBADF
                return -1
            }
            guard let node = descriptor.node else { return 0 }
            guard begin("sync", descriptor.path) else { return -1 }
            let latency = faults.syncLatency
            if latency.upperBound > .zero {
                pause = .nanoseconds(Int64.random(in: Int64(latency.lowerBound / .nanoseconds(1))...Int64(latency.upperBound / .nanoseconds(1)), using: &chance))
            }
            if tree.nodes[node]!.isDirectory {
                noticeNames(node, path: descriptor.path)
                tree.syncDirectory(node)
                return 0
            }
            fileSyncs += 1
            if faults.lostSyncs.contains(fileSyncs - 1) { return 0 }
            noticeContent(node, of: fd)
            if happens(oneIn: faults.failingSyncs) {
                injectedFaults += 1
                tree.failSync(node)
                errno = EIO
                return -1
            }
            tree.syncFile(node)
            return 0
        }

        /// Takes the bytes that others wrote to a file into the model.
        private mutating func noticeContent(_ node: Int, of fd: Int32) {
            guard let size = SystemCalls.status(of: fd)?.size, size != tree.nodes[node]!.size else { return }
            // The descriptor may be one for writing only.
            var bytes = [UInt8](repeating: 0, count: size)
            if bytes.withUnsafeMutableBytes({ pread(fd, $0.baseAddress, size, 0) }) != size {
                guard let read = try? Host.read(descriptors[fd]!.path), read.count == size else { return }
                bytes = read
            }
            tree.replaceContent(node, with: bytes)
        }

        /// Takes names that others made or removed into the model.
        private mutating func noticeNames(_ directory: Int, path: String) {
            let names = Set((try? Host.names(in: path)) ?? [])
            for name in names.union(tree.nodes[directory]!.names.keys).sorted() { _ = sight(directory, name, path + "/" + name) }
        }

        mutating func rename(_ from: String, _ to: String) -> Int32 {
            guard let source = place(from), let target = place(to) else { return -1 }
            guard begin("rename", from, to) else { return -1 }
            let replaced = SystemCalls.status(of: target.path)
            let result = Host.system.rename(source.path, target.path)
            guard result == 0, let node = source.node, source.node != target.node else { return result }
            if let replaced, replaced.isDirectory || replaced.st_nlink == 1 { nodes[replaced.number] = nil }
            tree.setNames([
                .init(directory: source.directory, name: source.name, node: nil),
                .init(directory: target.directory, name: target.name, node: node),
            ])
            return result
        }

        mutating func link(_ from: String, _ to: String) -> Int32 {
            guard let source = place(from), let target = place(to) else { return -1 }
            guard begin("link", from, to) else { return -1 }
            if isFull() { return -1 }
            let result = Host.system.link(source.path, target.path)
            if result == 0 { setName(target.directory, target.name, source.node) }
            return result
        }

        mutating func unlink(_ path: String) -> Int32 {
            guard let place = place(path), begin("unlink", path) else { return -1 }
            return removeName(place, Host.system.unlink)
        }

        mutating func mkdir(_ path: String, _ mode: UInt32) -> Int32 {
            if case .root = find(path) {
                errno = EEXIST
                return -1
            }
            guard let place = place(path), begin("mkdir", path) else { return -1 }
            if place.node == nil, isFull() { return -1 }
            let result = Host.system.mkdir(place.path, mode)
            if result == 0 {
                let node = tree.add(isDirectory: true)
                nodes[SystemCalls.status(of: place.path)!.number] = node
                setName(place.directory, place.name, node)
            }
            return result
        }

        mutating func rmdir(_ path: String) -> Int32 {
            guard let place = place(path), begin("rmdir", path) else { return -1 }
            return removeName(place, Host.system.rmdir)
        }

        private mutating func removeName(_ place: Place, _ remove: (String) -> Int32) -> Int32 {
            let removed = SystemCalls.status(of: place.path)
            let result = remove(place.path)
            guard result == 0 else { return result }
            setName(place.directory, place.name, nil)
            // The number of a file that ends with its last name may be used again.
            if let removed, removed.isDirectory || removed.st_nlink == 1 { nodes[removed.number] = nil }
            return result
        }

        // MARK: ends

        /// Descriptors stay taken until those who hold them close them, but lead nowhere and hold no lock.
        mutating func endLife() {
            life += 1
            cutAt = nil
            isPowerless = false
            let nowhere = SystemCalls.open("/dev/null", O_RDONLY, 0)
            guard nowhere >= 0 else { return }
            for (fd, descriptor) in descriptors where descriptor.life == life - 1 { dup2(nowhere, fd) }
            _ = SystemCalls.close(nowhere)
        }

        mutating func crash<R: RandomNumberGenerator>(_ random: inout R, loss: DurableTree.Loss, scratch: String) throws {
            noticeAll(DurableTree.root, path: root)
            endLife()
            let before = tree, oldPaths = paths(in: before)
            tree.crash(&random, loss: loss)
            let old = scratch + "/before-\(life)"
            guard Host.system.rename(root, old) == 0, Host.system.mkdir(root, 0o755) == 0 else { throw Host.failure("rename", root) }
            nodes = [SystemCalls.status(of: root)!.number: DurableTree.root]
            var built: [Int: String] = [:]
            try build(DurableTree.root, at: root, from: before, oldPaths: oldPaths, old: old, built: &built)
            try Host.system.removeTree(old)
        }

        /// Where each node has its first name now, below the root.
        private func paths(in tree: DurableTree) -> [Int: String] {
            var result: [Int: String] = [:]
            func visit(_ id: Int, _ path: String) {
                guard result[id] == nil else { return }
                result[id] = path
                for (name, child) in tree.nodes[id]!.names.sorted(by: { $0.key < $1.key }) { visit(child, path + "/" + name) }
            }
            visit(DurableTree.root, "")
            return result
        }

        private mutating func noticeAll(_ directory: Int, path: String) {
            noticeNames(directory, path: path)
            for (name, child) in tree.nodes[directory]!.names.sorted(by: { $0.key < $1.key }) {
                let childPath = path + "/" + name
                if tree.nodes[child]!.isDirectory {
                    noticeAll(child, path: childPath)
                } else if let size = Host.size(of: childPath), size != tree.nodes[child]!.size, let bytes = try? Host.read(childPath) {
                    tree.replaceContent(child, with: bytes)
                }
            }
        }

        /// Makes the real directory what the model says.
        private mutating func build(_ directory: Int, at path: String, from before: DurableTree, oldPaths: [Int: String], old: String,
                                    built: inout [Int: String]) throws {
            for (name, child) in tree.nodes[directory]!.names.sorted(by: { $0.key < $1.key }) {
                let childPath = path + "/" + name
                if tree.nodes[child]!.isDirectory {
                    guard Host.system.mkdir(childPath, 0o755) == 0 else { throw Host.failure("create directory", childPath) }
                    nodes[SystemCalls.status(of: childPath)!.number] = child
                    try build(child, at: childPath, from: before, oldPaths: oldPaths, old: old, built: &built)
                    continue
                }
                if let first = built[child] {
                    guard Host.system.link(first, childPath) == 0 else { throw Host.failure("link", childPath) }
                    continue
                }
                built[child] = childPath
                let isUntouched = before.nodes[child]!.changes.isEmpty
                if !isUntouched || oldPaths[child] == nil || Host.system.rename(old + oldPaths[child]!, childPath) != 0 {
                    try write(tree.nodes[child]!.content, to: childPath)
                }
                nodes[SystemCalls.status(of: childPath)!.number] = child
            }
        }

        private func write(_ bytes: [UInt8], to path: String) throws {
            let fd = SystemCalls.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
            guard fd >= 0 else { throw Host.failure("create", path) }
            defer { _ = SystemCalls.close(fd) }
            try bytes.withUnsafeBytes { try Host.system.writeAll(fd, $0, at: 0, path: path) }
        }
    }
}
