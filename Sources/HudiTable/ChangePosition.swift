import LakeTable
import StreamCore

/// How far a stream of changes has come, as the position of its split.
///
///     1|stage|floor|instant,...|instant|rows
struct ChangePosition: Equatable {
    enum Stage: String { case snapshot = "s", changes = "c" }

    var stage: Stage
    /// All writes up to this instant are completed, and their changes have been handed out.
    var floor = ""
    /// Writes after `floor` whose changes have been handed out: another one before them was not completed yet.
    var beyond: Set<String> = []
    /// The write whose changes are being handed out; "" between writes and in the snapshot.
    var instant = ""
    /// Rows handed out of it, or of the snapshot.
    var rows: Int64 = 0

    init(stage: Stage) { self.stage = stage }

    var text: String { "1|\(stage.rawValue)|\(floor)|\(beyond.sorted().joined(separator: ","))|\(instant)|\(rows)" }

    init(text: String) throws {
        let parts = text.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 6, parts[0] == "1", let stage = Stage(rawValue: parts[1]), let rows = Int64(parts[5]) else {
            throw StreamError(.corrupt, "'\(text)' is not a position in a stream of a Hudi table's changes")
        }
        self.stage = stage
        self.rows = rows
        (floor, beyond, instant) = (parts[2], Set(parts[3].split(separator: ",").map(String.init)), parts[4])
    }

    func includes(_ time: String) -> Bool { time <= floor || beyond.contains(time) }

    /// Notes that a write's changes are out. The floor rises over writes that are out, up to the first that is not.
    mutating func handedOut(_ time: String, _ timeline: Timeline) {
        beyond.insert(time)
        (instant, rows) = ("", 0)
        raiseFloor(timeline)
    }

    mutating func raiseFloor(_ timeline: Timeline) {
        for write in timeline.instants where write.isWrite && write.time > floor {
            guard write.state == .completed, beyond.contains(write.time) else { break }
            floor = write.time
        }
        beyond = beyond.filter { $0 > floor }
    }
}
