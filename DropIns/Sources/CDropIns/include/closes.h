// Interposed versions of the calls that close descriptors. They leave the library's descriptors open.

#ifndef CLOSES_H
#define CLOSES_H

struct closing;

// Implemented in Swift and called from closes.c: see GuestNumbers.
_Bool drop_in_is_below_own(int number);
_Bool drop_in_is_own(int number);
/// The lowest of the library's descriptors that is not below `first`; -1 if there is none.
int drop_in_next_own(int first);
/// Runs `body` while no other thread opens or closes a descriptor of the library.
void drop_in_with_numbers(void (*body)(struct closing *), struct closing *asked);

// Replacements of the libc functions with these names. CRawCalls calls them too.
__attribute__((used)) int drop_in_close(int number) __asm__("close@@");
__attribute__((used)) int drop_in_close_range(unsigned first, unsigned last, int flags) __asm__("close_range@@");
__attribute__((used)) int drop_in_dup2(int from, int to) __asm__("dup2@@");
__attribute__((used)) int drop_in_dup3(int from, int to, int flags) __asm__("dup3@@");
__attribute__((used)) void drop_in_closefrom(int first) __asm__("closefrom@@");

#endif
