extension FunctionRegistry {
    /// The scalar functions, pack by pack; operators and conditionals are registered by the core.
    static func registerScalarFunctions(into registry: inout FunctionRegistry) {
        registry.registerCaseFunctions()
        registry.registerPartFunctions()
        registry.registerBuildFunctions()
        registry.registerSearchFunctions()
        registry.registerPatternFunctions()
        registry.registerPrintf()
        registry.registerEncodingFunctions()
        registry.registerUrlFunctions()
        registry.registerAddressFunctions()
        registry.registerMathFunctions()
        registry.registerRoundingFunctions()
        registry.registerTimeFieldFunctions()
        registry.registerTimeTextFunctions()
        registry.registerClockFunctions()
        registry.registerJsonQueryFunctions()
        registry.registerJsonBuildFunctions()
        registry.registerDynamoDBFunctions()
        registry.registerConstructorFunctions()
        registry.registerArrayFunctions()
        registry.registerCategoryFunctions()
        registry.registerMapFunctions()
        registry.registerVariantFunctions()
        registry.registerFlattenFunction()
    }
}
