#ifndef COMMON_PROCESS_DESCRIPTORS_H
#define COMMON_PROCESS_DESCRIPTORS_H

/* Opens /dev/null as 0, 1 and 2 where they are closed. Otherwise the next file or socket would get
 * such a number, and the log would be written into it. */
void descriptors_open_standard(void);

#endif
