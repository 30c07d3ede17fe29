// swift-tools-version: 6.1
import PackageDescription

let warningsAsErrors: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-warnings-as-errors"])]
let package = Package(
    name: "swiftwater",
    platforms: [.macOS(.v15)],
    targets: [
        .target(name: "StreamCore"),
        .target(name: "StreamExpressions", dependencies: ["StreamCore"]),
    ]
)
