internal import AIOCore

extension IORuntime {
    /// close(2), as a release: the descriptor must neither stay open nor be closed twice.
    func close(_ number: Int32, _ path: Path?) async throws(IOError) {
        let completion: Completion
        do throws(IOError) {
            completion = try await loop(for: .close(number), "close").performToTheEnd(.close(number), "close")
        } catch {
            // The loops have ended, and the descriptor is still open.
            Kernel.close(number)
            throw error
        }
        guard completion.result >= 0 else { throw IOError(completion, "close", path: path) }
    }

    /// Closes a descriptor whose result nobody needs.
    func closeUnobserved(_ number: Int32) {
        let isTaken = (try? loop(for: .close(number), "close"))?.performUnobserved(.close(number)) ?? false
        // No slot is free or the loops have ended, so the calling thread closes it.
        if !isTaken { Kernel.close(number) }
    }
}
