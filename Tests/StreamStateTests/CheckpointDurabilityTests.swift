import StreamCore
import Synchronization
import Testing

@testable import StreamState

/// Follows what a power cut could take: contents of files and names in directories that were not flushed.
private final class DurabilityObserver: Sendable {
    private struct State {
        var paths: [Int32: String] = [:]
        var files: Set<String> = []
        /// Directory -> names added or removed in it.
        var names: [String: Set<String>] = [:]
        var durable: Set<String> = []
        var violations: [String] = []
        var manifests = 0
    }
    private let state = Mutex(State())

    var violations: [String] { state.withLock { $0.violations } }
    var unflushedNames: [String] { state.withLock { $0.names.values.flatMap { $0 } } }
    var manifests: Int { state.withLock { $0.manifests } }

    private func changed(_ path: String, _ state: inout State) { state.names[Host.parent(of: path), default: []].insert(path) }

    var host: Host {
        var host = Host.system
        let system = Host.system
        host.open = { path, flags, mode in
            let isNew = !Host.exists(path)
            let fd = system.open(path, flags, mode)
            self.state.withLock { state in
                if fd >= 0 { state.paths[fd] = path }
                if fd >= 0, isNew {
                    self.changed(path, &state)
                    state.files.insert(path)
                }
            }
            return fd
        }
        host.write = { fd, bytes, count, offset in
            self.state.withLock { state in if let path = state.paths[fd] { state.files.insert(path) } }
            return system.write(fd, bytes, count, offset)
        }
        host.sync = { fd in
            self.state.withLock { state in
                guard let path = state.paths[fd] else { return }
                state.files.remove(path)
                state.names[path] = nil
                state.durable.insert(path)
            }
            return system.sync(fd)
        }
        host.link = { from, to in
            self.state.withLock { state in
                self.changed(to, &state)
                if state.durable.contains(from) { state.durable.insert(to) } else { state.files.insert(to) }
            }
            return system.link(from, to)
        }
        host.mkdir = { path, mode in
            self.state.withLock { self.changed(path, &$0) }
            return system.mkdir(path, mode)
        }
        host.rename = { from, to in
            self.state.withLock { state in
                if to.hasSuffix("/manifest.json") {
                    state.manifests += 1
                    // A savepoint's own name becomes durable with its last one.
                    let names = state.names.values.joined().filter { $0 != from && !$0.hasSuffix(".incomplete") }
                    if !state.files.isEmpty || !names.isEmpty { state.violations.append("manifest before \(state.files) \(names)") }
                }
                state.names[Host.parent(of: from)]?.remove(from)
                self.changed(to, &state)
            }
            return system.rename(from, to)
        }
        host.unlink = { path in
            self.state.withLock { state in
                state.files.remove(path)
                // A removed name that comes back does no harm, but for that of a manifest.
                state.names[Host.parent(of: path)]?.remove(path)
                if path.hasSuffix("/manifest.json") { self.changed(path, &state) }
                else if let manifest = state.names.values.joined().first(where: { $0.hasSuffix("/manifest.json") }) {
                    state.violations.append("\(path) removed before the removal of \(manifest) is durable")
                }
            }
            return system.unlink(path)
        }
        host.rmdir = { path in
            self.state.withLock { state in
                state.names[path] = nil
                state.names[Host.parent(of: path)]?.remove(path)
            }
            return system.rmdir(path)
        }
        return host
    }
}

@Suite struct CheckpointDurabilityTests {
    @Test func everythingIsDurableBeforeTheManifestAndItsRemovalBeforeThatOfFiles() throws {
        let temporary = try TemporaryDirectory(), observer = DurabilityObserver()
        let job = SampleJob(scratch: temporary.path + "/work")
        // Stores are made and removed elsewhere.
        let storage = try CheckpointStorage(directory: temporary.path + "/job", host: observer.host, retained: 2)
        for n in 1...4 { _ = try job.take(n, in: storage) }
        try job.take(5, with: CheckpointStorage.beginSavepoint(5, in: temporary.path + "/savepoints", jobName: "j", host: observer.host))
        #expect(observer.unflushedNames.isEmpty)
        try storage.removeAll()
        #expect(observer.manifests == 5)
        #expect(observer.violations.isEmpty)
    }

    @Test func anotherRunInTheSameProcessTrustsNoVersions() throws {
        let temporary = try TemporaryDirectory()
        let job = SampleJob(scratch: temporary.path + "/work")
        let storage = try CheckpointStorage(directory: temporary.path + "/job")
        let before = try storage.begin(1)
        _ = try storage.newest { Issue.record("\($0)") }
        // Completed by what was left of the run before.
        try job.take(1, with: before)
        for n in 2...3 {
            let checkpoint = try job.take(n, in: storage)
            #expect(checkpoint.manifest.files.filter { $0.name.hasSuffix(".state") }.count == n - 1)
        }
    }
}
