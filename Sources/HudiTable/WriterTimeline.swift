import LakeTable
import StreamCore
import Synchronization

/// A table's timeline as its writer knows it: read once, then kept, and changed together with the files.
///
/// Whether anybody else has changed it is seen by one pass over the names in its folder, without reading a file.
final class WriterTimeline: Sendable {
    let files: TableFiles
    let version: TableVersion

    private struct State {
        var timeline: Timeline?
        var names = NameFingerprint()
        /// The newest time that was given out.
        var last: String?
    }

    private let state = Mutex(State())

    init(_ files: TableFiles, version: TableVersion) { (self.files, self.version) = (files, version) }

    /// As of the last look at the folder, with the changes made here since.
    func current() throws -> Timeline { try state.withLock { try timeline(&$0) } }

    /// As it is on the disk.
    @discardableResult
    func look() throws -> Timeline {
        try state.withLock { state in
            if state.timeline != nil, try files.fingerprint(of: version.timelineFolder) == state.names { return state.timeline! }
            state.timeline = nil
            return try timeline(&state)
        }
    }

    private func timeline(_ state: inout State) throws -> Timeline {
        if let timeline = state.timeline { return timeline }
        // A name that comes between the two passes makes the next look read again.
        state.names = try files.fingerprint(of: version.timelineFolder)
        let timeline = try Timeline.load(files, version: version)
        state.timeline = timeline
        return timeline
    }

    /// A time for a new instant, or for the end of one, later than all others; no two callers get the same.
    func newTime() throws -> String {
        try state.withLock { state in
            let time = try timeline(&state).nextTime(now: files.host.now(), after: state.last)
            state.last = time
            return time
        }
    }

    /// Publishes the file of an instant that has come to a state.
    /// - Parameter action: as in names of files; a completed one may be called differently from a pending one.
    @discardableResult
    func publish(_ time: String, _ action: String, _ newState: InstantState, _ bytes: [UInt8]) throws -> Instant {
        let completion = newState == .completed && version.hasCompletionTimes ? try newTime() : nil
        let instant = Instant(time: time, action: action, state: newState, completion: completion)
        try state.withLock { state in
            var timeline = try timeline(&state)
            let file = timeline.file(of: instant)
            try files.publish(file, bytes)
            state.names.add(Self.name(file))
            state.timeline = nil
            timeline.set(instant)
            state.timeline = timeline
        }
        return instant
    }

    /// Deletes the file that says that an instant is completed, and makes that durable.
    func hide(_ instant: Instant) throws {
        try state.withLock { state in
            let file = Timeline.fileName(instant.time, instant.action, .completed, completion: instant.completion, version: version)
            // What is left is read from the disk.
            state.timeline = nil
            try files.remove(file)
            // An attempt whose answer was lost may have left the same instant under another completion time.
            if version != .six {
                for name in try files.names(in: version.timelineFolder) where name.hasPrefix(instant.time + "_") && name.hasSuffix("." + instant.action) {
                    try files.remove(version.timelineFolder + "/" + name)
                }
            }
        }
        try flush()
    }

    /// Deletes the files of an instant that is not completed, the inflight one first.
    func removePending(_ time: String, _ action: String) throws {
        try state.withLock { state in
            state.timeline = nil
            let names = Set([action, version.pendingAction(action, clustering: true)]).sorted()
            for step in [InstantState.inflight, .requested] {
                for name in names { try files.remove(Timeline.fileName(time, name, step, version: version)) }
            }
        }
        try flush()
    }

    /// Deletes all files of an action.
    func remove(_ instant: Instant) throws {
        if instant.state == .completed { try hide(instant) }
        try removePending(instant.time, instant.action)
    }

    /// Makes all names on it outlive a power failure.
    func flush() throws { try files.flush(version.timelineFolder) }

    func exists(_ time: String, _ action: String, _ state: InstantState) -> Bool {
        files.exists(Timeline.fileName(time, action, state, version: version))
    }

    /// The file of a pending instant.
    func read(_ time: String, _ action: String, _ state: InstantState) throws -> [UInt8] {
        try files.read(Timeline.fileName(time, action, state, version: version))
    }

    private static func name(_ path: String) -> String { String(path[path.index(after: path.lastIndex(of: "/")!)...]) }
}
