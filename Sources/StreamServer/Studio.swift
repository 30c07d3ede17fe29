import Foundation
import JobControl
import StreamCore
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The notebooks of a directory for the page: each open one with a kernel process of its own once a cell has run.
package final class Studio: Sendable {
    package struct Options: Sendable {
        /// The program that is started as a kernel; nil = this one.
        package var executable: String?
        /// In front of the kernel's own arguments.
        package var arguments = ["notebook", "kernel"]
        /// A kernel without readers in which nothing runs is ended after that long.
        package var idleSeconds = 1_800.0
        /// Kernels at the same time; the one that is idle for longest gives way.
        package var kernelsMax = 8
        /// Readers that one user may have open, and all of them together.
        package var readersPerUser = 16, readersMax = 128
        package var log: @Sendable (String) -> Void = { _ in }

        package init() {}
    }

    let files: StudioFiles
    let options: Options
    private let data: String
    private let notebooks = Mutex([String: StudioNotebook]())
    private let starts = Mutex(())
    private let readers = Mutex([String: Int]())
    private let isClosed = Mutex(false)
    /// Of files that are only listed, by what tells their state.
    private let titles = Mutex([String: (stamp: StudioFiles.Stamp, title: String, cells: Int)]())

    /// - Parameters:
    ///   - directory: of the notebooks; what lies below it is found too.
    ///   - data: that of the daemon, for the kernels.
    /// - Throws: `.validate` when there is no such directory.
    package init(directory: String, data: String, options: Options = Options()) throws {
        files = try StudioFiles(directory)
        // Kernels work in the directories of their notebooks.
        (self.data, self.options) = (LocalSocket.absolute(data), options)
        // A kernel that ends while it is written to must not end the daemon.
        signal(SIGPIPE, SIG_IGN)
        Thread.detachNewThread { [weak self] in
            while true {
                for _ in 0..<10 {
                    usleep(500_000)
                    guard let self, !self.isClosed.withLock({ $0 }) else { return }
                }
                self?.sweep()
            }
        }
    }

    /// Ends all kernels; returns when they have ended.
    package func close() {
        isClosed.withLock { $0 = true }
        let kernels = starts.withLock { _ in
            notebooks.withLock { all in
                defer { all = [:] }
                return all.values.compactMap(\.kernel)
            }
        }
        for kernel in kernels { kernel.end(seconds: 1) }
        let limit = Clock.monotonicNanoseconds() + 4_000_000_000
        while kernels.contains(where: { !$0.hasEnded }), Clock.monotonicNanoseconds() < limit { usleep(10_000) }
        for kernel in kernels { kernel.kill() }
    }

    var hasEnded: Bool { isClosed.withLock { $0 } }

    // MARK: Notebooks

    func notebook(_ name: String) throws -> StudioNotebook {
        _ = try files.path(name)
        guard !hasEnded else { throw StreamError(.conflict, "the daemon ends", fix: "try again when it is up") }
        if let known = notebooks.withLock({ $0[name] }) { return known }
        let opened = try StudioNotebook(name, files) { [weak self] notebook in
            guard let self else { throw StreamError(.conflict, "the daemon ends", fix: "try again when it is up") }
            return try self.start(notebook)
        }
        return notebooks.withLock { all in
            if let known = all[name] { return known }
            all[name] = opened
            return opened
        }
    }

    func isOpen(_ name: String) -> StudioNotebook? { notebooks.withLock { $0[name] } }

    func summary(of entry: StudioFiles.Entry) -> (title: String, cells: Int, problem: String?) {
        do {
            if let stamp = try files.stamp(entry.name), let known = titles.withLock({ $0[entry.name] }), known.stamp == stamp { return (known.title, known.cells, nil) }
            let (bytes, stamp) = try files.read(entry.name)
            let document = try StudioDocument(bytes, name: entry.name)
            titles.withLock { titles in
                if titles.count > 5_000 { titles = [:] }
                titles[entry.name] = (stamp, document.title, document.cells.count)
            }
            return (document.title, document.cells.count, nil)
        } catch {
            return (entry.name, 0, (error as? StreamError)?.problem ?? "\(error)")
        }
    }

    // MARK: Kernels

    /// Starts a kernel; when there are as many as there may be, the one that is idle for longest ends.
    private func start(_ notebook: StudioNotebook) throws -> StudioKernel {
        try starts.withLock { _ in
            guard !hasEnded else { throw StreamError(.conflict, "the daemon ends", fix: "try again when it is up") }
            // One that was swept away meanwhile would keep a kernel that nobody ends.
            let isKnown = notebooks.withLock { all in
                if all[notebook.name] == nil { all[notebook.name] = notebook }
                return all[notebook.name] === notebook
            }
            guard isKnown else { throw StreamError(.conflict, "the notebook was opened anew", fix: "try again") }
            let others = notebooks.withLock { $0.values.filter { $0 !== notebook && $0.kernel != nil } }
            if others.count >= options.kernelsMax {
                guard let oldest = others.filter({ $0.isIdle(since: .max) }).min(by: { $0.lastUse < $1.lastUse }) else {
                    throw StreamError(.conflict, "\(others.count) kernels run, and all of them are looked at or busy: \(others.map(\.name).sorted().prefix(8).joined(separator: ", "))",
                                      fix: "close one of these pages and wait, or interrupt what runs there")
                }
                oldest.endKernel("ended to make room for \(notebook.name)")
            }
            let folder = files.root + "/" + notebook.name.split(separator: "/").dropLast().joined(separator: "/")
            let box = KernelBox()
            let kernel = try StudioKernel(
                executable: options.executable ?? ChildProgram.path, arguments: options.arguments + ["--data", data, "--directory", folder], data: data,
                onEvent: { [weak notebook] event in notebook?.took(event) },
                onEnd: { [weak notebook, options] how in
                    box.ready.wait()
                    guard let kernel = box.kernel.withLock({ $0 }) else { return }
                    box.kernel.withLock { $0 = nil }
                    options.log("notebook \(notebook?.name ?? ""): its kernel, process \(kernel.process), ended: \(how)")
                    notebook?.ended(kernel, how)
                })
            box.kernel.withLock { $0 = kernel }
            box.ready.signal()
            options.log("notebook \(notebook.name): kernel started, process \(kernel.process)")
            return kernel
        }
    }

    /// Its end may come before its start has returned.
    private final class KernelBox: Sendable {
        let kernel = Mutex<StudioKernel?>(nil)
        let ready = DispatchSemaphore(value: 0)
    }

    private func sweep() {
        let now = Clock.monotonicNanoseconds(), span = UInt64(options.idleSeconds * 1e9)
        guard now > span else { return }
        for notebook in notebooks.withLock({ Array($0.values) }) where notebook.isIdle(since: now - span) {
            if notebook.endKernel("ended: nobody looked at it for \(Int(options.idleSeconds / 60)) minutes") { continue }
            // What it showed goes with it.
            notebooks.withLock { if $0[notebook.name] === notebook { $0[notebook.name] = nil } }
        }
    }

    // MARK: Readers

    /// Whether the user may have one more page open.
    func hasRoom(_ user: String) -> Bool {
        readers.withLock { $0[user, default: 0] < options.readersPerUser && $0.values.reduce(0, +) < options.readersMax }
    }

    func admit(_ user: String) { readers.withLock { $0[user, default: 0] += 1 } }

    func dismiss(_ user: String) {
        readers.withLock { readers in
            readers[user, default: 1] -= 1
            if readers[user] == 0 { readers[user] = nil }
        }
    }
}
