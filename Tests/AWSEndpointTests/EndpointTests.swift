import AWSEndpoint
import AWSProtocol
import Foundation
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

@Suite struct EndpointTests {
    struct Echo: AWSService {
        let targetPrefix = "Echo_1"
        func handle(_ request: AWSRequest) throws -> AWSResponse {
            switch request.operation {
            case "Say": return .output(try request.rawInput())
            case "Refuse": throw AWSError("ResourceNotFoundException", "there is none")
            default: throw AWSError.unknownOperation()
            }
        }
    }

    func post(_ endpoint: AWSEndpoint, _ operation: String, _ body: String) async throws -> (Int, String) {
        var request = URLRequest(url: URL(string: "http://127.0.0.1:\(endpoint.port)/")!)
        request.httpMethod = "POST"
        request.setValue("Echo_1." + operation, forHTTPHeaderField: "X-Amz-Target")
        request.setValue("application/x-amz-json-1.1", forHTTPHeaderField: "Content-Type")
        request.httpBody = Data(body.utf8)
        let (data, response) = try await URLSession.shared.data(for: request)
        return ((response as! HTTPURLResponse).statusCode, String(decoding: data, as: UTF8.self))
    }

    @Test func `requests are answered by the service that their target names`() async throws {
        let endpoint = try AWSEndpoint(services: [Echo()])
        defer { endpoint.stop() }
        #expect(try await post(endpoint, "Say", "{\"b\":1,\"a\":\"x\"}") == (200, "{\"a\":\"x\",\"b\":1}"))
        #expect(try await post(endpoint, "Refuse", "{}") == (400, "{\"__type\":\"ResourceNotFoundException\",\"message\":\"there is none\"}"))
        #expect(try await post(endpoint, "Sing", "{}").1.contains("UnknownOperationException"))
        #expect(try await post(endpoint, "Say", "{").1.contains("SerializationException"))
    }
}
