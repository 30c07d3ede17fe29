// swift-tools-version: 6.1
import PackageDescription

let ours: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-warnings-as-errors"])]
let package = Package(
    name: "swiftwater",
    platforms: [.macOS(.v15)],
    targets: [
        .target(name: "StreamCore", swiftSettings: ours),
        .target(name: "StreamExpressions", dependencies: ["StreamCore"], swiftSettings: ours),
        .target(name: "StreamOperators", dependencies: ["StreamCore", "StreamExpressions"], swiftSettings: ours),
        .target(name: "StreamRuntime", dependencies: ["StreamCore"], swiftSettings: ours),
        .target(name: "StreamSQL", dependencies: ["StreamCore", "StreamExpressions", "StreamOperators", "StreamRuntime"], swiftSettings: ours),
        .target(name: "StreamTesting", dependencies: ["StreamCore", "StreamRuntime"], swiftSettings: ours),
        .testTarget(name: "StreamRuntimeTests", dependencies: ["StreamCore", "StreamRuntime", "StreamTesting"], swiftSettings: ours),
    ]
)
