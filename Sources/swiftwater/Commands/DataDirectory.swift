import ArgumentParser
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where the shard log keeps its streams.
struct DataDirectory: ParsableArguments {
    @Option(name: .customLong("data"), help: "Directory of streams, checkpoints and savepoints; default $SWIFTWATER_DATA, else ./swiftwater-data.")
    var directory: String?

    var path: String { directory ?? getenv("SWIFTWATER_DATA").map { String(cString: $0) } ?? "swiftwater-data" }

    /// Makes connectors of this process use the same directory.
    func apply() { setenv("SWIFTWATER_DATA", path, 1) }
}

/// What the default catalog is kept in.
struct CatalogFile: ParsableArguments {
    @Option(name: .customLong("catalog"), help: "File that keeps tables, views, databases, functions and catalogs for later runs; created when missing.")
    var path: String?
}
