import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization
import Testing

@testable import SQLiteCatalog

final class Folder: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/catalog-\(UUID().uuidString.lowercased())"
    private let listed = Mutex<[String]>([])
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    var file: String { path + "/lake.catalog" }

    /// A session whose default catalog is kept in ``file``.
    func session(scratch: Bool = false) throws -> SQLSession {
        let connector = FilesystemConnector { [weak self] folder in self?.listed.withLock { $0.append(folder) } }
        let catalog = try Catalog(
            connectors: [connector, PrintConnector(), BlackholeConnector()], factories: [SQLiteCatalogFactory(scratch: scratch)],
            store: try SQLiteCatalogStore(path: file, scratch: scratch))
        return SQLSession(catalog: catalog)
    }

    func takeListed() -> [String] {
        listed.withLock { folders in
            defer { folders = [] }
            return folders
        }
    }
}

@discardableResult
func run(_ session: SQLSession, _ text: String) throws -> [[Value]] {
    var rows: [[Value]] = []
    for statement in try SQLParser(text: text).parseScript() {
        switch try session.execute(statement) {
        case .insert(let graph): try JobExecution(graph).run()
        case .query(let query):
            let sink = CollectingSink(maxParallelism: 1)
            try JobExecution(try query.jobGraph(into: sink)).run()
            rows = sink.rows.map(\.values)
        case .rows(_, let found): rows = found
        default: rows = []
        }
    }
    return rows
}

func texts(_ rows: [[Value]]) -> [String] { rows.compactMap { if case .string(let text) = $0[0] { text } else { nil } } }

@Suite("A catalog in a file") struct SQLiteCatalogTests {
    static let orders = """
        CREATE TABLE orders (id INT, `user` STRING COMMENT 'who''s', price DECIMAL(10, 2) NOT NULL, ts TIMESTAMP(3), place ROW<`select` INT, n STRING>,
          name AS JSON_VALUE(`user`, '$.name' NULL ON EMPTY), file STRING NOT NULL METADATA FROM 'file.path' VIRTUAL,
          WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, CONSTRAINT pk PRIMARY KEY (id) NOT ENFORCED)
        COMMENT 'all orders' PARTITIONED BY (`user`) WITH ('connector' = 'filesystem', 'path' = 'none', 'format' = 'json');

        """

    @Test("what one session makes is there in the next, as it was")
    func persists() throws {
        let folder = try Folder()
        var before: [[Value]] = [], describe: [[Value]] = []
        do {
            let session = try folder.session()
            try run(
                session,
                Self.orders
                    + """
                    CREATE DATABASE shop COMMENT 'all' WITH ('a' = 'b'); CREATE VIEW shop.v (u) COMMENT 'users' AS SELECT `user` FROM default_database.orders;
                    USE shop; CREATE VIEW w AS SELECT u FROM v; CREATE FUNCTION f AS 'm.f' LANGUAGE PYTHON USING FILE '/m.py'; USE default_database;
                    CREATE TEMPORARY TABLE tmp (a INT) WITH ('connector' = 'print');
                    """)
            before = try run(session, "SHOW CREATE TABLE orders")
            describe = try run(session, "DESCRIBE orders")
        }
        let session = try folder.session()
        #expect(texts(try run(session, "SHOW TABLES")) == ["orders"])
        #expect(try run(session, "SHOW CREATE TABLE orders") == before)
        #expect(try run(session, "DESCRIBE orders") == describe)
        #expect(texts(try run(session, "SHOW VIEWS FROM shop")) == ["v", "w"])
        #expect(texts(try run(session, "DESCRIBE shop.w")) == ["u"])
        #expect(texts(try run(session, "SHOW CREATE VIEW shop.v"))[0].contains("COMMENT 'users'"))
        #expect(try session.catalog.function("F", in: Namespace(catalog: "default_catalog", database: "shop"))?.resources.map(\.path) == ["/m.py"])
        #expect(try run(session, "DESCRIBE DATABASE EXTENDED shop").count == 4)
        try run(session, "ALTER TABLE orders DROP PRIMARY KEY; ALTER TABLE orders RENAME TO o; DROP VIEW shop.w; DROP FUNCTION shop.f")
        let third = try folder.session()
        #expect(texts(try run(third, "SHOW TABLES")) == ["o"])
        #expect(texts(try run(third, "SHOW TABLES IN shop")) == ["v"])
        #expect(texts(try run(third, "SHOW USER FUNCTIONS IN shop")).isEmpty)
        try run(third, "DROP DATABASE shop CASCADE; DROP TABLE o")
        #expect(texts(try run(try folder.session(), "SHOW DATABASES")) == ["default_database"])
    }

    @Test("catalogs that were created are there in the next session too")
    func catalogs() throws {
        let folder = try Folder()
        try run(
            try folder.session(),
            "CREATE CATALOG lake WITH ('type' = 'sqlite', 'path' = '\(folder.path)/other.catalog'); USE CATALOG lake; CREATE TABLE t (a INT) WITH ('connector' = 'print')")
        let session = try folder.session()
        #expect(texts(try run(session, "SHOW TABLES FROM lake.`default`")) == ["t"])
        try run(session, "DROP CATALOG lake")
        #expect(texts(try run(try folder.session(), "SHOW CATALOGS")) == ["default_catalog"])
        let mounted = try folder.session()
        try run(mounted, "CREATE CATALOG again WITH ('type' = 'sqlite', 'path' = '\(folder.path)/other.catalog')")
        #expect(texts(try run(mounted, "SHOW TABLES FROM again.`default`")) == ["t"])
        let error = #expect(throws: StreamError.self) { try run(mounted, "CREATE CATALOG c WITH ('type' = 'sqlite')") }
        #expect(error?.problem == "catalog c has no option 'path'")
    }

