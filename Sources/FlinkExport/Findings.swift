import StreamCore

/// A part of a script that Flink has no equal for.
public struct Refusal: Hashable, Sendable {
    /// `table minutes`, `step watched`, `SET 'x'`
    public var what: String
    public var reason: String
    /// What to write, or where to do it, in its place.
    public var instead: String
    public var location: SourceLocation?

    public init(what: String, reason: String, instead: String, location: SourceLocation? = nil) {
        self.what = what
        self.reason = reason
        self.instead = instead
        self.location = location
    }
}

/// Something that is different on Flink, or that is left out because it means nothing there.
public struct Note: Hashable, Sendable {
    public var about: String, text: String
    public init(about: String, text: String) { (self.about, self.text) = (about, text) }
}

/// A library that the cluster must have.
public struct FlinkJar: Hashable, Sendable {
    /// Maven coordinates: `org.apache.flink:flink-sql-connector-kafka:4.0.1-2.0`
    public var coordinates: String
    public var reason: String
    /// What is to be known about it, such as that none is published for a version yet.
    public var remark: String?

    public init(coordinates: String, reason: String, remark: String? = nil) {
        self.coordinates = coordinates
        self.reason = reason
        self.remark = remark
    }
}

/// What came up while a script was translated; each thing once, in the order in which it came.
public struct Findings: Sendable {
    public private(set) var refusals: [Refusal] = []
    public private(set) var notes: [Note] = []
    public private(set) var jars: [FlinkJar] = []

    public init() {}

    public mutating func refuse(_ what: String, reason: String, instead: String, at location: SourceLocation? = nil) {
        let refusal = Refusal(what: what, reason: reason, instead: instead, location: location)
        if !refusals.contains(refusal) { refusals.append(refusal) }
    }

    public mutating func note(_ text: String, about: String) {
        let note = Note(about: about, text: text)
        if !notes.contains(note) { notes.append(note) }
    }

    public mutating func need(_ jar: FlinkJar) {
        if !jars.contains(where: { $0.coordinates == jar.coordinates }) { jars.append(jar) }
    }
}
