import LakeTable
import StreamCore

/// The versions of the format that can be written and read: what differs between them is asked here.
///
///     6      layout 1: .hoodie/T.commit, JSON                       8, 9   layout 2: .hoodie/timeline/T_C.commit, Avro
enum TableVersion: Int, Sendable, CaseIterable {
    case six = 6, eight = 8, nine = 9

    static let supported = "6, 8 and 9"

    /// Names of completed actions hold the time at which they were completed, and commits are Avro.
    private var isSecondLayout: Bool { self != .six }

    var timelineLayout: Int { isSecondLayout ? 2 : 1 }
    var timelineFolder: String { isSecondLayout ? TableFiles.metaFolder + "/timeline" : TableFiles.metaFolder }
    /// Where completed actions go that have left the timeline.
    var archiveFolder: String { isSecondLayout ? timelineFolder + "/history" : TableFiles.metaFolder + "/archived" }
    var hasCompletionTimes: Bool { isSecondLayout }
    /// The property that names the ordering fields.
    var orderingProperty: String { self == .nine ? "hoodie.table.ordering.fields" : "hoodie.table.precombine.field" }
    var allowsSeveralOrderingFields: Bool { self == .nine }

    /// What a write is called while it is pending, given what it is called when it is completed.
    func pendingAction(_ action: String, clustering: Bool) -> String {
        isSecondLayout && clustering && action == "replacecommit" ? "clustering" : action
    }

    func encode(_ metadata: CommitMetadata) -> [UInt8] { isSecondLayout ? metadata.avro() : metadata.json() }

    /// The inflight file of a clean.
    func inflightClean(_ plan: CleanPlan) -> [UInt8] { isSecondLayout ? [] : plan.encoded() }

    /// Properties beside those of version 6.
    func morePairs(mergesByEventTime: Bool) -> [(String, String)] {
        guard isSecondLayout else { return [] }
        return [("hoodie.table.initial.version", String(rawValue)), ("hoodie.timeline.path", "timeline"), ("hoodie.timeline.history.path", "history"),
                ("hoodie.record.merge.mode", (mergesByEventTime ? MergeMode.eventTime : .commitTime).rawValue)]
            + (self == .nine ? [("hoodie.table.format", "native")] : [])
    }
}

/// Which of two rows with one key stays.
enum MergeMode: String, Sendable, CaseIterable {
    /// The one with the larger ordering value; the later one on a tie.
    case eventTime = "EVENT_TIME_ORDERING"
    /// The later one to arrive.
    case commitTime = "COMMIT_TIME_ORDERING"
}
