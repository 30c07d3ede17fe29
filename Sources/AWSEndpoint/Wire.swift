import AWSProtocol
import HTTPServer

/// The form of answers on the wire.
enum Wire {
    /// How a request is written, and with it its answer.
    enum Form {
        /// `application/x-amz-json-1.1`; the version.
        case json(String)
        /// `application/x-amz-cbor-1.1`, as the Java SDK speaks it.
        case cbor
        /// Smithy's RPC protocol in CBOR; the service.
        case rpc(String)

        var encoding: AWSEncoding { if case .json = self { .json } else { .cbor } }

        var contentType: String {
            switch self {
            case .json(let version): "application/x-amz-json-\(version)"
            case .cbor: "application/x-amz-cbor-1.1"
            case .rpc: "application/cbor"
            }
        }

        /// Services read and write one kind of CBOR: the one that counts times in milliseconds.
        func received(_ body: [UInt8]) throws -> [UInt8] {
            guard case .rpc = self, !body.isEmpty else { return body }
            return CBOR.write(try CBOR.parse(body, times: .seconds))
        }

        func sent(_ encoded: [UInt8]) throws -> [UInt8] {
            guard case .rpc = self else { return encoded }
            return CBOR.write(try CBOR.parse(encoded), times: .seconds)
        }

        func encode(_ value: AWSValue) -> [UInt8] {
            switch self {
            case .json: AWSJSON.write(value)
            case .cbor: CBOR.write(value)
            case .rpc: CBOR.write(value, times: .seconds)
            }
        }

        func headers(_ id: String) -> [(String, String)] {
            let common = [("Content-Type", contentType), ("x-amzn-RequestId", id)]
            if case .rpc = self { return common + [("smithy-protocol", "rpc-v2-cbor")] }
            return common
        }

        func errorType(_ type: String) -> String { if case .rpc(let service) = self { "com.amazonaws.\(service)#\(type)" } else { type } }
    }

    /// - Parameter hasChecksum: DynamoDB's SDKs check the CRC-32 of an answer.
    static func response(_ response: AWSResponse, _ form: Form, _ id: String, hasChecksum: Bool) throws -> HTTPResponse {
        let body: [UInt8]
        switch response {
        case .output(.map(let members)) where members.isEmpty:
            // JSON 1.0 has an empty object where 1.1 has nothing.
            body = if case .json("1.1") = form { [] } else { form.encode(.map(members)) }
        case .output(let value): body = form.encode(value)
        case .encoded(let bytes): body = try form.sent(bytes)
        case .events(let run):
            return HTTPResponse(200, headers: [("Content-Type", "application/vnd.amazon.eventstream"), ("x-amzn-RequestId", id)]) { writer in
                // The client is gone or the stream has ended; there is nobody to tell.
                try? run(EventWriter(writer: writer, form: form))
            }
        }
        return HTTPResponse(200, headers: form.headers(id) + (hasChecksum ? [("x-amz-crc32", String(CRC32.of(body)))] : []), body: body)
    }

    static func error(_ error: AWSError, _ form: Form, _ id: String) -> HTTPResponse {
        var members = error.members
        members["__type"] = .string(form.errorType(error.type))
        if !error.message.isEmpty { members["message"] = .string(error.message) }
        return HTTPResponse(error.status, headers: form.headers(id) + [("x-amzn-ErrorType", error.type)], body: form.encode(.map(members)))
    }
}

private struct EventWriter: EventSender {
    let writer: any HTTPBodyWriter
    let form: Wire.Form

    var isClosed: Bool { writer.isClosed }

    func send(type: String, payload: AWSValue) throws {
        try writer.write(EventStreamMessage(headers: [(":message-type", "event"), (":event-type", type), (":content-type", form.contentType)],
                                            payload: form.encode(payload)).bytes())
    }

    func fail(_ error: AWSError) throws {
        try writer.write(EventStreamMessage(
            headers: [(":message-type", "exception"), (":exception-type", error.type), (":content-type", form.contentType)],
            payload: form.encode(["message": .string(error.message)])).bytes())
    }
}
