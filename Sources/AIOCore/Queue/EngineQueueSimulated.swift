// Not in the Embedded subset: a generic initializer that other modules call cannot be specialized there.
#if !hasFeature(Embedded)
    /// Queues for simulations.
    extension EngineQueue {
        /// A queue over an engine from outside, such as a simulation's. `kind` is what errors name, and whose retry
        /// policy applies. The configuration is in range.
        package init<Kind: Engine & ~Copyable>(
            _ engine: consuming Kind, as kind: EngineKind, _ configuration: EngineConfiguration
        ) {
            precondition(configuration.isInRange)
            self.init(EngineInstance(kind, engine), configuration)
        }

        /// A queue over the engine `threads`, whose work the caller executes.
        package init(byHand work: WorkByHand, _ configuration: EngineConfiguration) throws(EngineFailure) {
            let engine = try ThreadsEngine(
                configuration, as: .threads, ThreadsServices(.threads, configuration), work.waker, byHand: work.pool)
            self.init(engine, as: .threads, configuration)
        }
    }
#endif
