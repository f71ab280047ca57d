// What `bench-c` can do; the arguments of each are described at its definition.
#ifndef SUBJECTS_H
#define SUBJECTS_H

void ring_nop(char **arguments);
void ring_read(char **arguments);
void ring_write(char **arguments);
void plain_read(char **arguments);
void plain_write(char **arguments);
void read_file(char **arguments);
void open_and_close(char **arguments);
void status_of(char **arguments);
void read_in_chunks(char **arguments);
void lines_by_getline(char **arguments);
void lines_by_hand(char **arguments);
void ring_memory(char **arguments);

/// A number of at least 1, or the end of the program.
long number_of(const char *text);

#endif
