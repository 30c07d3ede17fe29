import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Sees what other processes append: one thread of this process waits for the kernel's notices (inotify) about the
/// directories that readers follow. Where there is none, readers look again from time to time.
final class DirectoryWatcher: Sendable {
    /// nil where directories cannot be watched.
    static let shared: DirectoryWatcher? = DirectoryWatcher()

    /// Keeps directories watched while it lives.
    final class Watch: Sendable {
        private let watcher: DirectoryWatcher
        private let descriptors: [Int32]

        fileprivate init(_ watcher: DirectoryWatcher, _ descriptors: [Int32]) {
            self.watcher = watcher
            self.descriptors = descriptors
        }

        /// False once one of the directories has gone: the kernel tells of it no more.
        var isAlive: Bool { watcher.isWatching(descriptors) }

        deinit { for descriptor in descriptors { watcher.release(descriptor) } }
    }

    #if os(Linux)
    private struct Watched {
        var directory: String
        var identity: Identity
        var signal: StreamSignal
        var users: Int
    }

    /// The kernel says nothing of a directory that is removed while a file of it is open: another one may be in its place.
    private struct Identity: Equatable {
        var device: UInt, number: UInt

        init?(_ directory: String) {
            var status = stat()
            guard stat(directory, &status) == 0 else { return nil }
            (device, number) = (UInt(status.st_dev), UInt(status.st_ino))
        }
    }

    private struct State {
        var byDescriptor: [Int32: Watched] = [:]
        var descriptors: [String: Int32] = [:]
    }

    private let fd: Int32
    private let state = Mutex(State())
    /// Notices that come in a burst are taken together.
    private static let burstMicroseconds: UInt32 = 200

    private init?() {
        fd = inotify_init1(Int32(IN_CLOEXEC))
        guard fd >= 0 else { return nil }
        // The watcher is made once and stays for the life of the process.
        DetachedThread { [self] in run() }.start()
    }

    /// Watches the directory of a shard and that of its stream; nil when the system's limit of watches is reached, and where other
    /// machines write, too: the kernel tells nothing of what they do.
    func watch(_ directories: [String], _ signal: StreamSignal) -> Watch? {
        if directories.contains(where: Self.isRemote) { return nil }
        var held: [Int32] = []
        for directory in directories {
            let descriptor = state.withLock { state -> Int32? in
                guard let identity = Identity(directory) else { return nil }
                if let descriptor = state.descriptors[directory], state.byDescriptor[descriptor]?.identity == identity {
                    state.byDescriptor[descriptor]!.users += 1
                    return descriptor
                }
                let descriptor = inotify_add_watch(fd, directory, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR))
                guard descriptor >= 0 else { return nil }
                state.descriptors[directory] = descriptor
                state.byDescriptor[descriptor] = Watched(directory: directory, identity: identity, signal: signal, users: 1)
                return descriptor
            }
            guard let descriptor else {
                for descriptor in held { release(descriptor) }
                return nil
            }
            held.append(descriptor)
        }
        return Watch(self, held)
    }

    fileprivate func isWatching(_ descriptors: [Int32]) -> Bool {
        let watched = state.withLock { state in descriptors.map { state.byDescriptor[$0] } }
        return watched.allSatisfy { watched in watched.map { Identity($0.directory) == $0.identity } ?? false }
    }

    /// By the number of their device.
    private static let isDeviceRemote = Mutex<[UInt: Bool]>([:])

    private static func isRemote(_ directory: String) -> Bool {
        var status = stat()
        guard stat(directory, &status) == 0 else { return false }
        let device = UInt(status.st_dev)
        if let known = isDeviceRemote.withLock({ $0[device] }) { return known }
        let table = (try? Host.read("/proc/self/mountinfo", offset: 0, count: 1 << 20)) ?? []
        let isRemote = isRemote(device: device, mounts: String(decoding: table, as: UTF8.self))
        isDeviceRemote.withLock { $0[device] = isRemote }
        return isRemote
    }

    /// - Parameter mounts: the kernel's table: a line for each, with the device as the third word and the kind behind a lone dash.
    static func isRemote(device: UInt, mounts: String) -> Bool {
        let number = "\(device >> 8 & 0xFFF | device >> 32 & ~0xFFF):\(device & 0xFF | device >> 12 & ~0xFF & 0xFFFF_FFFF)"
        for line in mounts.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 3, words[2] == number, let dash = words.firstIndex(of: "-"), dash + 1 < words.count else { continue }
            let kind = words[dash + 1]
            return ["nfs", "cifs", "smb", "9p", "fuse", "virtiofs", "ceph", "afs", "lustre"].contains { kind.hasPrefix($0) }
        }
        return false
    }

    private func release(_ descriptor: Int32) {
        state.withLock { state in
            // The kernel may have ended the watch before, as the directory was deleted.
            guard let watched = state.byDescriptor[descriptor] else { return }
            if watched.users > 1 {
                state.byDescriptor[descriptor]!.users -= 1
            } else {
                state.byDescriptor[descriptor] = nil
                if state.descriptors[watched.directory] == descriptor { state.descriptors[watched.directory] = nil }
                inotify_rm_watch(fd, descriptor)
            }
        }
    }

    private func run() {
        let room = 64 << 10
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 8)
        while true {
            let count = read(fd, buffer, room)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            var signals: [ObjectIdentifier: StreamSignal] = [:]
            state.withLock { state in
                var at = 0
                while at + MemoryLayout<inotify_event>.size <= count {
                    let event = buffer.loadUnaligned(fromByteOffset: at, as: inotify_event.self)
                    let name = buffer + at + MemoryLayout<inotify_event>.size
                    at += MemoryLayout<inotify_event>.size + Int(event.len)
                    if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
                        for watched in state.byDescriptor.values { signals[ObjectIdentifier(watched.signal)] = watched.signal }
                    }
                    if event.mask & UInt32(IN_IGNORED) != 0, let watched = state.byDescriptor.removeValue(forKey: event.wd) {
                        if state.descriptors[watched.directory] == event.wd { state.descriptors[watched.directory] = nil }
                        signals[ObjectIdentifier(watched.signal)] = watched.signal
                    }
                    guard let watched = state.byDescriptor[event.wd], Self.isNews(name, Int(event.len)) else { continue }
                    signals[ObjectIdentifier(watched.signal)] = watched.signal
                }
            }
            for signal in signals.values { signal.notify() }
            usleep(Self.burstMicroseconds)
        }
    }

    /// Segments grow, or the metadata is replaced; notes beside them are of no interest.
    private static func isNews(_ name: UnsafeMutableRawPointer, _ length: Int) -> Bool {
        guard length > 0 else { return true }
        let text = name.assumingMemoryBound(to: CChar.self), n = strlen(text)
        if n > 4, strcmp(text + n - 4, ".log") == 0 { return true }
        return strcmp(text, StreamMetadata.fileName) == 0
    }
    #else
    private init?() { nil }
    func watch(_ directories: [String], _ signal: StreamSignal) -> Watch? { nil }
    fileprivate func isWatching(_ descriptors: [Int32]) -> Bool { false }
    private func release(_ descriptor: Int32) {}
    #endif
}
