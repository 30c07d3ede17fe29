import Foundation
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// What came of one HTTP request.
struct HTTPAnswer: Sendable {
    /// 0 when there was none: `problem` says why.
    var status: Int
    /// Names in lower case.
    var headers: [String: String] = [:]
    var body = Data()
    var problem = ""
}

/// Makes HTTP requests over connections that are kept, TLS among them. For threads that may block; any number of them.
final class HTTPTransport: Sendable {
    private let session: URLSession

    /// - Parameter timeout: seconds without any progress.
    init(timeout: Double, connections: Int) {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = timeout
        configuration.httpMaximumConnectionsPerHost = connections
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.urlCache = nil
        configuration.httpShouldSetCookies = false
        session = URLSession(configuration: configuration)
    }

    deinit { session.finishTasksAndInvalidate() }

    /// Sends a request; `HTTPExchange.wait` has the answer.
    func start(_ method: String, _ url: URL, headers: [(name: String, value: String)], body: [UInt8]?) -> HTTPExchange {
        var request = URLRequest(url: url)
        request.httpMethod = method
        if let body { request.httpBody = Data(body) }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let exchange = HTTPExchange()
        session.dataTask(with: request) { data, response, error in
            guard let http = response as? HTTPURLResponse, error == nil else {
                return exchange.end(HTTPAnswer(status: 0, problem: error.map(Self.text) ?? "there was no answer"))
            }
            var headers: [String: String] = [:]
            for (name, value) in http.allHeaderFields { if let name = name as? String { headers[name.lowercased()] = value as? String } }
            exchange.end(HTTPAnswer(status: http.statusCode, headers: headers, body: data ?? Data()))
        }.resume()
        return exchange
    }

    private static func text(_ error: any Error) -> String {
        let error = error as NSError
        return error.domain == NSURLErrorDomain && error.code == NSURLErrorTimedOut ? "no answer came in time" : error.localizedDescription
    }
}

/// A request that is under way.
final class HTTPExchange: Sendable {
    private let answer = Mutex<HTTPAnswer?>(nil)
    private let done = DispatchSemaphore(value: 0)

    fileprivate func end(_ answer: HTTPAnswer) {
        self.answer.withLock { $0 = answer }
        done.signal()
    }

    /// Blocks until the answer comes. To be called once.
    func wait() -> HTTPAnswer {
        done.wait()
        return answer.withLock { $0! }
    }
}
