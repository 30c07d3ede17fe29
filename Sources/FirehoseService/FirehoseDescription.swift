import AWSProtocol
import StreamCore
import Topology

extension StoredStream {
    /// Streams have one destination.
    static let destinationID = "destinationId-000000000001"

    var type: String {
        if case .directPut = definition.source { "DirectPut" } else { "KinesisStreamAsSource" }
    }
}

extension FirehoseService {
    func describe(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let stored = try stream(input, request)
        var description: [String: AWSValue] = [
            "DeliveryStreamName": .string(stored.name), "DeliveryStreamARN": .string(stored.arn),
            "DeliveryStreamStatus": .string(stored.isDeleting ? "DELETING" : "ACTIVE"), "DeliveryStreamType": .string(stored.type),
            "VersionId": .string(String(stored.definition.version)), "CreateTimestamp": .timestamp(Double(stored.created) / 1_000),
            "Destinations": [destination(stored)], "HasMoreDestinations": false,
        ]
        if let updated = stored.updated { description["LastUpdateTimestamp"] = .timestamp(Double(updated) / 1_000) }
        if let failure = runner.failure(stored.name) { description["FailureDescription"] = ["Type": "UNKNOWN_ERROR", "Details": .string(failure)] }
        switch stored.definition.source {
        case .directPut:
            var encryption: [String: AWSValue] = ["Status": stored.encryption == nil ? "DISABLED" : "ENABLED"]
            encryption["KeyType"] = (stored.encryption?.keyType).map { .string($0) }
            encryption["KeyARN"] = (stored.encryption?.keyARN).map { .string($0) }
            description["DeliveryStreamEncryptionConfiguration"] = .map(encryption)
        case .stream(let stream, _):
            var source = StoredStream.value(stored.sourceConfiguration).map ?? [
                "KinesisStreamARN": .string("arn:aws:kinesis:\(stored.region):\(stored.accountID):stream/\(stream)"), "RoleARN": .string(Self.role(stored)),
            ]
            source["DeliveryStartTimestamp"] = .timestamp(Double(stored.created) / 1_000)
            description["Source"] = ["KinesisStreamSourceDescription": .map(source)]
        case .table: break
        }
        return .output(["DeliveryStreamDescription": .map(description)])
    }

    private static func role(_ stored: StoredStream) -> String { "arn:aws:iam::\(stored.accountID):role/swiftwater" }

    private func destination(_ stored: StoredStream) -> AWSValue {
        var out: [String: AWSValue] = ["DestinationId": .string(StoredStream.destinationID)]
        guard let kind = stored.destinationKind else {
            // Of a topology: as the API would have been told of it.
            let given = Self.configuration(stored.definition.destination.files, stored)
            out["S3DestinationDescription"] = Self.s3(given)
            out["ExtendedS3DestinationDescription"] = Self.extended(given)
            return .map(out)
        }
        let given = StoredStream.value(stored.configuration)
        switch kind {
        case "S3DestinationConfiguration": out["S3DestinationDescription"] = Self.s3(given)
        case "ExtendedS3DestinationConfiguration":
            out["S3DestinationDescription"] = Self.s3(given)
            out["ExtendedS3DestinationDescription"] = Self.extended(given)
        default:
            var members = given.map ?? [:]
            members["S3DestinationDescription"] = members.removeValue(forKey: "S3Configuration").map(Self.s3)
            if case .map(var endpoint) = members["EndpointConfiguration"] {
                endpoint["AccessKey"] = nil
                members["EndpointConfiguration"] = .map(endpoint)
            }
            if members["BufferingHints"] == nil { members["BufferingHints"] = ["SizeInMBs": 5, "IntervalInSeconds": 300] }
            out[kind.replacing("Configuration", with: "Description")] = .map(members)
        }
        return .map(out)
    }

    private static let s3Members: Set<String> = [
        "RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", "BufferingHints", "CompressionFormat", "EncryptionConfiguration", "CloudWatchLoggingOptions",
    ]

    private static func withDefaults(_ given: AWSValue) -> [String: AWSValue] {
        var members = given.map ?? [:]
        var hints = members["BufferingHints"]?.map ?? [:]
        hints["SizeInMBs"] = hints["SizeInMBs"] ?? 5
        hints["IntervalInSeconds"] = hints["IntervalInSeconds"] ?? 300
        members["BufferingHints"] = .map(hints)
        members["CompressionFormat"] = members["CompressionFormat"] ?? "UNCOMPRESSED"
        members["EncryptionConfiguration"] = members["EncryptionConfiguration"] ?? ["NoEncryptionConfig": "NoEncryption"]
        members["CloudWatchLoggingOptions"] = members["CloudWatchLoggingOptions"] ?? ["Enabled": false]
        return members
    }

    private static func s3(_ given: AWSValue) -> AWSValue { .map(withDefaults(given).filter { s3Members.contains($0.key) }) }

    private static func extended(_ given: AWSValue) -> AWSValue {
        var members = withDefaults(given)
        members["S3BackupMode"] = members["S3BackupMode"] ?? "Disabled"
        if let backup = members.removeValue(forKey: "S3BackupConfiguration") { members["S3BackupDescription"] = s3(backup) }
        return .map(members)
    }

    private static func configuration(_ files: DeliveryStream.Files, _ stored: StoredStream) -> AWSValue {
        let last = files.directory.split(separator: "/").last.map(String.init) ?? "files"
        let bucket = String(last.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_") ? $0 : "-" })
        var members: [String: AWSValue] = [
            "RoleARN": .string(role(stored)), "BucketARN": .string("arn:aws:s3:::\(bucket)"), "Prefix": .string(files.prefix),
            "BufferingHints": [
                "SizeInMBs": .integer(Int64(max(1, files.bufferBytes >> 20))), "IntervalInSeconds": .integer((files.bufferInterval + 999) / 1_000),
            ], "CompressionFormat": files.compression == "gzip" ? "GZIP" : "UNCOMPRESSED",
        ]
        members["ErrorOutputPrefix"] = files.errorPrefix.map { .string($0) }
        if !files.fileExtension.isEmpty { members["FileExtension"] = .string(files.fileExtension) }
        if files.timeZone != "UTC" { members["CustomTimeZone"] = .string(files.timeZone) }
        return .map(members)
    }
}
