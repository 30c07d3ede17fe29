import HTTPServer
import StreamCore
import Synchronization

/// A server for all tables of this process that listen on one address.
final class ReceiverServer: Sendable {
    private let routes = Mutex<[(id: Int, receiver: Receiver)]>([])
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
                    routes.removeAll { $0.id == id }
                    return routes.isEmpty
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
            if let other = routes.first(where: { $0.receiver.options.path.overlaps(receiver.options.path) }) {
                throw StreamError(.conflict, "table \(table): the path \(receiver.options.path.text) on \(address) is taken by another table or job, which has \(other.receiver.options.path.text)",
                                  fix: "choose another 'path', or end the job that has it")
            }
            routes.append((id, receiver))
        }
    }

    private func listen(_ options: ReceiverOptions, table: String) throws -> Int {
        var settings = HTTPServer.Options()
        // Tables say less for themselves.
        settings.bodyBytesMax = ReceiverOptions.bodyBytesLimit
        settings.admit = { [self] in
            guard let (receiver, _) = find($0.path) else { return .text(404, "no table takes \($0.path)\n") }
            return receiver.refusal($0)
        }
        do {
            let made = try HTTPServer(host: options.host, port: options.port, options: settings) { [self] request in
                guard let (receiver, names) = find(request.path) else { return .text(404, "no table takes \(request.path)\n") }
                return receiver.answer(request, names)
            }
            server.withLock { $0 = made }
            return made.port
        } catch {
            let text = "\(error)", isTaken = text.contains("in use")
            throw StreamError(isTaken ? .conflict : .io, "table \(table): cannot listen on \(options.host):\(options.port): \(isTaken ? "another program does" : text)",
                              fix: isTaken ? "end it (`ss -ltnp 'sport = :\(options.port)'` names it), or choose another port with 'listen'" : "check 'listen'")
        }
    }

    private func find(_ path: String) -> (Receiver, [String])? {
        routes.withLock { routes in
            for route in routes { if let names = route.receiver.options.path.match(path) { return (route.receiver, names) } }
            return nil
        }
    }
}
