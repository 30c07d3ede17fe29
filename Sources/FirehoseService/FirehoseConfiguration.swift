import AWSProtocol
import FileConnectors
import Foundation
import StreamCore
import Topology

/// Makes delivery streams of what the API is given, and refuses by name what cannot be done here.
struct FirehoseConfiguration {
    /// Buckets are directories in `<data>/buckets`.
    var data: String

    /// How CreateDeliveryStream and UpdateDestination name the destinations that are known here.
    private static let updates = [
        "S3DestinationConfiguration": "S3DestinationUpdate", "ExtendedS3DestinationConfiguration": "ExtendedS3DestinationUpdate",
        "AmazonopensearchserviceDestinationConfiguration": "AmazonopensearchserviceDestinationUpdate",
        "ElasticsearchDestinationConfiguration": "ElasticsearchDestinationUpdate",
        "HttpEndpointDestinationConfiguration": "HttpEndpointDestinationUpdate",
    ]
    private static let refused = [
        "RedshiftDestination", "SplunkDestination", "AmazonOpenSearchServerlessDestination", "SnowflakeDestination", "IcebergDestination",
    ]

    private static func refuse(_ what: String, _ advice: String) -> AWSError { FirehoseService.invalid("\(what) is not supported here: \(advice)") }

    // MARK: Streams

    func stream(_ input: AWSValue, region: String, accountID: String, host: StreamCore.Host) throws -> StoredStream {
        let name = input["DeliveryStreamName"]!.string!, now = host.now()
        let given = (Self.updates.keys + Self.refused.map { $0 + "Configuration" }).filter { input[$0] != nil }
        guard given.count == 1 else { throw FirehoseService.invalid("Exactly one destination configuration is supported for a Firehose") }
        guard Self.updates[given[0]] != nil else { throw Self.refuse(given[0], "use ExtendedS3DestinationConfiguration") }
        guard DeliveryStream.isName(name) else { throw FirehoseService.invalid("\(name) cannot name a delivery stream") }
        let source = try source(input, now)
        let definition = try self.definition(name, source, kind: given[0], input[given[0]]!)
        var stored = StoredStream(definition: definition, origin: .api, jobID: host.uuid(), created: now)
        (stored.region, stored.accountID) = (region, accountID)
        stored.destinationKind = given[0]
        stored.configuration = StoredStream.json(input[given[0]]!)
        stored.sourceConfiguration = input["KinesisStreamSourceConfiguration"].map(StoredStream.json)
        if let given = input["DeliveryStreamEncryptionConfigurationInput"] {
            guard case .directPut = source else { throw FirehoseService.invalid("DeliveryStreamEncryptionConfigurationInput is only applicable for DirectPut stream type") }
            stored.encryption = try Self.encryption(given)
        }
        return stored
    }

    static func encryption(_ given: AWSValue) throws -> StoredStream.Encryption {
        let type = given["KeyType"]?.string ?? "AWS_OWNED_CMK", arn = given["KeyARN"]?.string
        guard (type == "CUSTOMER_MANAGED_CMK") == (arn != nil) else {
            throw FirehoseService.invalid(arn == nil ? "KeyARN is required when KeyType is CUSTOMER_MANAGED_CMK" : "KeyARN is only applicable when KeyType is CUSTOMER_MANAGED_CMK")
        }
        return StoredStream.Encryption(keyType: type, keyARN: arn)
    }

    private func source(_ input: AWSValue, _ now: Int64) throws -> DeliveryStream.Source {
        for other in ["MSKSourceConfiguration", "DatabaseSourceConfiguration"] where input[other] != nil {
            throw Self.refuse(other, "records are put, or read from a Kinesis stream")
        }
        let type = input["DeliveryStreamType"]?.string ?? "DirectPut"
        guard type == "DirectPut" || type == "KinesisStreamAsSource" else { throw Self.refuse("DeliveryStreamType \(type)", "use DirectPut or KinesisStreamAsSource") }
        let kinesis = input["KinesisStreamSourceConfiguration"]
        guard type == "KinesisStreamAsSource" else {
            guard kinesis == nil else { throw FirehoseService.invalid("KinesisSourceStreamConfig is only applicable for KinesisStreamAsSource stream type") }
            return .directPut
        }
        guard let arn = kinesis?["KinesisStreamARN"]?.string, let stream = arn.split(separator: "/").last else {
            throw FirehoseService.invalid("KinesisStreamSourceConfig is required for KinesisStreamAsSource stream type")
        }
        // As the service: what comes from now on.
        return .stream(String(stream), from: .time(now))
    }

