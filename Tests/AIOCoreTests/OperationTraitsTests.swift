import CKernel
import Testing

@testable import AIOCore

/// The table of traits (`OperationTraits`).
@Suite struct OperationTraitsTests {
    private static let file = Descriptor(3, kind: .buffered)
    private static let stream = Descriptor(4, kind: .stream)

    @Test func aTransferIsNamedForItsDirection() {
        let transfer = Transfer(Self.file, nil, count: 1, offset: 0)
        #expect("\(AIOCore.Operation.read(transfer).traits.name)" == "read")
        #expect("\(AIOCore.Operation.writeVectored(transfer).traits.name)" == "write")
    }

    @Test func aTransferKeepsWhatItIsWhateverItWasMadeAs() {
        let transfer = Transfer(Self.file, nil, count: 1, offset: 0, form: [.writing, .vectored, .cacheMissed])
        #expect(AIOCore.Operation.read(transfer).transfer?.form == .cacheMissed)
        #expect(AIOCore.Operation.writeVectored(transfer.to([])).transfer?.isWrite == true)
        #expect(AIOCore.Operation.writeVectored(transfer.to([])).transfer?.isVectored == true)
    }

    @Test func whatWaitsForOthersHasAPlaceOfItsOwn() {
        let onFile = Transfer(Self.file, nil, count: 1, offset: 0),
            onStream = Transfer(Self.stream, nil, count: 1, offset: 0)
        let waits: [AIOCore.Operation] = [
            .read(onStream), .write(onStream), .poll(Self.file, events: 1), .pollEach(Self.file, events: 1),
            .timeout(deadline: 1), .repeatingTimeout(first: 1, interval: 1),
            .socket(.receive(Self.stream, nil, count: 1, flags: 0)),
            .splice(Splice(from: Self.stream, to: Self.file, count: 1)),
        ]
        let work: [AIOCore.Operation] = [
            .nop, .read(onFile), .write(onFile), .sync(Self.file, .full), .close(3),
            .cancel(target: Token(rawValue: 0)),
            .cancelAll(on: nil), .splice(Splice(from: Self.file, to: Self.stream, count: 1)),
        ]
        for operation in waits { #expect(operation.isWait, "\(operation)") }
        for operation in work { #expect(!operation.isWait, "\(operation)") }
    }

    @Test func onlyNewsFromOthersIsAMessage() {
        let onStream = Transfer(Self.stream, nil, count: 1, offset: 0)
        let messages: [AIOCore.Operation] = [
            .read(onStream), .poll(Self.file, events: 1),
            .socket(.accept(Self.stream, address: nil, count: nil, flags: 0)),
            .splice(Splice(from: Self.stream, to: Self.file, count: 1)),
        ]
        let others: [AIOCore.Operation] = [
            .write(onStream), .timeout(deadline: 1), .socket(.send(Self.stream, nil, count: 1, flags: 0)),
            .socket(.create(domain: 1, type: 1, protocol: 0)), .sync(Self.file, .data),
        ]
        for operation in messages { #expect(operation.isMessage, "\(operation)") }
        for operation in others { #expect(!operation.isMessage, "\(operation)") }
    }

    @Test func whatGivesSomethingUpIsNeverTakenBack() {
        #expect(AIOCore.Operation.close(3).isRelease)
        #expect(AIOCore.Operation.buffers(.unregister(group: 0)).isRelease)
        #expect(AIOCore.Operation.buffers(.provide(group: 0, buffer: 0)).isRelease)
        #expect(!AIOCore.Operation.sync(Self.file, .full).isRelease)
        #expect(!AIOCore.Operation.nop.isRelease)
    }

    @Test func whatMakesADescriptorSaysSo() {
        #expect(AIOCore.Operation.socket(.create(domain: 1, type: 1, protocol: 0)).makesDescriptor)
        #expect(AIOCore.Operation.socket(.accept(Self.stream, address: nil, count: nil, flags: 0)).makesDescriptor)
        #expect(AIOCore.Operation.socket(.acceptEach(Self.stream, flags: 0)).makesDescriptor)
        withUnsafePointer(to: ck_open_how()) { how in
            let open = "/".withCString { AIOCore.Operation.open(directory: CK_AT_FDCWD, path: $0, how: how) }
            #expect(open.makesDescriptor)
        }
        #expect(!AIOCore.Operation.socket(.listen(Self.stream, backlog: 1)).makesDescriptor)
        #expect(!AIOCore.Operation.close(3).makesDescriptor)
    }

    @Test func onlyReadsWritesAndSocketsBeginAgainAfterAnInterrupt() {
        let transfer = Transfer(Self.file, nil, count: 1, offset: 0)
        #expect(AIOCore.Operation.read(transfer).traits.restartsAfterInterrupt)
        #expect(AIOCore.Operation.socket(.shutdown(Self.stream, how: 0)).traits.restartsAfterInterrupt)
        #expect(!AIOCore.Operation.sync(Self.file, .full).traits.restartsAfterInterrupt)
        #expect(!AIOCore.Operation.close(3).traits.restartsAfterInterrupt)
    }

    @Test func anEAGAINIsForTheCallerWhoWantsNoWaiting() {
        var transfer = Transfer(Self.stream, nil, count: 1, offset: 0)
        #expect(!AIOCore.Operation.read(transfer).traits.isWithoutWaiting)
        transfer.flags = .noWait
        #expect(AIOCore.Operation.read(transfer).traits.isWithoutWaiting)
        #expect(
            AIOCore.Operation.socket(.receive(Self.stream, nil, count: 1, flags: CK_MSG_DONTWAIT)).traits
                .isWithoutWaiting)
        #expect(!AIOCore.Operation.socket(.receive(Self.stream, nil, count: 1, flags: 0)).traits.isWithoutWaiting)
        #expect(AIOCore.Operation.sync(Self.file, .full).traits.isWithoutWaiting)
    }
}
