internal import AIOCore

// Swift 6.3 hands the jobs of `Task.sleep` to the executor that the task prefers, by a protocol that is not yet public.
// Earlier versions call a hook (`ConcurrencyHooks`). With a later one, `Task.sleep` may leave the simulation, which
// says so: this is the place to adapt.
#if compiler(>=6.3) && compiler(<6.4)
    @_spi(ExperimentalScheduling) internal import _Concurrency

    extension SimulatedExecutor: SchedulingExecutor {
        func enqueue<C: Clock>(
            _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
        ) {
            add(UnownedJob(job), after: Self.nanoseconds(delay))
        }

        func enqueue<C: Clock>(
            _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
        ) {
            add(UnownedJob(job), after: Self.nanoseconds(clock.now.duration(to: instant)))
        }

        private static func nanoseconds<D: DurationProtocol>(_ duration: D) -> Nanoseconds {
            guard let duration = duration as? Duration, duration > .zero else { return 0 }
            let (seconds, attoseconds) = duration.components
            return Nanoseconds(seconds) &* 1_000_000_000 &+ Nanoseconds(attoseconds / 1_000_000_000)
        }
    }
#endif
