#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// State behind a lock, with a condition to wait on. For the few places that park a thread; plain state uses `Mutex`.
package final class Monitor<State>: @unchecked Sendable {  // SAFETY: `state` is only touched while `mutex` is held
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    package func withLock<R>(_ body: (inout State) throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    package func signal() { pthread_cond_signal(condition) }
    package func broadcast() { pthread_cond_broadcast(condition) }

    /// Runs `body` until it returns a value, waiting between tries for a signal or for `nanoseconds` at most when it asks so.
    package func wait<R>(_ body: (inout State) -> Decision<R>) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            switch body(&state) {
            case .take(let result): return result
            case .wait(nil): pthread_cond_wait(condition, mutex)
            case .wait(let nanoseconds?):
                var until = timespec()
                clock_gettime(CLOCK_REALTIME, &until)
                let total = UInt64(until.tv_nsec) + min(nanoseconds, 3_600_000_000_000)
                until.tv_sec += Int(total / 1_000_000_000)
                until.tv_nsec = Int(total % 1_000_000_000)
                pthread_cond_timedwait(condition, mutex, &until)
            }
        }
    }

    package enum Decision<R> {
        case take(R)
        case wait(nanoseconds: UInt64?)
    }
}

/// Runs `body` on a thread of its own with an 8 MiB stack; `join` waits for its end.
package struct WorkerThread: Sendable {
    #if canImport(Glibc)
    private let handle: pthread_t
    #else
    private nonisolated(unsafe) let handle: pthread_t
    #endif

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    package init(_ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 8 << 20)
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        #if canImport(Glibc)
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, { context in
            Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
            return nil
        }, context)
        #else
        var made: pthread_t?
        let code = pthread_create(&made, &attributes, { context in
            Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
            return nil
        }, context)
        let thread = made!
        #endif
        precondition(code == 0, "no thread can be started: error \(code)")
        handle = thread
        pthread_attr_destroy(&attributes)
    }

    package func join() { pthread_join(handle, nil) }
}