    /// Members that the update gives take the place of those before.
    func update(_ stored: inout StoredStream, with input: AWSValue) throws {
        let given = (Self.updates.values + Self.refused.map { $0 + "Update" }).filter { input[$0] != nil }
        guard given.count == 1 else { throw FirehoseService.invalid("Exactly one destination update is supported for a Firehose") }
        guard let kind = Self.updates.first(where: { $0.value == given[0] })?.key else { throw Self.refuse(given[0], "use ExtendedS3DestinationUpdate") }
        let s3 = ["S3DestinationConfiguration", "ExtendedS3DestinationConfiguration"], known = stored.destinationKind ?? ""
        guard kind == known || s3.contains(kind) && s3.contains(known) else {
            throw FirehoseService.invalid("Changing the destination type to or from Amazon S3 or another destination is not allowed: this one has \(known)")
        }
        var members = StoredStream.value(stored.configuration).map ?? [:]
        for (name, value) in input[given[0]]!.map ?? [:] {
            let name = name == "S3Update" ? "S3Configuration" : name == "S3BackupUpdate" ? "S3BackupConfiguration" : name
            if case .map(let changes) = value, name.hasPrefix("S3"), case .map(let before) = members[name] {
                members[name] = .map(before.merging(changes) { $1 })
            } else {
                members[name] = value
            }
        }
        let version = stored.definition.version
        stored.destinationKind = known == s3[1] ? known : kind
        stored.configuration = StoredStream.json(.map(members))
        stored.definition = try definition(stored.name, stored.definition.source, kind: kind, .map(members))
        stored.definition.version = version
    }

    // MARK: Destinations

    private func definition(_ name: String, _ source: DeliveryStream.Source, kind: String, _ given: AWSValue) throws -> DeliveryStream {
        var stream = DeliveryStream(name: name, source: source, destination: .files(.init(directory: "")))
        try refuseAnywhere(given)
        switch kind {
        case "S3DestinationConfiguration", "ExtendedS3DestinationConfiguration":
            var files = try self.files(given)
            if given["DataFormatConversionConfiguration"]?["Enabled"]?.bool ?? (given["DataFormatConversionConfiguration"] != nil) {
                throw Self.refuse("DataFormatConversionConfiguration", "write a SQL job to a table of the lake instead")
            }
            try process(given["ProcessingConfiguration"], &stream, &files)
            let isPartitioned = given["DynamicPartitioningConfiguration"]?["Enabled"]?.bool ?? false
            guard isPartitioned || stream.partitionKeys.isEmpty else {
                throw FirehoseService.invalid("MetadataExtraction processor is only supported with DynamicPartitioning enabled")
            }
            if isPartitioned, given["BufferingHints"] == nil { files.bufferBytes = 128 << 20 }
            try checkPrefixes(files)
            stream.destination = .files(files)
            if given["S3BackupMode"]?.string == "Enabled" {
                guard let backup = given["S3BackupConfiguration"] else { throw FirehoseService.invalid("S3BackupConfiguration is required when S3BackupMode is Enabled") }
                let files = try self.files(backup)
                try checkPrefixes(files)
                stream.backup = files
            }
        case "HttpEndpointDestinationConfiguration":
            try http(given, &stream)
        default:
            try openSearch(given, &stream)
        }
        return stream
    }

    /// Options that would be silently of no effect.
    private func refuseAnywhere(_ given: AWSValue) throws {
        if given["CloudWatchLoggingOptions"]?["Enabled"]?.bool == true {
            throw Self.refuse("CloudWatchLoggingOptions", "failures are in DescribeDeliveryStream and on the service's standard error; set Enabled to false")
        }
        if given["SecretsManagerConfiguration"]?["Enabled"]?.bool == true { throw Self.refuse("SecretsManagerConfiguration", "set Enabled to false") }
        if given["VpcConfiguration"] != nil { throw Self.refuse("VpcConfiguration", "leave it out") }
    }

