/// Rules in their order, and how many calls each applied to.
package struct FaultRules: Sendable {
    private let rules: [FaultRule]
    private var counts: [Int]

    package init(_ rules: [FaultRule] = []) {
        self.rules = rules
        counts = rules.map { _ in 0 }
    }

    package var isEmpty: Bool { rules.isEmpty }

    /// What happens to a call on these files: the action of the first rule that applies. nil if none does. `draw`
    /// returns a random number below its argument.
    package mutating func action(
        on form: CallForm, _ files: [[UInt8]], draw: (Int) -> Int
    ) -> FaultRule.Action? {
        var action: FaultRule.Action?
        for index in rules.indices where rules[index].applies(to: form, on: files) {
            counts[index] += 1
            let happens =
                switch rules[index].occurrence {
                case .nth(let number): counts[index] == number
                case .oneIn(let count): draw(max(1, count)) == 0
                case .always: true
                }
            if happens, action == nil { action = rules[index].action }
        }
        return action
    }

    /// Whether a rule may concern calls on these files that carry an operation out.
    func mayConcern(_ files: [[UInt8]]) -> Bool { rules.contains { !$0.isOfEngine && $0.mayApply(on: files) } }
}
