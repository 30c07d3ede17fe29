import StreamCore
import Synchronization

/// The history and the sender of a file, shared by all rules of this process.
final class AlertService: Sendable {
    let history: AlertHistory
    let sender: AlertSender

    private static let known = Mutex<[String: AlertService]>([:])

    static func shared(path: String, host: Host) throws -> AlertService {
        try known.withLock { known in
            // A file that was removed in between is made anew.
            if let service = known[path], Host.exists(path) { return service }
            known[path]?.sender.end()
            let service = AlertService(try AlertHistory(path: path, host: host))
            known[path] = service
            return service
        }
    }

    private init(_ history: AlertHistory) {
        self.history = history
        sender = AlertSender(history, topologies: [])
        sender.start()
    }
}
