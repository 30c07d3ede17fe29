#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A thread that runs one closure and ends.
struct DetachedThread {
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func run(_ body: @escaping @Sendable () -> Void) {
        let retained = Unmanaged.passRetained(Box(body)).toOpaque()
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
        }, retained)
        precondition(code == 0, "cannot start a thread: error \(code)")
        #if canImport(Glibc)
        pthread_detach(thread)
        #else
        pthread_detach(thread!)
        #endif
    }
}
