import Foundation
import JobControl
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import Synchronization
import Topology

/// Runs topologies, each in a process of its own, and keeps them running.
///
/// All that is wanted is in ``ServiceStore`` before it is done: a daemon that is killed at any instant goes on with it.
package final class Service: Sendable {
    package struct Options: Sendable {
        /// The program that is started for a topology; nil = this one.
        package var executable: String?
        /// How long a new version must run without a failure to count as healthy, when it completes no checkpoint before.
        package var healthSeconds = 2.0
        /// How long a new version has to come up.
        package var startSeconds = 60.0
        /// After that a process that does not end is killed.
        package var stopSeconds = 60.0
        package var log: @Sendable (String) -> Void = { _ in }

        package init() {}
    }

    let context: ServiceContext
    private let options: Options
    private let hosts = Mutex([String: TopologyHost]())
    package let startedAt = Clock.milliseconds()
    package var store: ServiceStore { context.store }

    /// Finds the processes that still run, and starts those that should.
    ///
    /// - Parameter data: directory of streams, checkpoints and savepoints; the daemon's own is in it.
    /// - Throws: `.conflict` when another daemon looks after the directory; errors of the store.
    package init(data: String, options: Options = Options()) throws {
        let directory = data + "/service"
        try Host.system.createDirectories(directory)
        let absolute = LocalSocket.realPath(data)
        lock = try Self.lock(directory)
        context = ServiceContext(
            data: absolute, directory: absolute + "/service", executable: options.executable ?? ChildProgram.path,
            store: try ServiceStore(path: directory + "/service.sqlite"), log: options.log, groups: ControlGroups.delegated(), healthSeconds: options.healthSeconds, stopSeconds: options.stopSeconds)
        self.options = options
        for topology in try context.store.topologies() {
            let host = try TopologyHost(topology, context)
            hosts.withLock { $0[topology.name] = host }
            host.supervise()
            guard topology.desired == .stopped, host.folder.isAlive else { continue }
            Background.run { [context] in
                do { _ = try host.exclusively { try host.stop(.checkpoint) } } catch { context.log("error: topology \(host.name), which should not run, is not stopped: \(error)") }
            }
        }
    }

    private let lock: Int32

    private static func lock(_ directory: String) throws -> Int32 {
        let path = directory + "/daemon.lock"
        let fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw Host.failure("open", path) }
        guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
            Foundation.close(fd)
            throw StreamError(.conflict, "another swiftwater serve looks after \(directory)", fix: "end it, or use another --data directory")
        }
        return fd
    }

    /// Ends the daemon's part.
    /// - Parameter leavingJobs: their processes go on, and are found again by the next daemon.
    package func close(leavingJobs: Bool) {
        let all = hosts.withLock { Array($0.values) }
        DispatchQueue.concurrentPerform(iterations: all.count) { all[$0].close(leavingProcess: leavingJobs) }
        flock(lock, LOCK_UN)
        Foundation.close(lock)
    }

    // MARK: Looking

    var all: [TopologyHost] { hosts.withLock { $0.values.sorted { $0.name < $1.name } } }

    func host(_ name: String) throws -> TopologyHost {
        if let host = hosts.withLock({ $0[name] }) { return host }
        let near = NearName.nearest(to: name, in: hosts.withLock { Array($0.keys) })
        throw StreamError(.validate, "there is no topology '\(name)'", fix: near.map { "write \"\($0)\"" } ?? "swiftwater list shows what is deployed; deploy one with swiftwater deploy FILE")
            .notFound
    }

    /// Directories of the jobs that run, where their sockets are.
    package var jobDirectories: [String] { all.filter { $0.folder.isAlive }.flatMap { $0.folder.jobs.map(\.directory) } }

    // MARK: Deploying

    /// What became of a deployment.
    package struct Deployment: Sendable {
        package var name: String
        package var version: Int
        package var isNew: Bool
        package var isUnchanged = false
        package var savepoint: String?
    }

    /// Runs a topology, or a new version of one that is there: stopped with a savepoint, started from it, and put back when the new
    /// version does not come up.
    ///
    /// - Throws: what is wrong with the text or its options; why the new version did not come up, and what runs now.
    package func deploy(_ name: String, kind: DeployedTopology.Kind, text: String, options: DeployOptions) throws -> Deployment {
        let parsed = try parse(name, kind, text, options)
        let host = try hosts.withLock { hosts -> TopologyHost? in
            if let known = hosts[name] { return known }
            return nil
        } ?? create(name, kind, text, options)
        return try host.exclusively {
            let state = host.snapshot
            if state.topology.version == 0 { return try first(host, state.topology) }
            return try update(host, state, kind, text, options, hasState: parsed.replications.isEmpty)
        }
    }

    private func parse(_ name: String, _ kind: DeployedTopology.Kind, _ text: String, _ options: DeployOptions) throws -> Topology {
        guard !name.isEmpty, name.utf8.count <= 200, !name.contains(where: { $0.isNewline || $0 == "/" }), !name.hasPrefix(".") else {
            throw StreamError(.validate, "'\(name)' cannot be the name of a topology", fix: "use letters, digits, - and _")
        }
        let variables = ProcessInfo.processInfo.environment.merging(["SWIFTWATER_DATA": context.data]) { $1 }.merging(options.variables) { $1 }
        let file = name + "." + kind.rawValue
        let topology = kind == .yaml ? try Topology.parse(yaml: text, file: file, variables: variables) : try Topology.parse(sql: text, file: file, variables: variables)
        guard topology.name == name else {
            throw StreamError(.validate, "the file says that its name is '\(topology.name)', but it is deployed as '\(name)'", fix: "deploy it as \(topology.name), or change its name")
        }
        return topology
    }

    /// The topology of a text that is deployed.
    func parsed(_ t: DeployedTopology) throws -> Topology { try parse(t.name, t.kind, t.text, t.options) }

    private func create(_ name: String, _ kind: DeployedTopology.Kind, _ text: String, _ options: DeployOptions) throws -> TopologyHost {
        let topology = DeployedTopology(name: name, kind: kind, text: text, version: 0, options: options, desired: .stopped, startFrom: nil,
                                        deployedAt: Clock.milliseconds(), ending: nil, error: nil)
        let host = try TopologyHost(topology, context)
        return hosts.withLock { hosts in
            if let known = hosts[name] { return known }
            hosts[name] = host
            return host
        }
    }

    private func first(_ host: TopologyHost, _ topology: DeployedTopology) throws -> Deployment {
        var topology = topology
        topology.version = 1
        topology.deployedAt = Clock.milliseconds()
        let ends = host.snapshot.ends
        try Host.system.remove(host.folder.directory + "/v1." + topology.kind.rawValue)
        try host.folder.forgetEnd()
        try context.store.save(topology)
        try host.begin(topology)
        host.supervise()
        do {
            try host.waitUntilHealthy(seconds: options.startSeconds, after: ends)
        } catch let error as StreamError where [.parse, .validate, .plan].contains(error.code) {
            // It has never run: there is nothing to keep.
            forget(host)
            throw error
        } catch {
            context.note(host.name, "unhealthy", "version 1 has not come up: \(error)")
            guard var error = error as? StreamError else { throw error }
            error.problem += "; it is tried again until it is stopped or removed"
            throw error
        }
        context.note(host.name, "deployed", "version 1 runs")
        return Deployment(name: host.name, version: 1, isNew: true)
    }

    private func update(_ host: TopologyHost, _ state: TopologyHost.State, _ kind: DeployedTopology.Kind, _ text: String, _ options: DeployOptions,
                        hasState: Bool) throws -> Deployment {
        let old = state.topology
        if old.kind == kind, old.text == text, old.options == options, host.folder.isAlive {
            return Deployment(name: host.name, version: old.version, isNew: false, isUnchanged: true)
        }
        try validate(host.name, kind, text, options)
        let wasAlive = host.folder.isAlive
        let savepoint = wasAlive ? try host.stop(hasState ? .savepoint(directory: nil, drain: false) : .checkpoint, isWanted: true) : nil
        var new = old
        (new.kind, new.text, new.options) = (kind, text, options)
        new.version = try context.store.lastVersion(host.name) + 1
        new.startFrom = savepoint ?? old.startFrom
        new.deployedAt = Clock.milliseconds()
        let ends = host.snapshot.ends
        try host.begin(new)
        do {
            try host.waitUntilHealthy(seconds: self.options.startSeconds, after: ends)
        } catch {
            try rollBack(host, to: old, from: new.startFrom, wasAlive: wasAlive, because: error, failed: new.version)
        }
        context.note(host.name, "deployed", "version \(new.version) runs" + (savepoint.map { ", from savepoint \($0)" } ?? ""))
        return Deployment(name: host.name, version: new.version, isNew: false, savepoint: savepoint)
    }

    private func rollBack(_ host: TopologyHost, to old: DeployedTopology, from savepoint: String?, wasAlive: Bool, because error: any Error, failed: Int) throws -> Never {
        // What a checkpoint of the new version has committed would come twice from the savepoint.
        if let savepoint, host.folder.jobs.contains(where: { JobHome.hasGoneOn($0.directory, from: savepoint) }) {
            let known = error as? StreamError
            let problem = "version \(failed) of \(host.name) has completed a checkpoint and then failed; it is not put back, and tried again: \(known?.placedProblem ?? "\(error)")"
            context.note(host.name, "unhealthy", problem)
            throw StreamError(known?.code ?? .runtime, problem, fix: known?.fix ?? "deploy a version that runs; it goes on from that checkpoint")
        }
        try host.stop(.cancel, isWanted: true)
        var back = old
        back.startFrom = savepoint
        var outcome = "version \(old.version) is stopped, as it was"
        if wasAlive {
            let ends = host.snapshot.ends
            try host.begin(back)
            do {
                try host.waitUntilHealthy(seconds: options.startSeconds, after: ends)
                outcome = "version \(old.version) runs again"
            } catch {
                outcome = "version \(old.version) is started again, and has not come up yet: \(error)"
            }
        } else {
            host.keepStopped(back)
        }
        let known = error as? StreamError
        let problem = "version \(failed) of \(host.name) did not come up: \(known?.placedProblem ?? "\(error)"); \(outcome)"
        context.note(host.name, "rolled back", problem)
        throw StreamError(known?.code ?? .runtime, problem, fix: known?.fix)
    }

    /// Has a process plan all of it: types, options, connectors.
    private func validate(_ name: String, _ kind: DeployedTopology.Kind, _ text: String, _ options: DeployOptions) throws {
        let directory = context.directory + "/checks"
        try Host.system.createDirectories(directory)
        let id = Host.system.uuid(), file = "\(directory)/\(id).\(kind.rawValue)", log = "\(directory)/\(id).log"
        try Host.system.replaceFile(file, Array(text.utf8))
        defer {
            try? Host.system.remove(file)
            try? Host.system.remove(log)
        }
        let pid = try ChildProcess.spawn(context.executable, ["validate", file, "--data", context.data], log: log, environment: options.variables)
        let limit = DispatchWorkItem { kill(pid, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 60, execute: limit)
        let exit = ChildProcess.wait(pid)
        limit.cancel()
        if case .signal? = exit { throw StreamError(.runtime, "the topology could not be planned within 60 s", fix: "check whether what it reads from answers") }
        guard case .code(0)? = exit else {
            let said = String(decoding: (try? Host.read(log)) ?? [], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
                .replacingOccurrences(of: file, with: "\(name).\(kind.rawValue)")
            let problem = said.hasPrefix("error: ") ? String(said.dropFirst(7)) : said
            throw StreamError(.validate, problem.isEmpty ? "the topology cannot be planned" : problem)
        }
    }

    private func forget(_ host: TopologyHost) {
        host.close(leavingProcess: false)
        hosts.withLock { $0[host.name] = nil }
        do { try context.store.remove(host.name) } catch { context.log("error: \(error)") }
    }

    // MARK: Changing

    package func start(_ name: String) throws {
        let host = try host(name)
        try host.exclusively {
            guard !host.folder.isAlive else { return }
            let state = host.snapshot
            try host.begin(state.topology)
            try host.waitUntilHealthy(seconds: options.startSeconds, after: state.ends)
            context.note(name, "started", "version \(state.topology.version) runs")
        }
    }

    /// - Returns: the savepoint.
    package func stop(_ name: String, savepoint: Bool, directory: String? = nil, drain: Bool = false) throws -> String? {
        let host = try host(name)
        return try host.exclusively {
            let path = try host.stop(savepoint ? .savepoint(directory: directory.map(LocalSocket.absolute), drain: drain) : .checkpoint)
            context.note(name, "stopped", "it is stopped" + (path.map { " with savepoint \($0)" } ?? ""))
            return path
        }
    }

    package func cancel(_ name: String) throws {
        let host = try host(name)
        try host.exclusively {
            try host.stop(.cancel)
            context.note(name, "canceled", "it was ended at once")
        }
    }

    package func restart(_ name: String) throws {
        let host = try host(name)
        try host.exclusively {
            try host.stop(.checkpoint, isWanted: true)
            let state = host.snapshot
            try host.begin(state.topology)
            try host.waitUntilHealthy(seconds: options.startSeconds, after: state.ends)
            context.note(name, "restarted", "version \(state.topology.version) runs again")
        }
    }

    package func savepoint(_ name: String, directory: String?) throws -> String {
        let host = try host(name)
        return try host.exclusively {
            guard host.folder.isAlive, let job = host.folder.jobs.last else {
                throw StreamError(.conflict, "topology \(name) does not run", fix: "start it with swiftwater start \(name)")
            }
            let request = ControlRequest(request: .savepoint, directory: directory.map(LocalSocket.absolute))
            guard let path = try JobFinder.ask(.init(name: job.name, directory: job.directory), request).path else {
                throw StreamError(.runtime, "job \(job.name) told of no savepoint")
            }
            context.note(name, "savepoint", "savepoint \(path)")
            return path
        }
    }

    package func rescale(_ name: String, parallelism: Int) throws -> Deployment {
        guard (1...1_024).contains(parallelism) else {
            throw StreamError(.validate, "the parallelism \(parallelism) is out of range", fix: "give a number from 1 to 1024")
        }
        let topology = try host(name).snapshot.topology
        var options = topology.options
        options.parallelism = parallelism
        return try deploy(name, kind: topology.kind, text: topology.text, options: options)
    }

    /// Stops it and forgets it; its checkpoints, savepoints and tables stay.
    package func remove(_ name: String) throws {
        let host = try host(name)
        try host.exclusively {
            try host.stop(.checkpoint)
            forget(host)
        }
        context.note(name, "removed", "it is not deployed any more; its checkpoints and savepoints stay")
    }
}

extension StreamError {
    /// What is asked for is not there: told apart by those who answer over HTTP.
    package var notFound: StreamError {
        var error = self
        error.systemError = ENOENT
        return error
    }
    package var isNotFound: Bool { code == .validate && systemError == ENOENT }
}
