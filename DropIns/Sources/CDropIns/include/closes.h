// What stands in for the calls that close descriptors, so that those of the library stay open.

#ifndef CLOSES_H
#define CLOSES_H

struct closing;

// Swift's, called from closes.c: see GuestNumbers.
_Bool drop_in_is_below_own(int number);
_Bool drop_in_is_own(int number);
/// The first number from `first` on that is ours; -1 if there is none.
int drop_in_next_own(int first);
/// Runs `body` while none of ours is made or closed.
void drop_in_with_numbers(void (*body)(struct closing *), struct closing *asked);

// libc's functions of these names, for CRawCalls as well.
__attribute__((used)) int drop_in_close(int number) __asm__("close@@");
__attribute__((used)) int drop_in_close_range(unsigned first, unsigned last, int flags) __asm__("close_range@@");
__attribute__((used)) int drop_in_dup2(int from, int to) __asm__("dup2@@");
__attribute__((used)) int drop_in_dup3(int from, int to, int flags) __asm__("dup3@@");
__attribute__((used)) void drop_in_closefrom(int first) __asm__("closefrom@@");

#endif
