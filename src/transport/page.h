/* page.h: memory that several processes see. */
#ifndef EVWS_PAGE_H
#define EVWS_PAGE_H

#include <stddef.h>

/* A descriptor (close-on-exec) of so many zeroed bytes; or a negative errno. */
int ws_page_new(size_t size);

/* The bytes of one; NULL, and errno, where it has not as many. */
void *ws_page_map(int fd, size_t size);
void ws_page_unmap(void *page, size_t size);

#endif
