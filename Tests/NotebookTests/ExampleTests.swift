import Foundation
import TestScripts
import Testing

/// Notebooks of the folder Examples, as a newcomer runs them: by the built program.
@Suite("The example notebooks") struct ExampleTests {
    /// The program, which is built next to the test bundle.
    private static let binary: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? Bundle.main.bundlePath
        var url = URL(filePath: bundle)
        while url.pathExtension != "xctest", url.pathComponents.count > 1 { url.deleteLastPathComponent() }
        return url.deletingLastPathComponent().appending(path: "swiftwater").path
    }()

    @Test("each runs without a server in a data directory of its own, shows what is right, and stays the same file through jupytext and convert")
    func all() throws {
        let answer = try PythonScript.answer("notebook/examples.py", [Self.binary, PythonScript.root.appending(path: "Examples").path], seconds: 500)
        let result = try #require(answer as? [String: Any]), seconds = try #require(result["seconds"] as? Double)
        print("example notebooks together: \(seconds) s")
        #expect(result["notebooks"] as? Int == 12)
        // Two minutes are wanted of a machine that does nothing else; here other tests run beside them.
        #expect(seconds < 450)
    }
}
