import Testing
@Suite("x") struct XX {}
