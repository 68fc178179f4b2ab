#ifndef COMMON_PROCESS_DESCRIPTORS_H
#define COMMON_PROCESS_DESCRIPTORS_H

/* Opens /dev/null where 0, 1 or 2 are closed: the next file or socket would get such a number, and
 * the log would be written into it. */
void descriptors_open_standard(void);

#endif
