import StreamCore
import Synchronization

/// The views of this process, by name. A view is here from the start of its job; when the job has ended it can still be read, until
/// ``remove(_:)`` or another view of its name.
public final class ViewRegistry: ViewReader {
    /// That of the process.
    public static let shared = ViewRegistry()

    private let views = Mutex<[String: View]>([:])

    public init() {}

    /// - Throws: `.conflict` when a running job has a view of that name.
    func register(_ view: View) throws {
        try views.withLock { views in
            if let known = views[view.options.name], known !== view, known.isRunning {
                throw StreamError(.conflict, "table \(view.table.name): there is a view \(view.options.name) already, of table \(known.table.name)",
                                  fix: "give one of them another 'view.name'")
            }
            views[view.options.name] = view
        }
    }

    /// Forgets a view with its rows.
    public func remove(_ name: String) {
        let view = views.withLock { $0.removeValue(forKey: name) }
        view?.changes.end()
    }

    func view(_ name: String) throws -> View {
        let (view, names) = views.withLock { ($0[name], Array($0.keys)) }
        guard let view else { throw ViewError.unknown(name, names) }
        return view
    }

    public func list() throws -> [ViewDescription] {
        views.withLock { Array($0.values) }.map { $0.description() }.sorted { $0.name < $1.name }
    }

    public func get(_ name: String, key: String) throws -> ViewRow? {
        let view = try view(name), wanted = try view.codec.parse(key)
        guard let row = try view.get(wanted.bytes, wanted.hash) else { return nil }
        return ViewRow(key: wanted.bytes.withUnsafeBytes { view.codec.text($0) }, version: row.version, row: row.row)
    }

    public func scan(_ name: String, limit: Int, after: String?) throws -> ViewPage {
        let view = try view(name)
        guard (1...ViewLimits.page).contains(limit) else { throw ViewError(400, "limit \(limit) is not from 1 to \(ViewLimits.page)", fix: "ask for more pages with after=") }
        let page = try view.scan(after: try after.map { try view.codec.parse($0).bytes } ?? [], limit: limit)
        func text(_ key: [UInt8]) -> String { key.withUnsafeBytes { view.codec.text($0) } }
        return ViewPage(rows: page.rows.map { ViewRow(key: text($0.key), version: $0.version, row: $0.row) }, next: page.next.map(text))
    }

    public func subscribe(_ name: String, key: String?, since: Int64?, snapshot: Bool) throws -> any ViewSubscription {
        try LocalSubscription(try view(name), key: key, since: since, snapshot: snapshot)
    }
}

extension ViewError {
    /// There is no view of that name.
    public static func unknown(_ name: String, _ names: [String]) -> ViewError {
        ViewError(404, "there is no view '\(excerpt(name))'", fix: NearName.hint(for: excerpt(name), in: names) ?? "no view is there now: a running job with a table of connector 'view' makes one")
    }
}