    private func files(_ given: AWSValue) throws -> DeliveryStream.Files {
        try refuseAnywhere(given)
        if given["EncryptionConfiguration"]?["KMSEncryptionConfig"] != nil {
            throw Self.refuse("KMSEncryptionConfig", "files are not encrypted; use NoEncryptionConfig, and an encrypted disk")
        }
        let bucket = given["BucketARN"]?.string?.split(separator: ":").last.map(String.init) ?? ""
        guard !bucket.isEmpty, bucket != ".", bucket != "..", !bucket.contains("/") else { throw FirehoseService.invalid("BucketARN \(given["BucketARN"]?.string ?? "") names no bucket") }
        var files = DeliveryStream.Files(directory: "\(data)/buckets/\(bucket)")
        files.prefix = given["Prefix"]?.string ?? ""
        files.errorPrefix = given["ErrorOutputPrefix"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        files.bufferBytes = (given["BufferingHints"]?["SizeInMBs"]?.integer ?? 5) << 20
        files.bufferInterval = Int64(given["BufferingHints"]?["IntervalInSeconds"]?.integer ?? 300) * 1_000
        switch given["CompressionFormat"]?.string ?? "UNCOMPRESSED" {
        case "UNCOMPRESSED": break
        case "GZIP": files.compression = "gzip"
        case let other: throw Self.refuse("CompressionFormat \(other)", "use GZIP or UNCOMPRESSED")
        }
        files.fileExtension = given["FileExtension"]?.string ?? ""
        if let zone = given["CustomTimeZone"]?.string, !zone.isEmpty {
            guard TimeZone(identifier: zone) != nil else { throw FirehoseService.invalid("CustomTimeZone \(zone) is not a time zone") }
            files.timeZone = zone
        }
        files.delimiter = ""
        return files
    }

    private func checkPrefixes(_ files: DeliveryStream.Files) throws {
        for prefix in [files.prefix, files.errorPrefix ?? ""] { _ = try DeliveryPrefix(prefix) }
        guard files.prefix.contains("!{") || files.errorPrefix?.contains("!{") ?? false else { return }
        guard let errors = files.errorPrefix else {
            throw FirehoseService.invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions")
        }
        if errors.contains("!{"), !errors.contains("!{firehose:error-output-type}") {
            throw FirehoseService.invalid("ErrorOutputPrefix must contain at least one instance of !{firehose:error-output-type} expression")
        }
        if files.prefix.contains("!{firehose:error-output-type}") { throw FirehoseService.invalid("Prefix cannot contain !{firehose:error-output-type} expression") }
        if errors.contains("!{partitionKeyFrom") { throw FirehoseService.invalid("ErrorOutputPrefix cannot contain partition keys") }
    }

    private func http(_ given: AWSValue, _ stream: inout DeliveryStream) throws {
        let endpoint = given["EndpointConfiguration"], hints = given["BufferingHints"], request = given["RequestConfiguration"]
        var failed = try files(given["S3Configuration"] ?? .map([:]))
        try checkPrefixes(failed)
        try process(given["ProcessingConfiguration"], &stream, &failed)
        guard stream.partitionKeys.isEmpty else { throw FirehoseService.invalid("MetadataExtraction processor is only supported for S3 destinations") }
        var options = [
            "url": endpoint?["Url"]?.string ?? "", "request-format": "firehose", "sink.bulk-flush.max-size": "\(hints?["SizeInMBs"]?.integer ?? 5) mb",
            "sink.bulk-flush.interval": "\(max(hints?["IntervalInSeconds"]?.integer ?? 300, 1)) s",
            "content-encoding": request?["ContentEncoding"]?.string == "GZIP" ? "gzip" : "none",
        ]
        if let key = endpoint?["AccessKey"]?.string, !key.isEmpty { options["access-key"] = key }
        for attribute in request?["CommonAttributes"]?.list ?? [] {
            options["common-attributes." + (attribute["AttributeName"]?.string ?? "")] = attribute["AttributeValue"]?.string ?? ""
        }
        stream.destination = .table(.init(connector: .http, options: options), failed: failed)
        if given["S3BackupMode"]?.string == "AllData" { stream.backup = failed }
    }

    private func openSearch(_ given: AWSValue, _ stream: inout DeliveryStream) throws {
        guard let endpoint = given["ClusterEndpoint"]?.string else {
            throw given["DomainARN"] == nil ? FirehoseService.invalid("One of DomainARN and ClusterEndpoint is required")
                : Self.refuse("DomainARN", "name the cluster with ClusterEndpoint")
        }
        guard given["IndexRotationPeriod"]?.string == "NoRotation" else {
            throw Self.refuse("IndexRotationPeriod \(given["IndexRotationPeriod"]?.string ?? "OneDay")", "set it to NoRotation")
        }
        if let type = given["TypeName"]?.string, !type.isEmpty { throw Self.refuse("TypeName", "leave it out: indexes have no types any more") }
        var failed = try files(given["S3Configuration"] ?? .map([:]))
        try checkPrefixes(failed)
        try process(given["ProcessingConfiguration"], &stream, &failed)
        guard stream.partitionKeys.isEmpty else { throw FirehoseService.invalid("MetadataExtraction processor is only supported for S3 destinations") }
        let hints = given["BufferingHints"]
        stream.destination = .table(.init(connector: .openSearch, options: [
            "hosts": endpoint, "index": given["IndexName"]!.string!, "sink.bulk-flush.max-size": "\((hints?["SizeInMBs"]?.integer ?? 5)) mb",
            "sink.bulk-flush.interval": "\(max(hints?["IntervalInSeconds"]?.integer ?? 300, 1)) s",
        ]), failed: failed)
        if given["S3BackupMode"]?.string == "AllDocuments" { stream.backup = failed }
    }

    // MARK: Processing

    private func process(_ given: AWSValue?, _ stream: inout DeliveryStream, _ files: inout DeliveryStream.Files) throws {
        guard given?["Enabled"]?.bool ?? false else { return }
        for processor in given?["Processors"]?.list ?? [] {
            let type = processor["Type"]?.string ?? ""
            func parameter(_ name: String) -> String? {
                processor["Parameters"]?.list?.first { $0["ParameterName"]?.string == name }?["ParameterValue"]?.string
            }
            switch type {
            case "AppendDelimiterToRecord":
                files.delimiter = (parameter("Delimiter") ?? "\\n").replacing("\\n", with: "\n").replacing("\\r", with: "\r").replacing("\\t", with: "\t")
            case "MetadataExtraction":
                guard parameter("JsonParsingEngine") ?? "JQ-1.6" == "JQ-1.6" else { throw FirehoseService.invalid("JsonParsingEngine must be JQ-1.6") }
                let keys = try Self.partitionKeys(parameter("MetadataExtractionQuery") ?? "")
                stream.partitionKeys = keys.map(\.name)
                stream.transform = .query("SELECT `data`" + keys.map { ", JSON_VALUE(`data`, '\($0.path)') AS `\($0.name)`" }.joined() + " FROM record")
            default: throw Self.refuse("Processor \(type)", "define the delivery stream in a topology file, with a SELECT as its transform")
            }
        }
    }

    /// `{customer:.customer.id, kind: .type}`: of jq, as much as names members.
    private static func partitionKeys(_ query: String) throws -> [(name: String, path: String)] {
        func refusal() -> AWSError { refuse("MetadataExtractionQuery \(query)", "write it as in {customer: .customer.id, kind: .type}") }
        let text = query.trimmingCharacters(in: .whitespaces)
        guard text.hasPrefix("{"), text.hasSuffix("}") else { throw refusal() }
        func isWord(_ text: some StringProtocol) -> Bool {
            !text.isEmpty && text.utf8.allSatisfy { ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || $0 == 0x5F }
        }
        let keys = try text.dropFirst().dropLast().split(separator: ",").map { pair -> (name: String, path: String) in
            let parts = pair.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2, parts[1].hasPrefix(".") else { throw refusal() }
            let name = parts[0].trimmingCharacters(in: CharacterSet(charactersIn: "\"")), members = parts[1].dropFirst().split(separator: ".", omittingEmptySubsequences: false)
            guard isWord(name), !members.isEmpty, members.allSatisfy({ isWord($0) }) else { throw refusal() }
            return (name, "$." + members.joined(separator: "."))
        }
        guard !keys.isEmpty, !keys.contains(where: { $0.name == "data" }), Set(keys.map(\.name)).count == keys.count else { throw refusal() }
        return keys
    }
}
