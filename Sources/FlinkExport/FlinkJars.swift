/// Libraries that a cluster needs beside Flink's own: newest releases that are known for a version of Flink.
public enum FlinkJars {
    /// The newest release of each minor version, whose formats and state backends have its number.
    static let releases: [FlinkVersion: String] = [
        FlinkVersion(1, 20): "1.20.3", FlinkVersion(2, 0): "2.0.1", FlinkVersion(2, 1): "2.1.1", FlinkVersion(2, 2): "2.2.0", FlinkVersion(2, 3): "2.3.0",
    ]

    private static func release(_ version: FlinkVersion) -> String { releases[version] ?? "\(version).0" }

    private static func format(_ name: String, _ version: FlinkVersion, _ reason: String) -> FlinkJar {
        FlinkJar(coordinates: "org.apache.flink:\(name):\(release(version))", reason: reason, remark: "take the one of the cluster's own release")
    }

    static func avro(_ version: FlinkVersion) -> FlinkJar { format("flink-sql-avro", version, "format 'avro'") }
    static func confluentAvro(_ version: FlinkVersion) -> FlinkJar { format("flink-sql-avro-confluent-registry", version, "formats 'avro-confluent' and 'debezium-avro-confluent'") }
    static func parquet(_ version: FlinkVersion) -> FlinkJar {
        var jar = format("flink-sql-parquet", version, "format 'parquet'")
        jar.remark = "take the one of the cluster's own release; it needs Hadoop's classes beside it (HADOOP_CLASSPATH, or hadoop-client-api and hadoop-client-runtime)"
        return jar
    }
    static func protobuf(_ version: FlinkVersion) -> FlinkJar { format("flink-sql-protobuf", version, "format 'protobuf'") }

    static func python(_ version: FlinkVersion) -> FlinkJar { format("flink-python", version, "functions written in Python") }

    static func kafka(_ version: FlinkVersion) -> FlinkJar {
        switch version {
        case FlinkVersion(1, 20): FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-kafka:3.4.0-1.20", reason: "connectors 'kafka' and 'upsert-kafka'")
        case FlinkVersion(2, 0): FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-kafka:4.0.1-2.0", reason: "connectors 'kafka' and 'upsert-kafka'")
        case FlinkVersion(2, 1): FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.1", reason: "connectors 'kafka' and 'upsert-kafka'",
                                          remark: "built against 2.1; 4.0.1-2.0 is the release before it")
        default: FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2", reason: "connectors 'kafka' and 'upsert-kafka'",
                          remark: version > FlinkVersion(2, 2) ? "none is published for Flink \(version) yet: this one is for 2.2" : nil)
        }
    }

    static func kinesis(_ version: FlinkVersion) -> FlinkJar {
        version.major == 1
            ? FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-aws-kinesis-streams:5.1.0-1.20", reason: "connector 'kinesis'",
                       remark: "not together with flink-sql-connector-kinesis, which has a connector of the same name")
            : FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-aws-kinesis-streams:6.0.0-2.0", reason: "connector 'kinesis'",
                       remark: version > FlinkVersion(2, 0) ? "none is published for Flink \(version) yet: this one is for 2.0" : nil)
    }

    static func hudi(_ version: FlinkVersion) -> FlinkJar {
        switch version {
        case FlinkVersion(1, 20), FlinkVersion(2, 0), FlinkVersion(2, 1): FlinkJar(coordinates: "org.apache.hudi:hudi-flink\(version)-bundle:1.2.0", reason: "connector 'hudi'", remark: hadoop)
        default: FlinkJar(coordinates: "org.apache.hudi:hudi-flink2.1-bundle:1.2.0", reason: "connector 'hudi'",
                          remark: "none is published for Flink \(version) yet: this one is for 2.1; \(hadoop)")
        }
    }

    static func iceberg(_ version: FlinkVersion) -> FlinkJar {
        version.major == 1
            ? FlinkJar(coordinates: "org.apache.iceberg:iceberg-flink-runtime-1.20:1.11.0", reason: "connector 'iceberg'", remark: hadoop)
            : FlinkJar(coordinates: "org.apache.iceberg:iceberg-flink-runtime-2.0:1.11.0", reason: "connector 'iceberg'",
                       remark: version > FlinkVersion(2, 0) ? "this one is for Flink 2.0: look whether one for \(version) is published; \(hadoop)" : hadoop)
    }

    private static let hadoop = "it needs Hadoop's classes beside it (HADOOP_CLASSPATH)"

    static func openSearch(_ version: FlinkVersion) -> FlinkJar? {
        guard version.major == 1 else { return nil }
        return FlinkJar(coordinates: "org.apache.flink:flink-sql-connector-opensearch:1.2.0-1.19", reason: "connector 'opensearch'",
                        remark: "none is published for Flink 1.20 yet: this one is for 1.19")
    }

    /// A file system that paths of the script name; nil for those that Flink has by itself.
    public static func fileSystem(_ path: String, _ version: FlinkVersion) -> FlinkJar? {
        let scheme = path.range(of: "://").map { String(path[..<$0.lowerBound]).lowercased() } ?? "file"
        let plugins = ["s3": "flink-s3-fs-hadoop", "s3a": "flink-s3-fs-hadoop", "s3p": "flink-s3-fs-presto", "gs": "flink-gs-fs-hadoop", "oss": "flink-oss-fs-hadoop",
                       "abfs": "flink-azure-fs-hadoop", "abfss": "flink-azure-fs-hadoop", "wasb": "flink-azure-fs-hadoop", "wasbs": "flink-azure-fs-hadoop"]
        guard let name = plugins[scheme] else { return nil }
        return FlinkJar(coordinates: "org.apache.flink:\(name):\(release(version))", reason: "paths that begin with \(scheme)://",
                        remark: "it is in Flink's folder opt: copy it to plugins/\(name)/")
    }
}

