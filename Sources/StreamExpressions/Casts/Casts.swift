import StreamCore
public enum Casts {
    static func dependsOnTimeZone(_ a: DataType, _ b: DataType) -> Bool { false }
    static func kernel(from: DataType, to: DataType, safe: Bool) -> Kernel { fatalError() }
}
