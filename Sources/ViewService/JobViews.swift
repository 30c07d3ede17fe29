import Foundation
import JobControl
import StreamCore
import Synchronization
import ViewConnector
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The views of a job in another process, read through its control socket.
public struct JobViews: ViewReader {
    /// The job's directory, the one with its checkpoints.
    public let directory: String

    public init(directory: String) { self.directory = directory }

    private func ask(_ query: ViewQuery) throws -> LineSocket {
        let connected: Int32?
        do { connected = try LocalSocket.connect(to: try LocalSocket.path(in: directory)) } catch { throw ViewError(503, "\(error)") }
        guard let connected else { throw ViewError(503, "the job in \(directory) is not running", fix: "start it, or ask again when it has been restarted") }
        let socket = LineSocket(connected)
        let request = try JSONEncoder().encode(ControlRequest(request: .view, view: query))
        // One that is gone already answers nothing, which is found below.
        LocalSocket.writeLine(connected, Array(request))
        return socket
    }

    private static let gone = ViewError(503, "the job ended before it answered", fix: "ask again when it has been restarted")

    private func line(_ socket: LineSocket) throws -> ArraySlice<UInt8> {
        guard case .line(let line) = socket.next(milliseconds: 30_000) else { throw Self.gone }
        try ViewLines.check(line)
        return line
    }

    public func list() throws -> [ViewDescription] {
        let line = try line(try ask(ViewQuery(.list)))
        guard let list = try? JSONDecoder().decode(ViewLines.ListLine.self, from: Data(line)) else { throw ViewLines.notUnderstood }
        return list.views
    }

    public func get(_ name: String, key: String) throws -> ViewRow? {
        let line = try line(try ask(ViewQuery(.get, name: name, key: key)))
        if line.elementsEqual(ViewLines.end) { return nil }
        guard let row = ViewLines.row(line) else { throw ViewLines.notUnderstood }
        return row
    }

    public func scan(_ name: String, limit: Int, after: String?) throws -> ViewPage {
        let socket = try ask(ViewQuery(.scan, name: name, limit: limit, after: after))
        var page = ViewPage(rows: [], next: nil)
        while true {
            let line = try line(socket)
            if let row = ViewLines.row(line) {
                page.rows.append(row)
            } else {
                guard let end = try? JSONDecoder().decode(ViewLines.EndLine.self, from: Data(line)) else { throw ViewLines.notUnderstood }
                page.next = end.next
                return page
            }
        }
    }

    public func subscribe(_ name: String, key: String?, since: Int64?, snapshot: Bool) throws -> any ViewSubscription {
        let socket = try ask(ViewQuery(.changes, name: name, key: key, since: since, snapshot: snapshot))
        // A first sign of life, or why not.
        _ = try line(socket)
        return SocketSubscription(socket)
    }
}

/// The views of several jobs as one: each is asked for what it has.
public struct CombinedViews: ViewReader {
    private let readers: @Sendable () throws -> [any ViewReader]
    /// Where a view was found last, so that one question is enough.
    private let known = Places()

    private final class Places: Sendable { let byName = Mutex<[String: any ViewReader]>([:]) }

    /// - Parameter readers: of the jobs that there are now. One that does not answer is passed over.
    public init(_ readers: @escaping @Sendable () throws -> [any ViewReader]) { self.readers = readers }

    public func list() throws -> [ViewDescription] {
        try readers().flatMap { (try? $0.list()) ?? [] }.sorted { $0.name < $1.name }
    }

    private func find<R>(_ name: String, _ body: (any ViewReader) throws -> R) throws -> R {
        if let reader = known.byName.withLock({ $0[name] }) {
            do { return try body(reader) } catch let error as ViewError where error.status == 404 || error.status == 503 {
                _ = known.byName.withLock { $0.removeValue(forKey: name) }
            }
        }
        var names: [String] = []
        for reader in try readers() {
            guard let list = try? reader.list() else { continue }
            guard list.contains(where: { $0.name == name }) else {
                names += list.map(\.name)
                continue
            }
            known.byName.withLock { known in
                // Names that come and go must not fill the memory.
                if known.count > 10_000 { known = [:] }
                known[name] = reader
            }
            return try body(reader)
        }
        throw ViewError.unknown(name, names)
    }

    public func get(_ name: String, key: String) throws -> ViewRow? { try find(name) { try $0.get(name, key: key) } }
    public func scan(_ name: String, limit: Int, after: String?) throws -> ViewPage { try find(name) { try $0.scan(name, limit: limit, after: after) } }
    public func subscribe(_ name: String, key: String?, since: Int64?, snapshot: Bool) throws -> any ViewSubscription {
        try find(name) { try $0.subscribe(name, key: key, since: since, snapshot: snapshot) }
    }
}

final class SocketSubscription: ViewSubscription, @unchecked Sendable {  // SAFETY: one thread at a time, as the protocol says
    private let socket: LineSocket
    private var isOver = false

    init(_ socket: LineSocket) { self.socket = socket }

    func next(milliseconds: Int) throws -> [ViewEvent]? {
        guard !isOver else { return nil }
        var events: [ViewEvent] = []
        while true {
            // What has come already belongs to the same answer.
            switch socket.next(milliseconds: events.isEmpty ? milliseconds : 0) {
            case .nothing: return events
            case .closed:
                isOver = true
                return events.isEmpty ? nil : events
            case .line(let line):
                if let event = ViewLines.event(line) {
                    events.append(event)
                    if events.count >= 256 { return events }
                } else if line.elementsEqual(ViewLines.end) {
                    isOver = true
                    return events.isEmpty ? nil : events
                } else if line.elementsEqual(ViewLines.alive) {
                    if events.isEmpty { return [] }
                } else {
                    try ViewLines.check(line)
                    throw ViewLines.notUnderstood
                }
            }
        }
    }

    func close() {
        isOver = true
        socket.hangUp()
    }
}

/// Lines of a local socket. Closed with the object.
final class LineSocket: @unchecked Sendable {  // SAFETY: one thread reads; `hangUp` may come from another
    enum Found {
        case line(ArraySlice<UInt8>)
        case nothing
        case closed
    }

    private static let longest = 256 << 20
    private let descriptor: Int32
    private var bytes: [UInt8] = []
    /// Where the next line begins, and how far there is no end of it.
    private var start = 0, searched = 0

    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { systemClose(descriptor) }

    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    func next(milliseconds: Int) -> Found {
        while true {
            if let end = bytes[searched...].firstIndex(of: 10) {
                defer { (start, searched) = (end + 1, end + 1) }
                return .line(bytes[start..<end])
            }
            bytes.removeFirst(start)
            (start, searched) = (0, bytes.count)
            guard bytes.count < Self.longest else { return .closed }
            var asked = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&asked, 1, Int32(truncatingIfNeeded: milliseconds))
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return ready == 0 ? .nothing : .closed }
            let n = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { chunk in
                let n = read(descriptor, chunk.baseAddress, chunk.count)
                if n > 0 { bytes.append(contentsOf: chunk[..<n]) }
                return n
            }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return .closed }
        }
    }
}

private func systemClose(_ descriptor: Int32) { close(descriptor) }
