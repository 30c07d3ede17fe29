import Testing
@testable import StreamExpressions
