import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A mutex with a condition. Unlike `Mutex` it can wait, and guards state that is a class's own properties.
final class Lock: @unchecked Sendable {  // SAFETY: the pthread objects are made for use by many threads
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func with<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Inside `with`: gives the lock up until another thread calls `wakeAll`. May return early.
    func wait() { pthread_cond_wait(condition, mutex) }

    /// As `wait`, for at most so long.
    func wait(milliseconds: Int64) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let nanoseconds = Int64(now.tv_nsec) + milliseconds % 1_000 * 1_000_000
        var until = timespec()
        until.tv_sec = now.tv_sec + Int(milliseconds / 1_000 + nanoseconds / 1_000_000_000)
        until.tv_nsec = Int(nanoseconds % 1_000_000_000)
        pthread_cond_timedwait(condition, mutex, &until)
    }

    func wakeAll() { pthread_cond_broadcast(condition) }
}
