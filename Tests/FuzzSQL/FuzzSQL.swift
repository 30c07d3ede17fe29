@main struct FuzzSQL {
    static func main() {}
}
