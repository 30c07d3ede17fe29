// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "UserFunctions",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "swiftwater", path: "../..")],
    targets: [
        .executableTarget(
            name: "UserFunctions",
            dependencies: [
                .product(name: "StreamSQL", package: "swiftwater"),
                .product(name: "FileConnectors", package: "swiftwater"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)])
    ]
)
