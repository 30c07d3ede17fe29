// swift-tools-version: 6.1
import Foundation
import PackageDescription

let ours: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-warnings-as-errors"])]

// A libparquet outside of the loader's path must be found at run time: $ARROW_RPATH, or the one that `make setup` puts into .venv.
let localArrow = Context.packageDirectory + "/.venv/arrow/lib"
let arrowDirectory = Context.environment["ARROW_RPATH"] ?? (FileManager.default.fileExists(atPath: localArrow) ? localArrow : nil)
let arrowPath: [LinkerSetting] = arrowDirectory.map { [.unsafeFlags(["-Xlinker", "-rpath", "-Xlinker", $0])] } ?? []

let package = Package(
    name: "swiftwater",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "swiftwater", targets: ["swiftwater"]),
        .executable(name: "swiftwater-bench", targets: ["swiftwater-bench"]),
        .library(name: "StreamSQL", targets: ["StreamCore", "StreamExpressions", "StreamOperators", "StreamRuntime", "StreamSQL"]),
        .library(name: "FileConnectors", targets: ["FileConnectors"]),
        .executable(name: "bench-nexmark", targets: ["bench-nexmark"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C and C++ behind small shims.
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"]), .brew(["lz4"])]),
        .systemLibrary(name: "CLibEdit", pkgConfig: "libedit", providers: [.apt(["libedit-dev"]), .brew(["libedit"])]),
        .systemLibrary(name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"]), .brew(["rocksdb"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
        .systemLibrary(name: "CRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"]), .brew(["librdkafka"])]),
        .systemLibrary(name: "CParquet", pkgConfig: "parquet", providers: [.apt(["libparquet-dev"]), .brew(["apache-arrow"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        .target(name: "CArrowData"),
        .target(name: "CArrowShim", dependencies: ["CParquet", "CArrowData"]),
        .target(name: "CChecksum"),
        .target(name: "CProcess"),

        // The engine, low to high.
        .target(name: "StreamCore", dependencies: ["CArrowData"], swiftSettings: ours),
        .target(name: "StreamExpressions", dependencies: ["StreamCore"], swiftSettings: ours),
        .target(name: "StreamFormats", dependencies: ["StreamCore"], swiftSettings: ours),
        .target(name: "StreamState", dependencies: ["StreamCore", "CChecksum", "CLZ4"], swiftSettings: ours),
        .target(name: "StreamOperators", dependencies: ["StreamCore", "StreamExpressions", "StreamState"], swiftSettings: ours),
        .target(
            name: "StreamRuntime", dependencies: ["StreamCore", "StreamState", .product(name: "Histogram", package: "hdrhistogram-swift")], swiftSettings: ours),
        .target(
            name: "StreamSQL", dependencies: ["StreamCore", "StreamExpressions", "StreamOperators", "StreamRuntime"], exclude: ["README.md"],
            swiftSettings: ours),
        .target(name: "StreamTesting", dependencies: ["StreamCore", "StreamState", "StreamRuntime"], swiftSettings: ours),

        // One target per outside system.
        .target(name: "RocksDBState", dependencies: ["StreamCore", "CRocksDB"], swiftSettings: ours),
        .target(
            name: "SQLiteCatalog", dependencies: ["StreamCore", "StreamSQL", .product(name: "GRDB", package: "GRDB.swift")], swiftSettings: ours),
        .target(name: "FileConnectors", dependencies: ["StreamCore", "StreamFormats", "CZlib"], swiftSettings: ours),
        .target(name: "GzipCoding", dependencies: ["CZlib"], swiftSettings: ours),
        .target(name: "OpenSearchConnector", dependencies: ["StreamCore", "StreamFormats", "GzipCoding"], swiftSettings: ours),
        .target(name: "HTTPConnector", dependencies: ["StreamCore", "StreamFormats", "HTTPServer", "ShardLog", "GzipCoding"], swiftSettings: ours),
        .target(name: "RestConnector", dependencies: ["StreamCore", "StreamFormats"], swiftSettings: ours),
        .target(
            name: "PythonFunctions", dependencies: ["StreamCore", "StreamExpressions", "StreamOperators", "StreamSQL"], swiftSettings: ours),
        .target(name: "ShardLog", dependencies: ["StreamCore", "CChecksum", "CLZ4", "COpenSSL"], swiftSettings: ours),
        .target(name: "KinesisConnector", dependencies: ["AWSProtocol", "StreamCore", "StreamFormats", "ShardLog"], swiftSettings: ours),
        .target(name: "SchemaRegistry", dependencies: ["StreamCore", "StreamFormats"], swiftSettings: ours),
        .target(name: "KafkaConnector", dependencies: ["StreamCore", "StreamFormats", "CRdKafka", "COpenSSL"], swiftSettings: ours),
        .target(name: "ObjectStore", dependencies: ["AWSProtocol", "COpenSSL", "StreamCore"], swiftSettings: ours),
        .target(name: "LakeTable", dependencies: ["ObjectStore", "StreamCore", "CArrowShim", "CArrowData"], swiftSettings: ours),
        .target(name: "HudiTable", dependencies: ["LakeTable", "StreamCore", "CArrowData"], swiftSettings: ours),
        .target(name: "DeltaTable", dependencies: ["LakeTable", "StreamCore", "CArrowShim", "CArrowData"], swiftSettings: ours),
        .target(name: "IcebergTable", dependencies: ["LakeTable", "StreamCore", "CArrowShim", "CArrowData", "CZlib"], swiftSettings: ours),
        .target(name: "ParquetFormat", dependencies: ["LakeTable", "StreamCore", "StreamFormats", "CArrowShim", "CArrowData"], swiftSettings: ours),

        // The AWS services on one port.
        .target(name: "AWSProtocol", dependencies: ["StreamCore", "COpenSSL"], swiftSettings: ours),
        .target(
            name: "HTTPServer",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: ours),
        .target(name: "AWSEndpoint", dependencies: ["AWSProtocol", "HTTPServer", "StreamCore"], swiftSettings: ours),

        .target(name: "KinesisService", dependencies: ["AWSProtocol", "ShardLog", "StreamCore"], swiftSettings: ours),
        .target(
            name: "DynamoDBService", dependencies: ["AWSProtocol", "ShardLog", "StreamCore", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: ours),
        .target(
            name: "FirehoseService",
            dependencies: ["AWSProtocol", "FileConnectors", "ShardLog", "StreamCore", "StreamRuntime", "StreamSQL", "StreamState", "Topology"],
            swiftSettings: ours),

        .target(
            name: "Alerts", dependencies: ["ObjectStore", "StreamCore", "StreamFormats", .product(name: "GRDB", package: "GRDB.swift")],
            exclude: ["README.md"], swiftSettings: ours),
        .target(name: "Topology", dependencies: ["Alerts", "StreamCore", "StreamSQL", "Yams"], swiftSettings: ours),

        // The same topology on a real Flink.
        .target(name: "CFlinkRunner", exclude: ["flink_runner.py"]),
        .target(name: "FlinkClient", dependencies: ["HTTPServer", "StreamCore"], swiftSettings: ours),
        .target(name: "FlinkExport", dependencies: ["StreamCore", "StreamSQL", "Topology"], swiftSettings: ours),

        // Notebooks: files, charts, pages. What runs them is the command line's.
        .systemLibrary(name: "CCMark", pkgConfig: "libcmark-gfm", providers: [.apt(["libcmark-gfm-dev", "libcmark-gfm-extensions-dev"]), .brew(["cmark-gfm"])]),
        .target(name: "Notebook", dependencies: ["CCMark", "COpenSSL", "StreamCore"], swiftSettings: ours),

        // What the daemon shows.
        .target(
            name: "Monitoring",
            dependencies: [
                "StreamCore", "StreamRuntime", .product(name: "CoreMetrics", package: "swift-metrics"), .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: ours),
        .target(name: "ViewConnector", dependencies: ["RocksDBState", "StreamCore", "StreamFormats"], swiftSettings: ours),
        .target(name: "ViewService", dependencies: ["HTTPServer", "JobControl", "StreamCore", "ViewConnector"], swiftSettings: ours),
        .target(name: "CDashboardAssets", exclude: ["assets"]),
        .target(name: "Dashboard", dependencies: ["CDashboardAssets", "GzipCoding", "HTTPServer"], swiftSettings: ours),
        .target(name: "TableReplication", dependencies: ["StreamCore", "StreamRuntime", "StreamSQL", "Topology"], swiftSettings: ours),
        // What runs a job as others find it, and how they talk to it.
        .target(name: "JobControl", dependencies: ["CProcess", "StreamCore", "StreamRuntime", "StreamSQL", "StreamState", "TableReplication"], swiftSettings: ours),
        .target(
            name: "StreamServer",
            dependencies: ["AWSProtocol", "HTTPServer", "JobControl", "Monitoring", "Notebook", "StreamCore", "StreamRuntime", "StreamSQL", "Topology", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: ours),
        .executableTarget(
            name: "swiftwater",
            dependencies: [
                "JobControl", "StreamServer", "Alerts", "Dashboard", "ViewConnector", "ViewService",
                "StreamCore", "StreamExpressions", "StreamState", "StreamRuntime", "StreamSQL", "RocksDBState", "SQLiteCatalog", "FileConnectors",
                "Notebook", "ShardLog", "KafkaConnector", "KinesisConnector", "HudiTable", "DeltaTable", "IcebergTable", "ParquetFormat", "TableReplication", "Nexmark", "PythonFunctions", "RestConnector", "SchemaRegistry",
                "Topology", "CLibEdit", "HTTPConnector", "OpenSearchConnector", "AWSProtocol", "AWSEndpoint", "KinesisService", "DynamoDBService",
                "FirehoseService", "CFlinkRunner", "FlinkClient", "FlinkExport",
                "HTTPServer",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: ours, linkerSettings: arrowPath),
        .executableTarget(
            name: "swiftwater-bench",
            dependencies: ["StreamCore", "StreamFormats", "StreamRuntime", "StreamSQL", "FileConnectors", "HudiTable"],
            path: "Benchmarks/Suite", swiftSettings: ours, linkerSettings: arrowPath),

        .executableTarget(
            name: "bench-kafka", dependencies: ["KafkaConnector", "CRdKafka", "StreamCore", "StreamSQL", "StreamRuntime", "FileConnectors"],
            path: "Benchmarks/Kafka", exclude: ["run.sh"], swiftSettings: ours),

        .executableTarget(
            name: "bench-aws", dependencies: ["AWSEndpoint", "AWSProtocol", "KinesisService", "ShardLog", "StreamCore"], path: "Benchmarks/AWS",
            swiftSettings: ours),
        .executableTarget(
            name: "bench-end-to-end", dependencies: ["KinesisConnector", "ShardLog", "StreamSQL", "StreamRuntime", "StreamCore"],
            path: "Benchmarks/EndToEnd", swiftSettings: ours),
        .executableTarget(name: "bench-shard-log", dependencies: ["ShardLog", "StreamCore"], path: "Benchmarks/ShardLog", swiftSettings: ours),

        .target(name: "Nexmark", dependencies: ["StreamCore"], swiftSettings: ours),
        .executableTarget(
            name: "bench-nexmark", dependencies: ["Nexmark", "StreamSQL", "StreamRuntime", "FileConnectors"], path: "Benchmarks/Nexmark",
            exclude: ["queries"], swiftSettings: ours),
        .executableTarget(name: "bench-json", dependencies: ["StreamFormats", "StreamCore"], path: "Benchmarks/JSONRead", swiftSettings: ours),
        .executableTarget(name: "bench-formats", dependencies: ["StreamFormats", "StreamCore"], path: "Benchmarks/FormatRead", swiftSettings: ours),
        .executableTarget(name: "bench-kernels", dependencies: ["StreamOperators"], path: "Benchmarks/Kernels", swiftSettings: ours),
        .executableTarget(name: "bench-snapshots", dependencies: ["StreamOperators"], path: "Benchmarks/Snapshots", swiftSettings: ours),
        .executableTarget(
            name: "bench-large-state", dependencies: ["RocksDBState", "StreamCore", "StreamOperators"], path: "Benchmarks/LargeState",
            swiftSettings: ours),
        .executableTarget(
            name: "bench-hudi", dependencies: ["HudiTable", "StreamCore"], path: "Benchmarks/HudiInsert", swiftSettings: ours,
            linkerSettings: arrowPath),

        .executableTarget(
            name: "bench-hudi-open", dependencies: ["HudiTable", "LakeTable", "StreamCore"], path: "Benchmarks/HudiOpen", swiftSettings: ours,
            linkerSettings: arrowPath),

        .executableTarget(
            name: "bench-insight", dependencies: ["StreamCore", "StreamExpressions", "StreamOperators", "StreamSQL", "StreamRuntime", "FileConnectors"],
            path: "Benchmarks/Insight", swiftSettings: ours),
        .executableTarget(
            name: "bench-views", dependencies: ["ViewConnector", "ViewService", "HTTPServer", "JobControl", "StreamCore"], path: "Benchmarks/Views", swiftSettings: ours),

        // Whole jobs under a seeded scheduler: `make simulate`.
        .target(
            name: "Simulations",
            dependencies: ["StreamTesting", "StreamSQL", "StreamState", "RocksDBState", "Topology", "FileConnectors", "KinesisConnector", "ShardLog", "HudiTable"],
            path: "Tests/Simulations", swiftSettings: ours),
        .executableTarget(
            name: "swiftwater-simulate",
            dependencies: ["Simulations", "StreamTesting", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Tests/Simulate", swiftSettings: ours, linkerSettings: arrowPath),

        // Queries on the engine against an interpreter that goes row by row: `make fuzz-sql`.
        .target(
            name: "ReferenceSQL",
            dependencies: ["StreamCore", "StreamExpressions", "StreamOperators", "StreamRuntime", "StreamSQL", "StreamState", "StreamTesting", "RocksDBState"],
            path: "Tests/ReferenceSQL", swiftSettings: ours),
        .executableTarget(name: "swiftwater-fuzz-sql", dependencies: ["ReferenceSQL"], path: "Tests/FuzzSQL", swiftSettings: ours),

        .target(name: "TestScripts", path: "Tests/TestScripts", swiftSettings: ours),
        .testTarget(name: "StreamCoreTests", dependencies: ["StreamCore", "CArrowData", "StreamTesting"], swiftSettings: ours),
        .testTarget(name: "StreamExpressionsTests", dependencies: ["StreamExpressions", "StreamTesting"], swiftSettings: ours),
        .testTarget(name: "StreamFormatsTests", dependencies: ["StreamFormats", "SchemaRegistry", "StreamCore"], swiftSettings: ours),
        .testTarget(name: "StreamOperatorsTests", dependencies: ["StreamOperators", "StreamRuntime", "StreamTesting"], swiftSettings: ours),
        .testTarget(
            name: "StreamServerTests", dependencies: ["HTTPServer", "JobControl", "StreamCore", "StreamRuntime", "StreamServer", "TestScripts", "swiftwater"], swiftSettings: ours,
            linkerSettings: arrowPath),
        .testTarget(
            name: "MetricsTests",
            dependencies: [
                "FileConnectors", "HTTPServer", "Monitoring", "RocksDBState", "StreamCore", "StreamOperators", "StreamRuntime", "StreamSQL", "StreamState", "StreamTesting",
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: ours),
        .testTarget(
            name: "InsightTests",
            dependencies: ["StreamOperators", "StreamExpressions", "StreamState", "StreamRuntime", "StreamSQL", "StreamTesting", "FileConnectors", "Topology", "TestScripts"],
            swiftSettings: ours),
        .testTarget(
            name: "AlertTests",
            dependencies: ["Alerts", "FileConnectors", "StreamCore", "StreamRuntime", "StreamSQL", "StreamTesting", "TestScripts", "Topology", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: ours),
        .executableTarget(
            name: "view-process",
            dependencies: [
                "FileConnectors", "HTTPConnector", "HTTPServer", "JobControl", "KinesisConnector", "StreamCore", "StreamRuntime", "StreamSQL", "Topology", "ViewConnector", "ViewService",
            ],
            path: "Tests/ViewProcess", swiftSettings: ours),
        .testTarget(
            name: "ViewTests",
            dependencies: [
                "view-process",
                "ViewConnector", "ViewService", "HTTPConnector", "HTTPServer", "JobControl", "FileConnectors", "StreamCore", "StreamRuntime", "StreamSQL", "StreamState",
                "StreamTesting", "TestScripts", "Topology",
            ],
            swiftSettings: ours),
        .testTarget(name: "DashboardTests", dependencies: ["Dashboard", "HTTPServer", "GzipCoding", "TestScripts"], swiftSettings: ours),
        .testTarget(name: "StreamRuntimeTests", dependencies: ["StreamCore", "StreamState", "StreamRuntime", "StreamTesting"], swiftSettings: ours),
        .testTarget(name: "StreamStateTests", dependencies: ["StreamCore", "StreamState", "StreamTesting", "CChecksum"], swiftSettings: ours),
        .testTarget(name: "RocksDBStateTests", dependencies: ["RocksDBState", "StreamCore", "StreamOperators"], swiftSettings: ours),
        .testTarget(name: "StreamSQLTests", dependencies: ["StreamSQL", "StreamTesting", "FileConnectors", "ReferenceSQL"], swiftSettings: ours),
        .testTarget(
            name: "NexmarkTests",
            dependencies: ["Nexmark", "ReferenceSQL", "StreamFormats", "StreamSQL", "StreamTesting", "FileConnectors"], swiftSettings: ours),
        .testTarget(
            name: "SQLiteCatalogTests",
            dependencies: ["SQLiteCatalog", "StreamSQL", "StreamRuntime", "FileConnectors", "StreamTesting", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: ours),
        .testTarget(
            name: "RestConnectorTests", dependencies: ["RestConnector", "StreamSQL", "StreamTesting", "FileConnectors"], swiftSettings: ours),
        .testTarget(name: "PythonFunctionsTests", dependencies: ["PythonFunctions", "StreamSQL", "StreamTesting"], swiftSettings: ours),
        .testTarget(name: "TopologyTests", dependencies: ["Topology", "StreamCore", "StreamSQL", "ReferenceSQL", "Yams"], swiftSettings: ours),
        .testTarget(
            name: "FileConnectorsTests", dependencies: ["FileConnectors", "ParquetFormat", "StreamFormats", "StreamTesting", "TestScripts", "CZlib"], swiftSettings: ours,
            linkerSettings: arrowPath),
        .testTarget(name: "AWSEndpointTests", dependencies: ["AWSEndpoint", "AWSProtocol", "HTTPServer", "TestScripts"], swiftSettings: ours),
        .testTarget(name: "ShardLogTests", dependencies: ["ShardLog", "CChecksum", "StreamTesting"], swiftSettings: ours),
        .testTarget(
            name: "KinesisServiceTests",
            dependencies: ["KinesisService", "AWSEndpoint", "AWSProtocol", "HTTPServer", "ShardLog", "TestScripts"], swiftSettings: ours),
        .testTarget(
            name: "DynamoDBServiceTests", dependencies: ["DynamoDBService", "AWSEndpoint", "AWSProtocol", "ShardLog", "TestScripts"],
            swiftSettings: ours),
        .testTarget(
            name: "FirehoseServiceTests",
            dependencies: [
                "AWSEndpoint", "AWSProtocol", "FileConnectors", "FirehoseService", "KinesisConnector", "OpenSearchConnector", "ShardLog", "StreamCore", "StreamRuntime",
                "StreamSQL", "TestScripts", "Topology",
            ],
            swiftSettings: ours),
        .testTarget(
            name: "HTTPConnectorTests",
            dependencies: [
                "HTTPConnector", "GzipCoding", "FileConnectors", "StreamCore", "StreamFormats", "StreamRuntime", "StreamSQL", "StreamTesting", "ShardLog",
                "Topology", "TestScripts",
            ],
            swiftSettings: ours),
        .testTarget(
            name: "OpenSearchConnectorTests",
            dependencies: [
                "OpenSearchConnector", "GzipCoding", "FileConnectors", "StreamCore", "StreamFormats", "StreamRuntime", "StreamSQL", "StreamTesting",
                "TestScripts",
            ],
            swiftSettings: ours),
        .testTarget(
            name: "KinesisConnectorTests",
            dependencies: [
                "AWSEndpoint", "AWSProtocol", "FileConnectors", "HTTPServer", "KinesisConnector", "KinesisService", "ShardLog", "StreamCore",
                "StreamRuntime", "StreamSQL", "StreamTesting", "TestScripts",
            ],
            swiftSettings: ours),
        .testTarget(
            name: "KafkaConnectorTests",
            dependencies: ["KafkaConnector", "SchemaRegistry", "StreamSQL", "StreamFormats", "FileConnectors", "StreamTesting", "CRdKafka"], swiftSettings: ours),
        .testTarget(
            name: "HudiTableTests", dependencies: ["HudiTable", "LakeTable", "ObjectStore", "StreamCore", "CArrowShim", "TestScripts"], swiftSettings: ours,
            linkerSettings: arrowPath),
        .testTarget(
            name: "ObjectTableTests", dependencies: ["DeltaTable", "HudiTable", "IcebergTable", "LakeTable", "StreamCore", "TestScripts"], swiftSettings: ours,
            linkerSettings: arrowPath),
        .testTarget(name: "ObjectStoreTests", dependencies: ["ObjectStore", "StreamCore", "TestScripts"], swiftSettings: ours),
        .testTarget(
            name: "DeltaTableTests",
            dependencies: ["DeltaTable", "LakeTable", "StreamCore", "StreamRuntime", "StreamSQL", "StreamTesting", "FileConnectors", "TestScripts"],
            swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(
            name: "IcebergTableTests",
            dependencies: ["IcebergTable", "LakeTable", "StreamCore", "StreamFormats", "StreamRuntime", "StreamSQL", "StreamTesting", "FileConnectors", "TestScripts"],
            swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(name: "SimulationTests", dependencies: ["Simulations", "StreamTesting", "StreamCore"], swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(name: "NotebookTests", dependencies: ["Notebook", "StreamCore", "TestScripts", "swiftwater"], swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(name: "StudioTests", dependencies: ["Dashboard", "HTTPServer", "Notebook", "StreamCore", "StreamServer", "TestScripts", "swiftwater"], swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(name: "FlinkClientTests", dependencies: ["FlinkClient", "StreamCore", "TestScripts"], swiftSettings: ours),
        .testTarget(
            name: "FlinkExportTests",
            dependencies: [
                "FileConnectors", "FlinkExport", "KinesisConnector", "ShardLog", "StreamCore", "StreamExpressions", "StreamFormats", "StreamRuntime", "StreamSQL", "StreamState", "StreamTesting",
            ],
            exclude: ["expected", "functions", "golden", "records"], swiftSettings: ours),
        .testTarget(
            name: "FlinkScriptTests",
            dependencies: [
                "DeltaTable", "FileConnectors", "HudiTable", "IcebergTable", "KafkaConnector", "KinesisConnector", "ParquetFormat", "SchemaRegistry", "StreamCore",
                "StreamFormats", "StreamRuntime", "StreamSQL", "StreamTesting",
            ],
            exclude: ["Data", "Expected", "Scripts"], swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(name: "CLITests", dependencies: ["StreamTesting", "TestScripts", "swiftwater"], swiftSettings: ours, linkerSettings: arrowPath),
        .testTarget(
            name: "ScenarioTests",
            dependencies: [
                "StreamSQL", "StreamState", "StreamFormats", "StreamTesting", "FileConnectors", "KinesisConnector", "ShardLog", "HudiTable", "ParquetFormat",
                "TableReplication", "TestScripts", "Topology",
            ],
            swiftSettings: ours, linkerSettings: arrowPath),
    ],
    cxxLanguageStandard: .cxx20
)
