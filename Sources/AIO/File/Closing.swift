internal import AIOCore

extension IORuntime {
    /// close(2), to the end: a descriptor must neither be left open nor closed twice.
    func close(_ number: Int32, _ path: Path?) async throws(IOError) {
        let completion: Completion
        do throws(IOError) {
            completion = try await loop(for: .close(number), "close").performToTheEnd(.close(number), "close")
        } catch {
            // The loops are gone; the descriptor is not.
            Kernel.close(number)
            throw error
        }
        guard completion.result >= 0 else { throw IOError(completion, "close", path: path) }
    }

    /// Closes a descriptor that nobody asks after.
    func closeUnobserved(_ number: Int32) {
        let isTaken = (try? loop(for: .close(number), "close"))?.performUnobserved(.close(number)) ?? false
        // With every place taken or the loops gone, what remains is this thread.
        if !isTaken { Kernel.close(number) }
    }
}
