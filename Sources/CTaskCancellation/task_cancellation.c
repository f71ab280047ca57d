// The functions of Swift's runtime behind `withTaskCancellationHandler`, under names that Swift code may declare: the
// compiler reserves those of the runtime. For AIO/Runtime/Cancellation.swift.
#include "task_cancellation.h"

#define SWIFT __attribute__((swiftcall))

typedef SWIFT void handler(__attribute__((swift_context)) void *context);

extern SWIFT void *swift_task_addCancellationHandler(handler *handler, void *context);
extern SWIFT void swift_task_removeCancellationHandler(void *record);

SWIFT void *aio_add_cancellation_handler(handler *handler, void *context) {
    return swift_task_addCancellationHandler(handler, context);
}

SWIFT void aio_remove_cancellation_handler(void *record) { swift_task_removeCancellationHandler(record); }
