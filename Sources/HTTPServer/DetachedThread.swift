#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A thread that runs one closure and ends.
enum DetachedThread {
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// False when the machine gives no more threads.
    static func run(_ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Box(body))
        #if canImport(Glibc)
        var thread = pthread_t()
        #else
        var thread: pthread_t?
        #endif
        let code = pthread_create(&thread, nil, { argument in
            #if canImport(Glibc)
            Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
            #else
            Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
            #endif
            return nil
        }, box.toOpaque())
        guard code == 0 else {
            box.release()
            return false
        }
        #if canImport(Glibc)
        pthread_detach(thread)
        #else
        pthread_detach(thread!)
        #endif
        return true
    }
}
