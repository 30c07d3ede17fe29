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

        deinit { for descriptor in descriptors { watcher.release(descriptor) } }
    }

    #if os(Linux)
    private struct Watched {
        var directory: String
        var signal: StreamSignal
        var users: Int
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

    /// Watches the directory of a shard and that of its stream; nil when the system's limit of watches is reached.
    func watch(_ directories: [String], _ signal: StreamSignal) -> Watch? {
        var held: [Int32] = []
        for directory in directories {
            let descriptor = state.withLock { state -> Int32? in
                if let descriptor = state.descriptors[directory] {
                    state.byDescriptor[descriptor]!.users += 1
                    return descriptor
                }
                let descriptor = inotify_add_watch(fd, directory, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR))
                guard descriptor >= 0 else { return nil }
                state.descriptors[directory] = descriptor
                state.byDescriptor[descriptor] = Watched(directory: directory, signal: signal, users: 1)
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

    private func release(_ descriptor: Int32) {
        state.withLock { state in
            // The kernel may have ended the watch before, as the directory was deleted.
            guard let watched = state.byDescriptor[descriptor] else { return }
            if watched.users > 1 {
                state.byDescriptor[descriptor]!.users -= 1
            } else {
                state.byDescriptor[descriptor] = nil
                state.descriptors[watched.directory] = nil
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
                        state.descriptors[watched.directory] = nil
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
    private func release(_ descriptor: Int32) {}
    #endif
}
