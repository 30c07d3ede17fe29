import Dispatch
import Synchronization

/// The same for many things, side by side.
package enum Parallel {
    /// Threads pay for files that have so many bytes together.
    package static let fewBytes: Int64 = 16 << 20

    /// Calls `body` for each number on up to `threads` threads; throws the error of the smallest one that failed.
    package static func forEach(_ n: Int, _ threads: Int, _ body: (Int) throws -> Void) throws {
        if n <= 1 || threads <= 1 {
            for i in 0..<n { try body(i) }
            return
        }
        let next = Atomic<Int>(0), failed = Mutex<(at: Int, error: any Error)?>(nil)
        // SAFETY: each number is taken by one thread, and the caller sees to it that `body` of different
        // numbers changes different things. concurrentPerform returns when all threads are done.
        nonisolated(unsafe) let body = body
        withoutActuallyEscaping(body) { body in
            nonisolated(unsafe) let body = body
            DispatchQueue.concurrentPerform(iterations: min(threads, n)) { _ in
                while true {
                    let i = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard i < n, failed.withLock({ $0 == nil }) else { return }
                    do { try body(i) } catch {
                        failed.withLock { if $0.map({ i < $0.at }) ?? true { $0 = (i, error) } }
                    }
                }
            }
        }
        if let failed = failed.withLock({ $0 }) { throw failed.error }
    }
}