    @Test("a view keeps the columns that it was made with")
    func viewColumns() throws {
        let folder = try Folder()
        try run(
            try folder.session(),
            "CREATE TABLE t (a INT, b INT) WITH ('connector' = 'blackhole'); CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w (x, y) AS SELECT * FROM t; ALTER TABLE t ADD c INT FIRST")
        let session = try folder.session()
        #expect(texts(try run(session, "DESCRIBE t")) == ["c", "a", "b"])
        #expect(texts(try run(session, "DESCRIBE v")) == ["a", "b"])
        #expect(texts(try run(session, "DESCRIBE w")) == ["x", "y"])
        try run(session, "ALTER TABLE t DROP b")
        let error = #expect(throws: StreamError.self) { try run(try folder.session(), "DESCRIBE v") }
        #expect(error?.problem == "view v was made with the column b, which its query does not give any more")
    }

    @Test("a session sees what another one changes, and does not change what it has not seen")
    func concurrentSessions() throws {
        let folder = try Folder()
        let a = try folder.session(), b = try folder.session()
        try run(a, "CREATE TABLE t (x INT) WITH ('connector' = 'blackhole')")
        #expect(texts(try run(b, "DESCRIBE t")) == ["x"])
        try run(a, "ALTER TABLE t ADD y INT")
        #expect(texts(try run(b, "DESCRIBE t")) == ["x", "y"])
        try run(a, "DROP TABLE t; CREATE TABLE t (z INT) WITH ('connector' = 'blackhole')")
        #expect(texts(try run(b, "DESCRIBE t")) == ["z"])
        let one = try SQLiteCatalogStore(path: folder.file), two = try SQLiteCatalogStore(path: folder.file)
        let seen = try #require(try one.object("t", in: "default_database"))
        #expect(try two.update(seen, named: "t", in: "default_database"))
        #expect(try !one.update(seen, named: "t", in: "default_database"))
        #expect(throws: StreamError.self) { try one.objectNames(in: "gone") }
    }

    @Test("many writers at a time lose nothing")
    func manyWriters() async throws {
        let folder = try Folder()
        _ = try folder.session()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    // A connection of its own, as another process has.
                    let store = try SQLiteCatalogStore(path: folder.file)
                    var made = 0
                    for i in 0..<25 {
                        let declaration = TableDeclaration(columns: [.init(name: "a", type: "INT")], options: ["connector": "print"])
                        if try store.create(CatalogObject(name: "own_\(writer)_\(i)", declaration: .table(declaration)), in: "default_database") { made += 1 }
                        if try store.create(CatalogObject(name: "shared_\(i)", declaration: .table(declaration)), in: "default_database") { made += 1 }
                    }
                    return made
                }
            }
            var total = 0
            for try await made in group { total += made }
            #expect(total == 4 * 25 + 25)
        }
        #expect(try run(try folder.session(), "SHOW TABLES").count == 125)
    }

    @Test("a copy in memory changes nothing in the file")
    func scratch() throws {
        let folder = try Folder()
        try run(try folder.session(), "CREATE TABLE t (x INT) WITH ('connector' = 'blackhole')")
        let copy = try folder.session(scratch: true)
        try run(copy, "DROP TABLE t; CREATE TABLE u (x INT) WITH ('connector' = 'blackhole')")
        #expect(texts(try run(copy, "SHOW TABLES")) == ["u"])
        #expect(texts(try run(try folder.session(), "SHOW TABLES")) == ["t"])
        let none = try Folder()
        _ = try none.session(scratch: true)
        #expect(!FileManager.default.fileExists(atPath: none.file))
    }

    @Test("a file that is damaged, of something else, of the future or out of reach is told apart")
    func badFiles() throws {
        let folder = try Folder()
        func code(_ path: String) -> StreamError.Code? {
            do { _ = try SQLiteCatalogStore(path: path) } catch let error as StreamError {
                #expect(error.problem.contains(path) && error.fix != nil, "\(error)")
                return error.code
            } catch { Issue.record("\(error)") }
            return nil
        }
        try String(repeating: "no database ", count: 200).write(toFile: folder.path + "/text", atomically: true, encoding: .utf8)
        #expect(code(folder.path + "/text") == .corrupt)
        #expect(code(folder.path + "/no/such/folder/c") == .io)
        do { _ = try folder.session() }
        try FileManager.default.copyItem(atPath: folder.file, toPath: folder.path + "/newer")
        do {
            let store = try SQLiteCatalogStore(path: folder.path + "/newer")
            try store.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('catalog-99')") }
        }
        #expect(code(folder.path + "/newer") == .validate)
        // The middle of the file overwritten: the header is fine, the pages are not.
        do {
            let session = try folder.session()
            for i in 0..<40 { try run(session, "CREATE TABLE t\(i) (x INT) WITH ('connector' = 'blackhole')") }
            try SQLiteCatalogStore(path: folder.file).checkpoint()
        }
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: folder.file + suffix) }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.file))
        for i in 4_096..<bytes.count { bytes[i] = 0x5A }
        try bytes.write(to: URL(fileURLWithPath: folder.file))
        do {
            try run(try folder.session(), "SHOW TABLES")
            Issue.record("a damaged file was read")
        } catch let error as StreamError { #expect(error.code == .corrupt, "\(error)") }
    }
}
