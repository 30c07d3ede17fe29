import StreamCore
import Synchronization

/// Wakes a subtask that said what it waits for. May be called from any thread, also when the subtask runs already.
package protocol Waker: AnyObject, Sendable {
    func wake(_ subtask: Int)
}

/// A bounded queue from one subtask to one other. Elements keep their order.
///
/// The bound is soft: a sender asks `isFull` before it makes more, and may finish the batch it is at.
package final class Channel: Sendable {
    private struct Queue: Sendable {
        var elements: [StreamElement?]
        var head = 0
        var count = 0

        mutating func append(_ element: StreamElement) {
            if count == elements.count {
                var bigger: [StreamElement?] = (0..<count).map { elements[(head + $0) % count] }
                bigger.append(contentsOf: repeatElement(nil, count: max(count, 8)))
                (elements, head) = (bigger, 0)
            }
            elements[(head + count) % elements.count] = element
            count += 1
        }

        mutating func take() -> StreamElement? {
            guard count > 0 else { return nil }
            let element = elements[head]
            elements[head] = nil
            head = (head + 1) % elements.count
            count -= 1
            return element
        }
    }

    /// Whether a barrier waits in the queue, and what is in front of it.
    package enum Overtaken: Sendable {
        case notHere
        /// The barrier was taken out; these elements are in front of it and stay.
        case barrier(inFront: [StreamElement])
    }

    private let queue: Mutex<Queue>
    private let capacity: Int
    private let sender: Int, receiver: Int
    private let waker: any Waker

    package init(from sender: Int, to receiver: Int, capacity: Int, waker: any Waker) {
        self.sender = sender
        self.receiver = receiver
        self.capacity = capacity
        self.waker = waker
        queue = Mutex(Queue(elements: Array(repeating: nil, count: capacity)))
    }

    package var isFull: Bool { queue.withLock { $0.count >= capacity } }
    package var depth: Int { queue.withLock { $0.count } }

    package func send(_ element: StreamElement) {
        let wasEmpty = queue.withLock { queue in
            queue.append(element)
            return queue.count == 1
        }
        // A barrier may be one that overtakes: the receiver looks for it even when it has no room to take more rows.
        var isBarrier = false
        if case .barrier = element { isBarrier = true }
        if wasEmpty || isBarrier { waker.wake(receiver) }
    }

    /// The first barrier that waits in the queue.
    package var nextBarrier: Barrier? {
        queue.withLock { queue in
            for offset in 0..<queue.count {
                if case .barrier(let barrier)? = queue.elements[(queue.head + offset) % queue.elements.count] { return barrier }
            }
            return nil
        }
    }

    /// Takes a checkpoint's barrier out of the queue, past what is in front of it.
    package func overtake(_ checkpoint: UInt64) -> Overtaken {
        let (overtaken, hasRoomAgain) = queue.withLock { queue -> (Overtaken, Bool) in
            let all = (0..<queue.count).map { queue.elements[(queue.head + $0) % queue.elements.count]! }
            guard let at = all.firstIndex(where: { if case .barrier(let b) = $0 { b.checkpoint == checkpoint && !b.final } else { false } })
            else { return (.notHere, false) }
            var rest = all
            rest.remove(at: at)
            queue.elements = rest + Array(repeating: nil, count: max(queue.elements.count - rest.count, 1))
            (queue.head, queue.count) = (0, rest.count)
            return (.barrier(inFront: Array(all[..<at])), all.count == capacity)
        }
        if hasRoomAgain { waker.wake(sender) }
        return overtaken
    }

    package func receive() -> StreamElement? {
        let (element, hasRoomAgain) = queue.withLock { queue in
            let wasFull = queue.count == capacity
            return (queue.take(), wasFull)
        }
        if hasRoomAgain { waker.wake(sender) }
        return element
    }
}
