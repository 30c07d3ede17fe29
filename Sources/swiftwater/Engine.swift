import JobControl
import Alerts
import DeltaTable
import FileConnectors
import HTTPConnector
import HudiTable
import IcebergTable
import KafkaConnector
import KinesisConnector
import OpenSearchConnector
import ParquetFormat
import PythonFunctions
import RestConnector
import RocksDBState
import SchemaRegistry
import SQLiteCatalog
import StreamCore
import StreamFormats
import StreamRuntime
import StreamSQL
import ViewConnector
import ViewService
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Puts the parts together: the SQL session with all connectors.
enum Engine {
    static let connectors: [any TableConnector] = [
        FilesystemConnector(), DatagenConnector(), PrintConnector(), BlackholeConnector(), KafkaConnector(), UpsertKafkaConnector(),
        MirrorConnector(warn: { Terminal.error("warning: \($0)") }), KinesisConnector(), KinesisConnector(isLegacy: true), HudiConnector(), DeltaConnector(),
        IcebergConnector(), RestConnector(), OpenSearchConnector(), HTTPPostConnector(), HTTPConnector(), ViewConnector(), AlertConnector(),
    ]
    /// Worker processes of Python functions, of all sessions.
    private static let python = PythonFunctions()

    /// - Parameters:
    ///   - catalogFile: what the default catalog is kept in; nil = it is forgotten when the process ends.
    ///   - scratch: works on copies of catalog files: nothing that is done reaches them.
    static func session(settings: [String] = [], parallelism: Int? = nil, catalogFile: String? = nil, scratch: Bool = false) throws -> SQLSession {
        SchemaRegistryFormats.register()
        FormatFactory.register([ParquetFormat()])
        ViewControl.install()
        let store: any CatalogStore = try catalogFile.map { try SQLiteCatalogStore(path: $0, scratch: scratch) } ?? MemoryCatalogStore()
        let session = SQLSession(catalog: try Catalog(connectors: connectors, factories: [SQLiteCatalogFactory(scratch: scratch)], store: store))
        python.install(on: session)
        session.jobs = { try runningJobs() }
        session.stopJob = { try stop($0, savepoint: $1, drain: $2) }
        for setting in settings {
            guard let split = setting.firstIndex(of: "=") else {
                throw StreamError(.validate, "--set '\(setting)' has no value", fix: "write --set key=value")
            }
            try session.set(String(setting[..<split]), to: String(setting[setting.index(after: split)...]))
        }
        if let parallelism { try session.set("parallelism.default", to: "\(parallelism)") }
        return session
    }

    private static var jobFinder: JobFinder {
        JobFinder(root: JobPlacement.checkpoints(data: getenv("SWIFTWATER_DATA").map { String(cString: $0) } ?? "swiftwater-data"))
    }

    /// STOP JOB: by the id that SHOW JOBS gives, or by the job's name.
    private static func stop(_ id: String, savepoint: Bool, drain: Bool) throws -> String {
        let finder = jobFinder
        let named = try finder.jobs().first { (try? JobFinder.askIfRunning($0, ControlRequest(request: .status))?.status?.id) == id }
        let job = try named ?? finder.job(id)
        let answer = try JobFinder.ask(job, ControlRequest(request: .stop, savepoint: savepoint, directory: nil, drain: drain))
        return "job \(job.name) has \(answer.end ?? "ended")" + (answer.path.map { ": \($0)" } ?? "")
    }

    /// The jobs that SHOW JOBS lists: those that keep their checkpoints where jobs do by default.
    private static func runningJobs() throws -> [JobListing] {
        try jobFinder.jobs().compactMap { job in
            // A job that is on its way out while it is asked does not run any more.
            guard let status = try? JobFinder.askIfRunning(job, ControlRequest(request: .status))?.status else { return nil }
            return JobListing(id: status.id, name: job.name, status: "RUNNING", start: status.startedAt)
        }
    }

    /// The store that operators keep their state in; nil = memory.
    static func backend(_ settings: SessionSettings) throws -> (any StateBackend)? {
        switch settings.stateBackend {
        case .memory: return nil
        case .rocksdb:
            var options = RocksDBOptions()
            if let limit = settings.recovery.rocksDBMemory { options.managedLimit = limit }
            options.countsTickers = settings.recovery.rocksDBTickers
            return try RocksDBBackend(options)
        }
    }

    /// A directory for what a job without checkpoints keeps on the disk while it runs; it is made when it is needed.
    static func workDirectory(_ data: String?) -> String {
        "\(data ?? getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/swiftwater-work-\(getpid())"
    }

    /// The settings that options of the command line stand for.
    static func keys(settings: [String], parallelism: Int?) -> Set<String> {
        var keys = Set(settings.map { String($0.prefix { $0 != "=" }) })
        if parallelism != nil { keys.insert("parallelism.default") }
        if keys.contains("parallelism.default") { keys.insert("table.exec.resource.default-parallelism") }
        return keys
    }

    static func read(_ path: String) throws -> String {
        guard let file = fopen(path, "r") else {
            throw StreamError(.io, "cannot read \(path): \(String(cString: strerror(errno)))", fix: "name a file that exists")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 65_536)
        while case let n = fread(&chunk, 1, chunk.count, file), n > 0 { bytes += chunk[..<n] }
        if ferror(file) != 0 { throw StreamError(.io, "cannot read \(path): \(String(cString: strerror(errno)))", fix: "name a text file") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw StreamError(.parse, "\(path) is not UTF-8 text", fix: "save it as UTF-8")
        }
        return text
    }
}
