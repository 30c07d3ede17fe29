import AWSProtocol
import Foundation
import StreamCore

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// An answer that is a stream of events. The network's thread adds bytes, another takes messages.
///
/// URLSession takes bytes as fast as they come. When its reader is far behind, the subscription is ended, and the reader makes
/// another one later.
final class Subscription: NSObject, URLSessionDataDelegate, @unchecked Sendable {  // SAFETY: all state is guarded by `condition`
    enum Event {
        case message(EventStreamMessage)
        case ended
    }

    private let condition = NSCondition()
    private var session: URLSession?
    private var bytes: [UInt8] = []
    private var start = 0
    /// The answer is an error; its body is collected.
    private var refusal: (status: Int, type: String?)?
    private var failure: KinesisFailure?
    private var isOver = false

    private static let bytesMax = 16 << 20
    /// The service sends an event every five seconds, if only to say that there is nothing.
    private static let silenceMax = 35.0

    init(_ request: URLRequest) {
        super.init()
        let session = URLSession(configuration: EndpointConnection.configuration(Self.silenceMax, connections: 1), delegate: self, delegateQueue: nil)
        self.session = session
        session.dataTask(with: request).resume()
    }

    /// The next message, or the end; nil when none came in that time.
    ///
    /// - Throws: ``KinesisFailure``.
    func next(seconds: Double) throws -> Event? {
        condition.lock()
        defer { condition.unlock() }
        let end = Date(timeIntervalSinceNow: seconds)
        while true {
            if refusal == nil {
                do {
                    if let (message, length) = try EventStreamMessage.parse(bytes[start...]) {
                        start += length
                        if start == bytes.count { (bytes, start) = ([], 0) }
                        return .message(message)
                    }
                } catch let error as AWSError { throw KinesisFailure(error.message) }
            }
            if isOver {
                if let refusal { throw KinesisFailure(status: refusal.status, header: refusal.type, body: bytes) }
                if let failure { throw failure }
                return .ended
            }
            guard condition.wait(until: end) else { return nil }
        }
    }

    func cancel() {
        condition.lock()
        let session = session
        self.session = nil
        condition.unlock()
        session?.invalidateAndCancel()
    }

    private func over(_ failure: KinesisFailure?) {
        condition.lock()
        if !isOver { (isOver, self.failure) = (true, failure) }
        condition.broadcast()
        condition.unlock()
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
                    completionHandler: @escaping (URLSession.ResponseDisposition) -> Void) {
        if let http = response as? HTTPURLResponse, http.statusCode != 200 {
            condition.lock()
            refusal = (http.statusCode, http.value(forHTTPHeaderField: "x-amzn-ErrorType"))
            condition.unlock()
        }
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        condition.lock()
        if start > 1 << 20 {
            bytes.removeFirst(start)
            start = 0
        }
        let isTooMuch = bytes.count - start > Self.bytesMax
        if !isTooMuch, !isOver { bytes += data }
        condition.broadcast()
        condition.unlock()
        if isTooMuch {
            over(nil)
            cancel()
        }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        over(error.map { KinesisFailure(EndpointConnection.text($0)) })
        cancel()
    }
}
