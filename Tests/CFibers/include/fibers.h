// Contexts of execution that switch among themselves, each with a stack of its own.
#ifndef FIBERS_H
#define FIBERS_H

// Saves the running context at `from` and continues at `to`.
void fiber_switch(void **from, void *to);

// A context that runs `body(argument)` when it is switched to first, on the stack that ends at `top`. The body must
// not return.
void *fiber_make(void *top, void (*body)(void *), void *argument);

// Lets malloc(3) keep freed memory instead of returning it to the system each time.
void fiber_keep_memory(void);

#endif
