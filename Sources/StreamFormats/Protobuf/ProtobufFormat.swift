import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// `'format' = 'protobuf'`: one message of Google's Protocol Buffers per record, described by a descriptor file.
///
/// Where Flink names a Java class that is generated for the message, here `protobuf.descriptor-file` is what
/// `protoc --include_imports --descriptor_set_out=FILE` writes, and `protobuf.message-name` a message in it;
/// `protobuf.message-class-name` finds it by the name of that class.
public struct ProtobufFormat: Format {
    public init() {}
    public var name: String { "protobuf" }
    public var optionKeys: Set<String> {
        Set(["descriptor-file", "message-name", "message-class-name", "ignore-parse-errors", "read-default-values", "write-null-string-literal"]
            .map { "protobuf." + $0 })
    }
    public var needsMessages: Bool { true }
    public var findsRowPartsByName: Bool { true }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try ProtobufRecordDecoder(schema: table.schema, projection: projection, options: ProtobufOptions(table), metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        try ProtobufRecordEncoder(schema: table.schema, options: ProtobufOptions(table))
    }
}

/// The options of a table, with the message that they name.
struct ProtobufOptions {
    let table: String
    let descriptors: ProtobufDescriptors
    let message: ProtobufDescriptors.Message
    let ignoreErrors: Bool
    let readsDefaults: Bool
    let nullText: String

    init(_ table: TableDescriptor) throws {
        self.table = table.name
        let options = FormatOptions(table: table)
        let fileKey = "protobuf.descriptor-file", nameKey = table.options["protobuf.message-name"] == nil && table.options["protobuf.message-class-name"] != nil
            ? "protobuf.message-class-name" : "protobuf.message-name"
        guard let path = options.string(fileKey) else {
            throw StreamError(.validate, "table \(table.name): the option '\(fileKey)' is missing",
                              fix: "write it with protoc --include_imports --descriptor_set_out=FILE your.proto, and add '\(fileKey)' = 'FILE'")
        }
        guard let name = options.string(nameKey) else {
            throw StreamError(.validate, "table \(table.name): the option '\(nameKey)' is missing", fix: "add '\(nameKey)' = 'package.Message'")
        }
        let bytes: [UInt8]
        do { bytes = try Self.contents(path) } catch let error as StreamError {
            throw options.error("option '\(fileKey)' = '\(path)': \(error.problem)", fix: "give the path of a file that can be read", key: fileKey)
        }
        do { descriptors = try ProtobufDescriptors(bytes) } catch let error as StreamError {
            throw options.error("option '\(fileKey)' = '\(path)': \(error.problem)",
                                fix: "write the file with protoc --include_imports --descriptor_set_out=FILE your.proto", key: fileKey)
        }
        guard let message = descriptors.message(name) else {
            let near = NearName.hint(for: name, in: descriptors.messages.values.filter { !$0.isMapEntry }.map(\.name))
            throw options.error("option '\(nameKey)' = '\(name)': there is no such message in \(path)", fix: near, key: nameKey)
        }
        self.message = message
        ignoreErrors = try options.bool("protobuf.ignore-parse-errors")
        readsDefaults = try options.bool("protobuf.read-default-values")
        nullText = options.string("protobuf.write-null-string-literal") ?? ""
    }

    private static func contents(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw StreamError(.io, "it cannot be opened: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var bytes: [UInt8] = [], piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = fread(&piece, 1, piece.count, file)
            if n == 0 { break }
            bytes += piece[..<n]
        }
        guard ferror(file) == 0 else { throw StreamError(.io, "it cannot be read: \(String(cString: strerror(errno)))") }
        return bytes
    }

    func error(_ column: String, _ problem: String, _ fix: String?) -> StreamError {
        StreamError(.validate, "table \(table): column \(column) \(problem)", fix: fix)
    }

    /// The fields of map entries: key and value.
    func entry(_ field: ProtobufDescriptors.Field) -> (key: ProtobufDescriptors.Field, value: ProtobufDescriptors.Field)? {
        guard field.isRepeated, field.kind == .message, let type = descriptors.messages[field.typeName], type.isMapEntry,
              let key = type.fields.first(where: { $0.number == 1 }), let value = type.fields.first(where: { $0.number == 2 }) else { return nil }
        return (key, value)
    }
}
