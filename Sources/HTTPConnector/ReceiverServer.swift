import HTTPServer
import StreamCore
import Synchronization

/// A server for all tables of this process that listen on one address.
final class ReceiverServer: Sendable {
    private struct Route {
        var id: Int
        var path: PathPattern
        /// nil: its table's job has ended, or is starting again.
        var receiver: Receiver?
    }

    private let routes = Mutex<[Route]>([])
    private let server = Mutex<HTTPServer?>(nil)

    private static let all = Mutex<(servers: [String: ReceiverServer], next: Int)>(([:], 0))

    /// Ends with ``end()``, once.
    struct Registration: Sendable {
        fileprivate let address: String
        fileprivate let id: Int
        /// That the server listens on.
        let port: Int

        /// The table's requests are not taken any more; the last table's end ends the server, when what is being answered has been.
        func end() {
            let over = ReceiverServer.all.withLock { all -> ReceiverServer? in
                guard let server = all.servers[address] else { return nil }
                let isEmpty = server.routes.withLock { routes in
                    for i in routes.indices where routes[i].id == id { routes[i].receiver = nil }
                    return routes.allSatisfy { $0.receiver == nil }
                }
                guard isEmpty else { return nil }
                all.servers[address] = nil
                return server
            }
            over?.server.withLock { $0 }?.stop()
        }
    }

    /// - Throws: `.conflict` when the address or the path is taken, `.io` when the address cannot be listened on.
    static func register(_ receiver: Receiver, table: String) throws -> Registration {
        let options = receiver.options
        return try all.withLock { all in
            all.next += 1
            let id = all.next
            // Port 0 picks a free one each time.
            let address = "\(options.host):\(options.port)" + (options.port == 0 ? "/\(id)" : "")
            if let known = all.servers[address] {
                try known.add(receiver, id: id, table: table, address: address)
                return Registration(address: address, id: id, port: known.server.withLock { $0!.port })
            }
            let made = ReceiverServer()
            try made.add(receiver, id: id, table: table, address: address)
            let port = try made.listen(options, table: table)
            all.servers[address] = made
            return Registration(address: address, id: id, port: port)
        }
    }

    private func add(_ receiver: Receiver, id: Int, table: String, address: String) throws {
        try routes.withLock { routes in
            let path = receiver.options.path
            if let other = routes.first(where: { $0.receiver != nil && $0.path.overlaps(path) }) {
                throw StreamError(.conflict, "table \(table): the path \(path.text) on \(address) is taken by another table or job, which has \(other.path.text)",
                                  fix: "choose another 'path', or end the job that has it")
            }
            routes.removeAll { $0.path.overlaps(path) }
            routes.append(Route(id: id, path: path, receiver: receiver))
        }
    }

    private func listen(_ options: ReceiverOptions, table: String) throws -> Int {
        var settings = HTTPServer.Options()
        // Tables say less for themselves.
        settings.bodyBytesMax = ReceiverOptions.bodyBytesLimit
        settings.admit = { [self] request in
            switch find(request.path) {
            case .found(let receiver, _): receiver.refusal(request)
            case .refused(let response): response
            }
        }
        do {
            let made = try HTTPServer(host: options.host, port: options.port, options: settings) { [self] request in
                switch find(request.path) {
                case .found(let receiver, let names): receiver.answer(request, names)
                case .refused(let response): response
                }
            }
            server.withLock { $0 = made }
            return made.port
        } catch {
            let text = "\(error)", isTaken = text.contains("in use")
            throw StreamError(isTaken ? .conflict : .io, "table \(table): cannot listen on \(options.host):\(options.port): \(isTaken ? "another program does" : text)",
                              fix: isTaken ? "end it (`ss -ltnp 'sport = :\(options.port)'` names it), or choose another port with 'listen'" : "check 'listen'")
        }
    }

    private enum Found {
        case found(Receiver, [String])
        case refused(HTTPResponse)
    }

    private func find(_ path: String) -> Found {
        routes.withLock { routes in
            for route in routes {
                guard let names = route.path.match(path) else { continue }
                if let receiver = route.receiver { return .found(receiver, names) }
                return .refused(.init(503, headers: [("Retry-After", "5"), ("Content-Type", "text/plain; charset=utf-8")], body: Array("the job that takes \(path) does not run now; send again later\n".utf8)))
            }
            return .refused(.text(404, "no table takes \(path)\n"))
        }
    }
}
