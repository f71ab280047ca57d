import AIOCore
import CKernel

/// What the caller must get.
extension Simulation {
    /// Takes a completion as the caller does.
    func take(_ delivery: Delivery) {
        let completion = delivery.completion
        guard Int(completion.token.rawValue & 0xffff_ffff) < placeCount else { return fail("a completion of no place") }
        let place = place(of: completion.token)
        guard place.pointee.token == completion.token, place.pointee.phase != .free else {
            return fail("a second completion: \(completion)")
        }
        tell("drained \(name(place)): \(completion.result), flags \(completion.flags.rawValue)")
        check(delivery.context == place.pointee.id, "\(name(place)) completes with the context \(delivery.context)")
        guard place.pointee.expectedCount > 0 else {
            return fail("\(name(place)) completes with \(completion.result) though it is \(place.pointee.phase)")
        }
        let expected = place.pointee.first
        check(
            completion.result == expected.result && completion.flags == expected.flags,
            "\(name(place)) completes with \(completion.result), flags \(completion.flags.rawValue), and not with "
                + "\(expected.result), flags \(expected.flags.rawValue)")
        place.pointee.first = place.pointee.second
        place.pointee.expectedCount -= 1
        readyCount -= 1
        takeGoods(place, completion)
        if place.pointee.has(.message) {
            coverage.messages += 1
            pace.noteMessage()
        }
        if completion.flags.contains(.more) { goOn(place) } else { release(place) }
    }

    /// What comes with a completion: data, a buffer, a descriptor, a group.
    private func takeGoods(_ place: Place, _ completion: Completion) {
        if let buffer = completion.flags.buffer {
            let group = Int(place.pointee.group)
            groups[group].withCaller.append(buffer)
            guard let base = groups[group].base else { return }
            checkData(place, base + Int(buffer) * ModelBufferGroups.size, Int(completion.result))
        } else if completion.result > 0, place.pointee.has(.transfer), !place.pointee.has(.writes) {
            checkData(place, memory.address(place.pointee.block), Int(completion.result))
        }
        if completion.result >= 0, place.pointee.has(.makesDescriptor) { descriptorsEnded += 1 }
        if place.pointee.kind == .register, place.pointee.region >= 0 {
            memory.freeRegions.append(place.pointee.region)
            place.pointee.region = -1
        }
        if place.pointee.kind == .unregister { place.pointee.buffer = -1 }
    }

    private func checkData(_ place: Place, _ base: UnsafeMutableRawPointer, _ count: Int) {
        let mark = UInt8(truncatingIfNeeded: place.pointee.id)
        for index in 0..<count where base.load(fromByteOffset: index, as: UInt8.self) != mark {
            return fail("\(name(place)): byte \(index) of \(count) is not what was read")
        }
        base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }

    private func goOn(_ place: Place) {
        if place.pointee.hasGoneOn {
            place.pointee.hasGoneOn = false
            return
        }
        guard place.pointee.phase == .more else {
            return fail("\(name(place)) has more, and is \(place.pointee.phase)")
        }
        if place.pointee.isCancelAsked { return finish(place, -ECANCELED, []) }
        if place.pointee.has(.timer) { return place.pointee.phase = .timer }
        if place.pointee.has(.buffered), !groups.exists(place.pointee.group) { return finish(place, -EINVAL, []) }
        fail("\(name(place)) does not go on")
    }

    private func release(_ place: Place) {
        check(place.pointee.phase == .final, "\(name(place)) is over, and is \(place.pointee.phase)")
        check(place.pointee.activeIndex < 0, "the engine still has \(name(place))")
        if staleTokens.count < 8 {
            staleTokens.append(place.pointee.token)
        } else {
            staleTokens[Int(place.pointee.id % 8)] = place.pointee.token
        }
        memory.giveBack(place.pointee.block)
        if place.pointee.has(.wait), waitingLimit > 0 { usedWaitingPlaces -= 1 } else { usedPlaces -= 1 }
        inFlight -= 1
        place.pointee.phase = .free
    }
}
