internal import AIOCore
internal import CDropIns
internal import CKernel

/// How the program is notified of a completion: a copy of its sigevent.
struct Notification: BitwiseCopyable {
    private let kind: Int32
    private let signal: Int32
    private let value: UnsafeMutableRawPointer?
    /// For SIGEV_THREAD_ID.
    private let threadID: Int32
    /// For SIGEV_THREAD.
    private let function: (@convention(c) (sigval) -> Void)?
    private let attributes: UnsafePointer<pthread_attr_t>?

    static var none: Notification { Notification(kind: Self.kindNone) }

    private static var kindSignal: Int32 { 0 }
    static var kindNone: Int32 { 1 }
    private static var kindThread: Int32 { 2 }
    private static var kindThreadID: Int32 { 4 }

    private init(kind: Int32) {
        self.kind = kind
        signal = 0
        value = nil
        threadID = 0
        function = nil
        attributes = nil
    }

    @inline(__always)
    init(_ event: sigevent) {
        guard event.sigev_notify != Self.kindNone else {
            self = .none
            return
        }
        kind = event.sigev_notify
        signal = event.sigev_signo
        value = event.sigev_value.sival_ptr
        threadID = event._sigev_un._tid
        function = event._sigev_un._sigev_thread._function
        attributes = UnsafePointer(event._sigev_un._sigev_thread._attribute)
    }

    var isNone: Bool { kind == Self.kindNone }

    /// Whether it can be sent. As in glibc, an invalid signal number makes the operation fail with EINVAL. Here it is
    /// checked before the result is published.
    @inline(__always)
    var isValid: Bool { kind != Self.kindSignal || (0...CK_SIGNAL_MAX).contains(signal) }

    /// Sends it. Not under the lock: a signal handler may run before this returns, and may call the library.
    @inline(__always)
    func send(_ library: Library) {
        if kind != Self.kindNone { sendAny(library) }
    }

    private func sendAny(_ library: Library) {
        let bits = UInt(bitPattern: value)
        switch kind {
        case Self.kindSignal:
            // The queue of signals is full: a signal without its value is better than none.
            if Kernel.queueSignal(signal, value: bits) == -Int(EAGAIN) { _ = Kernel.sendSignal(signal) }
        case Self.kindThreadID:
            if Kernel.queueSignal(signal, value: bits, thread: threadID) == -Int(EAGAIN) {
                _ = Kernel.sendSignal(signal, thread: threadID)
            }
        case Self.kindThread:
            startThread(library)
        default:
            // As in glibc, an unknown kind notifies nobody.
            break
        }
    }

    /// Starts a thread for the notification, as glibc does. If none can be started the notification is lost, also as in
    /// glibc.
    private func startThread(_ library: Library) {
        guard let notice = library.locked({ $0.pointee.notices.acquire() }) else { return }
        notice.pointee.function = function
        notice.pointee.value = sigval(sival_ptr: value)
        notice.pointee.release = { notice in
            guard let notice, let library = Library.existing() else { return }
            library.locked { $0.pointee.notices.release(notice) }
        }
        guard di_start_notice(notice, attributes) != 0 else { return }
        // The attributes may be the reason: too large a stack, or a scheduling policy without permission. Try without
        // them.
        guard attributes == nil || di_start_notice(notice, nil) != 0 else { return }
        library.locked { $0.pointee.notices.release(notice) }
    }
}

extension di_notice: Pooled {
    static func initialize(_ place: UnsafeMutablePointer<di_notice>, index: Int32) {
        place.initialize(to: di_notice())
    }

    var nextFree: UnsafeMutablePointer<di_notice>? {
        get { next }
        set { next = newValue }
    }
}
