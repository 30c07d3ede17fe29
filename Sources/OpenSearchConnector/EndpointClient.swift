import Foundation
import StreamCore
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// What came of one HTTP request.
struct EndpointAnswer: Sendable {
    /// 0 when there was none: ``problem`` says why.
    var status: Int
    var body: [UInt8]
    var problem: String
}

/// Makes HTTP requests one after another, to the next of several servers when one does not answer. One thread at a time.
final class EndpointClient {
    /// `http://host:port`, without a slash at the end.
    let servers: [String]
    private let headers: [(String, String)]
    private let timeout: Double
    private let session: URLSession
    private var next = 0

    /// - Parameter timeout: seconds for a request as a whole.
    init(servers: [String], headers: [(String, String)], timeout: Double) {
        self.servers = servers
        self.headers = headers
        self.timeout = timeout
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = timeout
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.httpShouldSetCookies = false
        session = URLSession(configuration: configuration)
    }

    deinit { session.invalidateAndCancel() }

    var server: String { servers[next] }

    func post(_ path: String, _ body: [UInt8], headers more: [(String, String)] = []) throws -> EndpointAnswer {
        let address = server + path
        guard let url = URL(string: address) else { throw StreamError(.validate, "\(address) is no URL", fix: "check the address of the endpoint") }
        var request = URLRequest(url: url, timeoutInterval: timeout)
        request.httpMethod = "POST"
        request.httpBody = Data(body)
        for (name, value) in headers + more { request.setValue(value, forHTTPHeaderField: name) }
        let done = DispatchSemaphore(value: 0)
        let box = AnswerBox()
        session.dataTask(with: request) { data, response, error in
            box.result.withLock {
                if let error {
                    $0 = EndpointAnswer(status: 0, body: [], problem: "cannot be reached: \(error.localizedDescription)")
                } else if let status = (response as? HTTPURLResponse)?.statusCode {
                    $0 = EndpointAnswer(status: status, body: data.map { Array($0) } ?? [], problem: "gave status \(status)")
                } else {
                    $0 = EndpointAnswer(status: 0, body: [], problem: "gave no HTTP answer")
                }
            }
            done.signal()
        }.resume()
        done.wait()
        let answer = box.result.withLock { $0! }
        if answer.status == 0 || answer.status >= 500 { next = (next + 1) % servers.count }
        return answer
    }

    private final class AnswerBox: Sendable {
        let result = Mutex<EndpointAnswer?>(nil)
    }
}

/// Text as JSON.
enum JSONText {
    static func append(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 10: out += Array("\\n".utf8)
            case 13: out += Array("\\r".utf8)
            case 9: out += Array("\\t".utf8)
            case 0..<0x20: out += Array("\\u00".utf8) + [byte < 16 ? 0x30 : 0x31, Array("0123456789abcdef".utf8)[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
